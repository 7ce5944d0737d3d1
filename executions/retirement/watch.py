"""PURE: what the plans after an act say: wait, verified, worse, or something else writes.

It serves a removed job, a paused one and a schedule outside the database (docs/retiring.md). Every
plan that is due after the act counts, from the first on. The database's clock decides.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import takewhile
from typing import Any

from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from executions.health.facts.pg_cron import PgCron
from executions.health.findings import Case
from executions.health.history.stored import text_from_json, text_to_json
from executions.health.ledger import Cell, PlanOutcome
from executions.health.writers import Pair, jumps, pairs, ran_between
from executions.scheduler.plans import floor
from executions.scheduler.spec import JobSpec
from executions.text.sentences import Sentence, Text, listed, quoted, say, say_counted

PLANS = 3
# If something else still writes after this many plans, there is another caller.
PATIENCE = 12
# A plan is claimed within a tick of 30 s, runs for seconds, and is looked at within 5 s.
_A_RUN = timedelta(minutes=1)


class Word(StrEnum):
    """What the plans so far mean."""

    WAIT = "wait"
    VERIFIED = "verified"
    WORSE = "worse"
    OTHER_CALLER = "other_caller"
    UNPROVEN = "unproven"


@dataclass(frozen=True)
class Watched:
    """What is watched: since when, how many quiet plans are needed, and processes yet to end.

    ``plans`` is `None` if behaviour cannot prove that the caller is gone. ``by_behaviour`` says
    that nothing else proves it, so each plan must tell whether something else wrote before it.
    ``alive`` are runs of the job that began before the act and go on (docs/contract.md section 5).
    """

    since: datetime
    plans: int | None = PLANS
    alive: tuple[int, ...] = ()
    by_behaviour: bool = False

    @property
    def needed(self) -> int:
        return PLANS if self.plans is None else self.plans


@dataclass(frozen=True)
class WatchVerdict:
    """The word, its reason, and the outcome of each plan since the act, oldest first."""

    word: Word
    summary: Sentence
    cells: tuple[Cell, ...] = ()
    writers: int = 0
    alive: tuple[int, ...] = ()
    needed: int = PLANS

    def as_json(self) -> dict[str, object]:
        """What is stored of the verdict. The encoder of evidence writes the times."""
        return {
            "word": self.word.value,
            "summary": text_to_json(self.summary),
            "needed": self.needed,
            "alive": list(self.alive),
            "other_writers": self.writers,
            "plans": [
                {
                    "plan_time": cell.plan_time,
                    "kind": cell.kind.value,
                    "watermark_before": cell.execution and cell.execution.watermark_before,
                    "watermark_after": cell.execution and cell.execution.watermark_after,
                }
                for cell in self.cells
            ],
        }


def summary_of(stored: Mapping[str, Any]) -> Text | None:
    """The sentence of a verdict that `WatchVerdict.as_json` stored, for a reader of any language.

    An older version stored it as it was written; None if nothing was seen yet.
    """
    summary = stored.get("summary")
    if not summary:
        return None
    return quoted(summary) if isinstance(summary, str) else text_from_json(summary)


def step(case: Case, watched: Watched) -> WatchVerdict:
    """Judge the plans that were due after the act."""
    cells = _cells_since(case, watched.since)
    good = _leading(cells)
    bad = next((cell for cell in cells if _is_bad(cell, case)), None)
    word, summary = _bad(bad, case) if bad else _good(case, good, watched)
    return WatchVerdict(
        word,
        summary,
        tuple(cells),
        other_writers(case, good) if good else 0,
        watched.alive,
        watched.needed,
    )


def _good(case: Case, good: list[Cell], watched: Watched) -> tuple[Word, Sentence]:
    """Judge good plans: are they enough, and do they prove anything?"""
    count, latest = len(good), good[-watched.needed :]
    if count < watched.needed:
        return Word.WAIT, say(
            "%(count)s of %(needed)s plans have succeeded since.",
            count=count,
            needed=watched.needed,
        )
    if not _moves(latest):
        return Word.WORSE, say("Plans succeed, but the watermark stands still.")
    if watched.alive:
        return Word.WAIT, say(
            "A run that had begun before still goes on (process %(pids)s).",
            pids=listed(watched.alive),
        )
    return _silence(case, good, watched)


def _silence(case: Case, good: list[Cell], watched: Watched) -> tuple[Word, Sentence]:
    """Judge enough good plans: did anything else write, and does silence prove anything?"""
    count, latest = len(good), good[-watched.needed :]
    is_over = count >= longest_wait(watched.needed)
    heard = jumps(_between(case, latest))
    if heard:
        return _heard(is_over, _seen_to_run(case, heard))
    if watched.by_behaviour and len(_between(case, latest)) < len(latest) - 1:
        return _untold(is_over)
    if watched.plans is None:
        return _unproven(case, good, jumps(_between(case, good)))
    return Word.VERIFIED, say(
        "The latest %(count)s plans succeeded, the watermark moved and nobody else wrote.",
        count=len(latest),
    )


def _unproven(case: Case, good: Sequence[Cell], heard: Sequence[Pair]) -> tuple[Word, Sentence]:
    """Silence proves nothing here; a write since the act shows that the caller was there."""
    if not heard:
        return Word.UNPROVEN, say(
            "%(count)s plans succeeded since and nobody else wrote, but that does not prove"
            " that the caller is gone: say so if you know it.",
            count=len(good),
        )
    return Word.UNPROVEN, say_counted(
        len(heard),
        "%(count)s plans succeeded since, but something else wrote once, before the plan of"
        " %(plan)s, and nobody can prove that it is gone: look again where it was removed.",
        "%(count)s plans succeeded since, but something else wrote %(n)s times, the latest"
        " before the plan of %(plan)s, and nobody can prove that it is gone: look again where"
        " it was removed.",
        count=len(good),
        plan=case.at(heard[0].later.plan_time),
    )


def _seen_to_run(case: Case, heard: Sequence[Pair]) -> list[int]:
    """The jobs that are still shown and, by their run details, ran when something else wrote."""
    seen = case.facts.pg_cron
    if not isinstance(seen, PgCron):
        return []
    ran = frozenset[int]().union(*(ran_between(pair, seen.runs) for pair in heard))
    return [job.jobid for job in seen.jobs if job.jobid in ran]


def _heard(is_over: bool, jobids: list[int]) -> tuple[Word, Sentence]:
    if not jobids:
        still = _("Something else still advanced usage: watching some more plans.")
        over = _("Usage is kept up to date, but something else still calls the rollup too.")
    else:
        still = ngettext_lazy(
            "pg_cron job %(jobids)s still advanced usage: watching some more plans.",
            "pg_cron jobs %(jobids)s still advanced usage: watching some more plans.",
            len(jobids),
        )
        over = ngettext_lazy(
            "Usage is kept up to date, but pg_cron job %(jobids)s still calls the rollup too.",
            "Usage is kept up to date, but pg_cron jobs %(jobids)s still call the rollup too.",
            len(jobids),
        )
    named = listed(jobids)
    if is_over:
        return Word.OTHER_CALLER, say(over, jobids=named)
    return Word.WAIT, say(still, jobids=named)


def _untold(is_over: bool) -> tuple[Word, Sentence]:
    """Some of the plans do not tell whether something else wrote before them."""
    if not is_over:
        return Word.WAIT, say(
            "A plan succeeded only when it was tried again, so nobody can tell whether"
            " something else wrote before it: watching some more plans."
        )
    return Word.UNPROVEN, say(
        "Plans succeed only when they are tried again, so behaviour cannot prove that the"
        " caller is gone: say so if you know it."
    )


def due_after(since: datetime, plans: int, spec: JobSpec) -> datetime:
    """When the last of this many plans after the act becomes due. No watch ends before."""
    return _first_after(since, spec) + (plans - 1) * spec.cadence + spec.schedule_delay


@dataclass(frozen=True)
class WatchOutlook:
    """When the plans that a watch still waits for are due, and when it is done at about.

    ``done`` is None if it is watched for longer than planned, so that nobody can say.
    """

    due: tuple[datetime, ...]
    done: datetime | None


def outlook(watched: Watched, begun: int, now: datetime, spec: JobSpec) -> WatchOutlook:
    """What the watch waits for after so many plans have begun."""
    since, needed = watched.since, watched.needed
    done = due_after(since, needed, spec) + _A_RUN
    if begun < needed or now < done:
        coming = range(begun + 1, needed + 1)
        return WatchOutlook(tuple(due_after(since, number, spec) for number in coming), done)
    return WatchOutlook((due_after(now, 1, spec),), None)


def longest_wait(needed: int) -> int:
    """A watch ends after this many plans, even if something else still writes."""
    return max(PATIENCE, 2 * needed)


def _first_after(since: datetime, spec: JobSpec) -> datetime:
    return floor(since - spec.schedule_delay, spec.cadence) + spec.cadence


def _cells_since(case: Case, since: datetime) -> list[Cell]:
    """The plans that became due after the act, oldest first."""
    first = _first_after(since, case.spec)
    return [cell for cell in case.ledger.cells if cell.plan_time >= first]


def _is_bad(cell: Cell, case: Case) -> bool:
    """Whether the plan can no longer succeed.

    The newest bucket can still be begun or retried until the next one is due.
    """
    if cell.kind.is_success or cell.kind in {PlanOutcome.WAITING, PlanOutcome.RUNNING}:
        return False
    row = cell.execution
    exhausted = row is not None and row.attempt >= row.max_attempts
    return exhausted or cell.plan_time < case.newest_plan


_REASONS = {
    PlanOutcome.BLIND: _(
        "The plan of %(plan)s has no run on record, from a time in which nobody could look."
    ),
    PlanOutcome.FAILED: _("The plan of %(plan)s failed."),
    PlanOutcome.STALE: _("The plan of %(plan)s was abandoned while it ran."),
}


def _bad(cell: Cell, case: Case) -> tuple[Word, Sentence]:
    missed = _("The plan of %(plan)s was missed: no backend ran it.")
    return Word.WORSE, say(_REASONS.get(cell.kind, missed), plan=case.at(cell.plan_time))


def _leading(cells: Sequence[Cell]) -> list[Cell]:
    """The successes from the first plan on."""
    return list(takewhile(lambda cell: cell.kind.is_success, cells))


def _moves(cells: Sequence[Cell]) -> bool:
    """Whether the watermark is further after the last of these plans than before the first."""
    first, last = cells[0].execution, cells[-1].execution
    if first is None or last is None:
        return False
    if first.watermark_before is None or last.watermark_after is None:
        return False
    return last.watermark_after > first.watermark_before


def other_writers(case: Case, cells: Sequence[Cell]) -> int:
    """How often something else moved the watermark between these plans."""
    return len(jumps(_between(case, cells)))


def _between(case: Case, cells: Sequence[Cell]) -> list[Pair]:
    """The pairs of neighbouring plans among these that can be compared."""
    first, last = cells[0].plan_time, cells[-1].plan_time
    return [
        pair
        for pair in pairs(case.rows)
        if pair.earlier.plan_time >= first and pair.later.plan_time <= last
    ]
