"""PURE: whether a look is something that people are told.

A change is told once it has held for ``after`` and was seen at least twice. Findings for
information only are never told. Moments are by the clock of our own tables' database.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from executions.health.findings import Finding
from executions.health.findings.base import Severity
from executions.health.verdict import Level, Verdict
from executions.text.sentences import Text, say_counted, sentences_of, together

HOUR = timedelta(hours=1)
# A single look may have met a passing trouble.
SEEN_AT_LEAST = 2


class AlarmKind(StrEnum):
    """What an alarm tells."""

    BEGAN = "began"
    CHANGED = "changed"
    RECOVERED = "recovered"
    BLIND = "blind"
    SIGHTED = "sighted"
    HELD_BACK = "held_back"


@dataclass(frozen=True)
class VerdictShape:
    """What alarms compare: the level, and the findings that are more than information."""

    level: Level
    codes: tuple[str, ...] = ()

    @property
    def is_bad(self) -> bool:
        return self.level in (Level.FAILING, Level.DEGRADED)


CALM = VerdictShape(Level.HEALTHY)


def shape_of(verdict: Verdict) -> VerdictShape:
    return VerdictShape(
        verdict.level, tuple(sorted(one.code for one in worth_telling(verdict.findings)))
    )


def worth_telling(findings: Sequence[Finding]) -> list[Finding]:
    return [one for one in findings if one.severity > Severity.INFO]


@dataclass(frozen=True)
class HeldBack:
    """What is silenced: every message, or those about the findings with these codes."""

    everything: bool = False
    codes: frozenset[str] = frozenset()


NOTHING_SILENCED = HeldBack()


def told_of_verdict(verdict: Verdict, quiet: HeldBack) -> tuple[Text, list[Finding]]:
    """The first sentence of an alarm, and its findings, worst first: none that is silenced."""
    worth = worth_telling(verdict.findings)
    loud = [one for one in worth if one.code not in quiet.codes]
    silenced = len(worth) - len(loud)
    if not silenced or verdict.level is Level.UNKNOWN:
        return verdict.summary, loud
    if not loud:
        left = say_counted(
            silenced,
            "What is left is silenced: %(n)s finding.",
            "What is left is silenced: %(n)s findings.",
        )
        return left, loud
    more = say_counted(
        silenced, "%(n)s more finding is silenced.", "%(n)s more findings are silenced."
    )
    return together(*sentences_of(loud[0].summary), more), loud


@dataclass(frozen=True)
class TellingRules:
    """``most`` is how many alarms an hour may have."""

    after: timedelta
    most: int


@dataclass(frozen=True)
class Telling:
    """What the looks so far have left.

    ``told`` is what people know, and ``now`` what was seen last, ``times`` times since ``since``.
    ``blindly`` says that nobody saw when it began. ``bad_since`` is the beginning of the bad time
    that people know of. ``held_back`` counts the changes that an hour had no room for, and
    ``is_counted`` says that the present one is among them.
    """

    told: VerdictShape = CALM
    now: VerdictShape = CALM
    since: datetime | None = None
    times: int = 0
    blindly: bool = False
    bad_since: datetime | None = None
    held_back: int = 0
    is_counted: bool = False


@dataclass(frozen=True)
class Due:
    """An alarm that is due. ``bad_for`` is how long it was bad; None unless it recovered.

    ``before`` is the level that people know of. ``is_last`` says that the hour has no more room.
    """

    kind: AlarmKind
    since: datetime
    before: Level
    bad_for: timedelta | None
    held_back: int
    is_last: bool


def hear(
    state: Telling,
    seen: VerdictShape,
    at: datetime,
    rules: TellingRules,
    made: Sequence[datetime],
    *,
    anew: bool = False,
    blindly: bool = False,
    quiet: HeldBack = NOTHING_SILENCED,
) -> tuple[Telling, Due | None]:
    """The state after a look, and the alarm that is due by now.

    ``made`` are the moments of earlier alarms. ``anew``: nobody knows what was between this look
    and the one before. ``blindly``: this is the first look after a time in which nobody saw.
    ``quiet``: what is silenced now. What people know stays as it is, so whatever is still so when
    the silence ends is told then.
    """
    if seen == state.now and state.since is not None and not anew:
        state = replace(state, times=state.times + 1)
    else:
        began_blindly = blindly or (anew and seen != state.now)
        counted = state.is_counted and seen == state.now
        state = replace(
            state, now=seen, since=at, times=1, blindly=began_blindly, is_counted=counted
        )
    since = state.since or at
    held = at - since >= rules.after and state.times >= SEEN_AT_LEAST
    is_news = _is_news(state.told, seen, quiet)
    if quiet.everything or not held or not (is_news or state.held_back):
        return state, None
    lately = [moment for moment in made if at - moment < HOUR]
    if len(lately) >= rules.most:
        if is_news and not state.is_counted:
            state = replace(state, held_back=state.held_back + 1, is_counted=True)
        return state, None
    due = Due(
        kind=_kind(state),
        since=since,
        before=state.told.level,
        bad_for=since - state.bad_since if _recovers(state) and state.bad_since else None,
        held_back=state.held_back,
        is_last=len(lately) + 1 == rules.most,
    )
    told = replace(state, told=seen, bad_since=_bad_since(state), held_back=0, is_counted=False)
    return told, due


def _is_news(told: VerdictShape, seen: VerdictShape, quiet: HeldBack) -> bool:
    """Whether they differ in more than what is silenced."""
    if told == seen:
        return False
    if told.level is not seen.level and Level.UNKNOWN in (told.level, seen.level):
        return True
    changed = set(told.codes) ^ set(seen.codes) or set(seen.codes)
    return not changed <= quiet.codes


def _recovers(state: Telling) -> bool:
    seen_it = not state.blindly and state.told.level is not Level.UNKNOWN
    return state.now.level is Level.HEALTHY and state.told.is_bad and seen_it


def _kind(state: Telling) -> AlarmKind:
    if state.now == state.told:
        return AlarmKind.HELD_BACK
    if state.now.level is Level.UNKNOWN:
        return AlarmKind.BLIND
    if _recovers(state):
        return AlarmKind.RECOVERED
    if state.told.level is Level.UNKNOWN or state.now.level is Level.HEALTHY:
        return AlarmKind.SIGHTED
    return AlarmKind.CHANGED if state.told.is_bad else AlarmKind.BEGAN


def _bad_since(state: Telling) -> datetime | None:
    """While nobody can look, what was bad may still be."""
    if state.now.level is Level.HEALTHY:
        return None
    return state.bad_since or (state.since if state.now.is_bad else None)
