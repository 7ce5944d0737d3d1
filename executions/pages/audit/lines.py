"""The audit as acts: an intent and the end of the same act are one line.

Both are rows of their own in the table, because rows are only added. This module finds out which
belong together, and has the words for actions. It reads no filters.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.accounts.ways.once import MADE_CODE, SIGNED_IN_ONCE
from executions.alarms.silences import ENDED, SILENCED
from executions.models.retirement import Act, AuditEvent
from executions.pages.rollup.once import RUN_ONCE
from executions.retirement import by_hand, external, found, moved

MOST_EVIDENCE = 20_000
# The actions of a line in words: the wizard's in its order, then those outside it.
ACTIONS: dict[str, str | Promise] = {
    "choose": _("choose"),
    "affirm": _("affirm that our own runner stays"),
    "confirm": _("confirm what was checked"),
    "close": _("drop"),
    Act.Kind.PAUSE.value: _("pause"),
    Act.Kind.REMOVE.value: _("remove"),
    Act.Kind.ACTIVATE.value: _("activate again"),
    Act.Kind.PUT_BACK.value: _("put back"),
    by_hand.REMOVED_BY_HAND: _("remove by hand"),
    by_hand.PUT_BACK_BY_HAND: _("put back by hand"),
    external.REMOVED: _("remove outside the database"),
    external.PUT_BACK: _("put back outside the database"),
    external.CONFIRMED_GONE: _("confirm that it is gone"),
    moved.MOVED: _("close as moved"),
    found.UPLOADED: _("upload a report of findcallers"),
    found.LOOKED_AGAIN: _("look again outside the database"),
    "trial": _("end of the trial"),
    "watch": _("end of the watch"),
    RUN_ONCE: _("run once"),
    SILENCED: _("hold back messages"),
    ENDED: _("end of a silence"),
    MADE_CODE: _("make a code to sign in once"),
    SIGNED_IN_ONCE: _("sign in by a code of the command"),
}
_INTENDED, _DONE = AuditEvent.Outcome.INTENDED, AuditEvent.Outcome.DONE


def action_in_words(action: str) -> str:
    return str(ACTIONS.get(action, action))


@dataclass(frozen=True)
class AuditLine:
    """One line: an event, and the intent that it ends if there was one."""

    event: AuditEvent
    intent: AuditEvent | None = None

    @property
    def statement(self) -> str:
        return self.event.statement or (self.intent.statement if self.intent else "")

    @property
    def summary(self) -> str:
        """What came of it; empty if that only repeats the statement, which the line shows."""
        summary = self.event.summary
        return "" if self.statement and summary.startswith(self.statement) else summary

    @property
    def intended(self) -> AuditEvent | None:
        """The intent, if it tells something: another time or another user."""
        if self.intent is None:
            return None
        event, intent = self.event, self.intent
        at_once = event.at.replace(microsecond=0) == intent.at.replace(microsecond=0)
        return None if at_once and not self.by_another else intent

    @property
    def by_another(self) -> bool:
        """Whether somebody else intended it."""
        return self.intent is not None and self.intent.user_name != self.event.user_name

    @cached_property
    def all_evidence(self) -> dict[str, object]:
        return {**(self.intent.evidence if self.intent else {}), **self.event.evidence}

    @property
    def evidence(self) -> str:
        """Indented JSON, cut if too long to read; empty if there is none."""
        if not self.all_evidence:
            return ""
        text = json.dumps(self.all_evidence, indent=2, ensure_ascii=False)
        return text if len(text) <= MOST_EVIDENCE else f"{text[:MOST_EVIDENCE]}\n…"


def as_acts(rows: QuerySet[AuditEvent]) -> QuerySet[AuditEvent]:
    """These rows without the intents whose end is among them too.

    An act's rows have its number. What is done by hand ends with the first success, because each
    refusal before it leaves it to be done. A run has a number of its own in its evidence.
    """
    ends = rows.exclude(outcome=_INTENDED)
    of_an_act = ends.filter(act_id=OuterRef("act_id"))
    by_hand = ends.filter(
        act_id=None,
        outcome=_DONE,
        retirement_id=OuterRef("retirement_id"),
        action=OuterRef("action"),
        pk__gt=OuterRef("pk"),
    )
    of_a_run = ends.filter(action=RUN_ONCE, evidence__run=OuterRef("evidence__run"))
    ended = (
        Q(Exists(of_an_act))
        | Q(Exists(by_hand), act_id=None)
        | Q(Exists(of_a_run), action=RUN_ONCE)
    )
    return rows.exclude(ended, outcome=_INTENDED)


def with_intents(events: Sequence[AuditEvent]) -> tuple[AuditLine, ...]:
    """The lines of these events, each with the intent that it ends, which is read here."""
    intents = AuditEvent.objects.filter(
        Q(act_id__in=[one.act_id for one in events if one.act_id])
        | Q(
            act_id=None,
            retirement_id__in=[one.retirement_id for one in events if one.retirement_id],
        )
        | Q(action=RUN_ONCE, evidence__run__in=[_run(one) for one in events if _run(one)]),
        outcome=_INTENDED,
    )
    return tuple(_paired(events, intents.order_by("pk")))


def paired(events: Sequence[AuditEvent]) -> tuple[AuditLine, ...]:
    """The lines of all events of one retirement, oldest first: each act is one line."""
    intents = [one for one in events if one.outcome == _INTENDED]
    ended = {intent.pk for event in events for intent in intents if _ends(event, intent)}
    return tuple(_paired([one for one in events if one.pk not in ended], intents))


def _paired(events: Iterable[AuditEvent], intents: Iterable[AuditEvent]) -> Iterable[AuditLine]:
    known = list(intents)
    for event in events:
        own = [intent for intent in known if _ends(event, intent)]
        yield AuditLine(event, own[-1] if own else None)


def _ends(event: AuditEvent, intent: AuditEvent) -> bool:
    """Whether the event ends that intent: `as_acts` for two rows at hand."""
    if event.outcome == _INTENDED or event.action != intent.action or event.pk < intent.pk:
        return False
    if intent.act_id is not None:
        return event.act_id == intent.act_id
    if intent.action == RUN_ONCE:
        return _run(event) is not None and _run(event) == _run(intent)
    return (
        event.act_id is None
        and event.outcome == _DONE
        and event.retirement_id is not None
        and event.retirement_id == intent.retirement_id
    )


def _run(event: AuditEvent) -> object:
    return event.evidence.get("run") if event.action == RUN_ONCE else None
