"""PURE: how many quiet plans prove that a caller outside the database is gone, and why.

A caller shows in the plans only while it moves the watermark (`executions/health/writers.py`). It
is gone once its silence exceeds its longest silence in the ledger. `watch.py` counts the plans.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.health.findings import Case
from executions.health.findings.writer import LEAST, OTHER_WRITER_OFTEN, told_from
from executions.health.ledger import usual_window
from executions.health.writers import pairs, silences
from executions.text.sentences import At, Sentence, Text, say, say_counted, together

# The longest watch of a silence: six hours, a quarter of the ledger.
PATIENCE = 72
# This many plans at the old end of a day may have left the ledger already.
EDGE = 2


@dataclass(frozen=True)
class Quiet:
    """The quiet period. ``plans`` is `None` if behaviour cannot prove that the caller is gone.

    ``longest`` is the longest silence since ``looked_from``, from ``since`` to ``until``.
    ``writes`` is how often the caller showed, ``cadence`` that of the plans. ``is_whole`` says that
    the plans on record reach back a day; a caller that runs only at night needs that long to show.
    """

    plans: int | None
    writes: int
    longest: timedelta
    since: datetime
    until: datetime
    looked_from: datetime
    cadence: timedelta
    is_whole: bool = True

    def as_json(self) -> dict[str, object]:
        """The quiet period for the record of a retirement."""
        return {
            "plans": self.plans,
            "writes": self.writes,
            "is_whole": self.is_whole,
            "longest_seconds": self.longest.total_seconds(),
            "cadence_seconds": self.cadence.total_seconds(),
            **{name: getattr(self, name).isoformat() for name in _MOMENTS},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, object]) -> Quiet:
        plans = stored["plans"]
        return cls(
            plans=None if plans is None else int(str(plans)),
            writes=int(str(stored["writes"])),
            longest=timedelta(seconds=float(str(stored["longest_seconds"]))),
            cadence=timedelta(seconds=float(str(stored["cadence_seconds"]))),
            is_whole=bool(stored.get("is_whole", True)),
            **{name: datetime.fromisoformat(str(stored[name])) for name in _MOMENTS},
        )

    def summary(self, now: datetime) -> Text:
        """How long the wait is and why, or why behaviour cannot prove anything."""
        if self.plans is not None:
            return self._how_long(now)
        return together(
            self._why_not(now),
            say("If you know that it is gone, say so; the audit records your name."),
        )

    def _how_long(self, now: datetime) -> Text:
        assert self.plans is not None  # noqa: S101  asked only then
        return together(
            say(
                "It takes %(plans)s plans, about %(duration)s, in which nothing but the runners"
                " moves the watermark.",
                plans=self.plans,
                duration=self.plans * self.cadence,
            ),
            say(
                "Since %(looked_from)s the caller was silent for %(longest)s at most, from"
                " %(since)s to %(until)s: it is gone only if it is silent for longer.",
                looked_from=At(self.looked_from, now),
                longest=self.longest,
                since=At(self.since, now),
                until=At(self.until, now),
            ),
        )

    def _why_not(self, now: datetime) -> Sentence:
        if not self.writes:
            return self._without_a_trace(now)
        if self.writes < OTHER_WRITER_OFTEN:
            return self._too_rare(now)
        return self._too_long(now) if self.is_whole else self._too_young(now)

    def _too_young(self, now: datetime) -> Sentence:
        return say(
            "Behaviour cannot prove that it is gone: the plans on record reach back to"
            " %(looked_from)s only, and a caller may run at some hours of the day only.",
            looked_from=At(self.looked_from, now),
        )

    def _without_a_trace(self, now: datetime) -> Sentence:
        return say(
            "Behaviour cannot prove that it is gone: since %(looked_from)s nothing besides the"
            " runners moved the watermark, so there was nothing that could fall silent.",
            looked_from=At(self.looked_from, now),
        )

    def _too_rare(self, now: datetime) -> Sentence:
        return say_counted(
            self.writes,
            "Behaviour cannot prove that it is gone: since %(looked_from)s something besides"
            " the runners moved the watermark only once, so silence proves nothing.",
            "Behaviour cannot prove that it is gone: since %(looked_from)s something besides"
            " the runners moved the watermark only %(n)s times, so silence proves nothing.",
            looked_from=At(self.looked_from, now),
        )

    def _too_long(self, now: datetime) -> Sentence:
        return say(
            "Behaviour cannot prove that it is gone: the caller was silent for %(longest)s"
            " before, from %(since)s to %(until)s, and we watch for %(patience)s at most.",
            longest=self.longest,
            since=At(self.since, now),
            until=At(self.until, now),
            patience=PATIENCE * self.cadence,
        )


_MOMENTS = ("since", "until", "looked_from")


def quiet_period(case: Case) -> Quiet:
    """From the whole ledger: the longest silence, those at both ends included, plus one plan.

    A plan that does not tell whether something else wrote before it belongs to a silence. A ledger
    shorter than a day shows no longest silence, because a caller may run at night only. Fewer than
    three writes show no repeated silence: they may be a backfill or a manual call.
    """
    found = pairs(case.rows)
    newest = case.newest_plan
    oldest = told_from(case, found)
    silent = silences(found, oldest, newest)
    since, until = max(silent, key=lambda silence: silence[1] - silence[0])
    longest, writes = until - since, len(silent) - 1
    needed = max(LEAST, longest // case.spec.cadence + 1)
    day = usual_window(case.spec) - EDGE * case.spec.cadence
    is_whole = case.ledger.looked_from is None and newest - oldest >= day
    is_provable = is_whole and writes >= OTHER_WRITER_OFTEN and needed <= PATIENCE
    return Quiet(
        plans=needed if is_provable else None,
        writes=writes,
        longest=longest,
        since=since,
        until=until,
        looked_from=oldest,
        cadence=case.spec.cadence,
        is_whole=is_whole,
    )
