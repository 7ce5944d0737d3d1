"""PURE: what an alarm says, as the title and the lines of a message.

Several alarms that a receiver has missed become one message about the newest, which lists the
others. A message never contains a secret, and its number tells a duplicate.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from executions.alarms.telling import AlarmKind
from executions.health.verdict import Level
from executions.text.formatters import seconds, written
from executions.text.sentences import Text

# A message names at most this many other findings, and this many missed alarms.
MOST_ALSO = 3
MOST_MISSED = 10


@dataclass(frozen=True)
class ToldChange:
    """An alarm as it was made. ``code`` is its worst finding; empty if there is none."""

    number: int
    kind: AlarmKind
    level: Level
    before: Level
    made_at: datetime
    since: datetime
    summary: Text
    advice: Text | None
    code: str
    also: Sequence[Text] = ()
    bad_for: timedelta | None = None
    held_back: int = 0
    is_last: bool = False


@dataclass(frozen=True)
class Origin:
    """Where the message comes from. ``url`` is the address of the pages; empty if unknown."""

    environment: str
    url: str
    is_demo: bool = False

    @property
    def name(self) -> str:
        name = self.environment or _("Multica")
        return _("%(name)s (demo data)") % {"name": name} if self.is_demo else name


@dataclass(frozen=True)
class Message:
    title: str
    body: str


_STATES: dict[Level, Promise] = {
    Level.HEALTHY: gettext_lazy("usage is up to date"),
    Level.DEGRADED: gettext_lazy("usage needs a look"),
    Level.FAILING: gettext_lazy("usage is failing"),
    Level.UNKNOWN: gettext_lazy("we cannot tell how usage stands"),
}


def compose(alarms: Sequence[ToldChange], place: Origin) -> Message:
    """One message for the alarms that a receiver has not got yet, oldest first."""
    newest = alarms[-1]
    title = f"{place.name}: {_title(newest)}"
    return Message(title, "\n".join(_lines(alarms, newest, place)))


def test_message(place: Origin) -> Message:
    return Message(
        _("%(name)s: test alarm") % {"name": place.name},
        _(
            "This is a test. Alarms of Multica Admin arrive here. Nothing is wrong, and there is"
            " nothing to do."
        ),
    )


def _title(alarm: ToldChange) -> str:
    if alarm.kind is AlarmKind.RECOVERED:
        return _("recovered, usage is up to date")
    if alarm.kind is AlarmKind.SIGHTED:
        return _("we can see again, %(state)s") % {"state": _STATES[alarm.level]}
    return str(_STATES[alarm.level])


def _lines(alarms: Sequence[ToldChange], newest: ToldChange, place: Origin) -> Iterator[str]:
    yield str(newest.summary)
    yield from _how_it_was(newest)
    for also in newest.also[:MOST_ALSO]:
        yield _("Also: %(finding)s") % {"finding": also}
    if more := len(newest.also) - MOST_ALSO if len(newest.also) > MOST_ALSO else 0:
        yield ngettext("And %(n)s more finding.", "And %(n)s more findings.", more) % {"n": more}
    if newest.advice is not None:
        yield _("Next: %(advice)s") % {"advice": newest.advice}
    if newest.code:
        yield _("What it means: %(where)s") % {"where": _where(newest.code, place)}
    elif place.url:
        yield _("Look at it: %(url)s") % {"url": f"{place.url}/"}
    yield from _missed(alarms[:-1])
    yield from _held_back(newest)
    yield _("Alarm %(number)s of %(name)s, so since %(at)s.") % {
        "number": newest.number,
        "name": place.name,
        "at": written(newest.since),
    }


def _where(code: str, place: Origin) -> str:
    return f"{place.url}/explain/{code}/" if place.url else f"manage.py explain {code}"


def _how_it_was(alarm: ToldChange) -> Iterator[str]:
    if alarm.bad_for is not None:
        yield _("It was bad for %(long)s.") % {"long": seconds(alarm.bad_for)}
    if alarm.kind is AlarmKind.SIGHTED and alarm.level is Level.HEALTHY:
        if alarm.before in (Level.FAILING, Level.DEGRADED):
            yield _("Nobody saw when it became good: nobody could look at that time.")
        else:
            yield _("Nobody knows how usage stood while nobody could look.")


def _missed(earlier: Sequence[ToldChange]) -> Iterator[str]:
    """The alarms that did not get through in time. What they told is over."""
    if not earlier:
        return
    yield ngettext(
        "%(n)s earlier alarm could not be delivered in time:",
        "%(n)s earlier alarms could not be delivered in time:",
        len(earlier),
    ) % {"n": len(earlier)}
    for alarm in earlier[-MOST_MISSED:]:
        yield _("- alarm %(number)s, %(at)s: %(state)s") % {
            "number": alarm.number,
            "at": written(alarm.since),
            "state": _STATES[alarm.level],
        }
    if len(earlier) > MOST_MISSED:
        yield _("- and alarms %(first)s to %(last)s") % {
            "first": earlier[0].number,
            "last": earlier[-MOST_MISSED - 1].number,
        }


def _held_back(alarm: ToldChange) -> Iterator[str]:
    if alarm.held_back:
        yield ngettext(
            "%(n)s change was held back, because there were too many alarms within an hour.",
            "%(n)s changes were held back, because there were too many alarms within an hour.",
            alarm.held_back,
        ) % {"n": alarm.held_back}
    if alarm.is_last:
        yield _(
            "This hour has no room for another alarm. Further changes are counted, and told"
            " together later."
        )
