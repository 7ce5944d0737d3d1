"""PURE: what the plans after an act say: go on waiting, verified, worse, or somebody else writes.

The same for a removed job, a paused one and a schedule outside the database (docs/retiring.md).
Every plan that is due after the act counts, from the first on; the database's clock decides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from django.utils.translation import gettext_lazy as _

from executions.health.findings import Case
from executions.health.ledger import Cell, Kind
from executions.health.sentences import Sentence, say
from executions.health.writers import jumps, pairs
from executions.scheduler.plans import floor

PLANS = 3
# After so many plans with another writer among them, there is another caller.
PATIENCE = 12


class Word(StrEnum):
    """What to make of the plans so far."""

    WAIT = "wait"
    VERIFIED = "verified"
    WORSE = "worse"
    OTHER_CALLER = "other_caller"


@dataclass(frozen=True)
class Watched:
    """What is watched: since when, how many quiet plans it takes, and processes yet to end.

    ``alive`` are runs of the job that began before the act and go on (docs/contract.md section 5).
    """

    since: datetime
    plans: int = PLANS
    alive: tuple[int, ...] = ()


@dataclass(frozen=True)
class Step:
    """The word, why, and what became of each plan since the act, oldest first."""

    word: Word
    summary: Sentence
    cells: tuple[Cell, ...] = ()
    writers: int = 0
    alive: tuple[int, ...] = ()
    needed: int = PLANS

    def as_json(self) -> dict[str, object]:
        """What is kept of it: times are left to the encoder of evidence."""
        return {
            "word": self.word.value,
            "summary": str(self.summary),
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


def step(case: Case, watched: Watched) -> Step:
    """Judge the plans that were due after the act."""
    cells = _cells_since(case, watched.since)
    good = _leading(cells)
    bad = next((cell for cell in cells if _is_bad(cell, case)), None)
    word, summary = _bad(bad, case) if bad else _good(case, good, watched)
    return Step(
        word,
        summary,
        tuple(cells),
        other_writers(case, good) if good else 0,
        watched.alive,
        watched.plans,
    )


def _good(case: Case, good: list[Cell], watched: Watched) -> tuple[Word, Sentence]:
    """Nothing has gone wrong so far: is it enough, and does it prove anything?"""
    count, latest = len(good), good[-watched.plans :]
    if count < watched.plans:
        return Word.WAIT, say(
            _("%(count)s of %(needed)s plans have succeeded since."),
            count=count,
            needed=watched.plans,
        )
    if not _moves(latest):
        return Word.WORSE, say(_("Plans succeed, but the watermark stands still."))
    if watched.alive:
        return Word.WAIT, say(
            _("A run that had begun before still goes on (process %(pids)s)."),
            pids=", ".join(map(str, watched.alive)),
        )
    if not other_writers(case, latest):
        return Word.VERIFIED, say(
            _("%(count)s plans succeeded since, the watermark moves and nobody else writes."),
            count=count,
        )
    if count < max(PATIENCE, 2 * watched.plans):
        return Word.WAIT, say(_("Something else still advanced usage: watching some more plans."))
    return Word.OTHER_CALLER, say(
        _("Usage is kept up to date, but something else still calls the rollup too.")
    )


def _cells_since(case: Case, since: datetime) -> list[Cell]:
    """The plans that became due after the act, oldest first."""
    spec = case.spec
    first = floor(since - spec.schedule_delay, spec.cadence) + spec.cadence
    return [cell for cell in case.ledger.cells if cell.plan_time >= first]


def _is_bad(cell: Cell, case: Case) -> bool:
    """Whether nothing can make the plan succeed any more.

    The newest bucket can still be taken up or retried until the next one is due.
    """
    if cell.kind.is_success or cell.kind in {Kind.WAITING, Kind.RUNNING}:
        return False
    row = cell.execution
    exhausted = row is not None and row.attempt >= row.max_attempts
    return exhausted or cell.plan_time < case.newest_plan


_REASONS = {
    Kind.FAILED: _("The plan of %(plan)s failed."),
    Kind.STALE: _("The plan of %(plan)s was abandoned while it ran."),
}


def _bad(cell: Cell, case: Case) -> tuple[Word, Sentence]:
    missed = _("The plan of %(plan)s was missed: no backend ran it.")
    return Word.WORSE, say(_REASONS.get(cell.kind, missed), plan=case.at(cell.plan_time))


def _leading(cells: Sequence[Cell]) -> list[Cell]:
    """The successes from the first plan on."""
    good: list[Cell] = []
    for cell in cells:
        if not cell.kind.is_success:
            break
        good.append(cell)
    return good


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
    first, last = cells[0].plan_time, cells[-1].plan_time
    between = [
        pair
        for pair in pairs(case.rows)
        if pair.earlier.plan_time >= first and pair.later.plan_time <= last
    ]
    return len(jumps(between))


def quiet_plans(case: Case) -> int:
    """How many plans without another writer prove that a caller outside the database is gone.

    One more than the longest silence between its writes lately, so that an hourly caller is not
    taken for gone after a quarter of an hour. At least three, at most the plans that are judged.
    """
    lately = pairs(case.rows)[: PATIENCE - 1]
    writes = [pair.later.plan_time for pair in jumps(lately)]
    if not writes:
        return PATIENCE
    silences = [(later - earlier) // case.spec.cadence for later, earlier in pairwise(writes)]
    return min(PATIENCE, max([PLANS, *(silence + 1 for silence in silences)]))
