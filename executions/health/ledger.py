"""PURE: the plan ledger. The expected plan_times of a window, compared with the existing rows.

It is the one source for the plan strip, the counts of the last 24 hours, the streak that a
retirement needs and the gap finding. It judges no severity, and is for jobs with a cadence only.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property, partial
from itertools import accumulate, repeat, takewhile
from operator import add
from typing import NamedTuple

from executions.health.facts.executions import ExecutionFact, Executions
from executions.health.facts.unwatched import Unwatched, was_unwatched
from executions.scheduler.plans import floor, newest_due
from executions.scheduler.spec import JobSpec

WINDOW = timedelta(hours=24)
LONG_WINDOW = timedelta(days=7)
CELLS_PER_ROW = 12
ROWS = 24
# Every runner's tick, Go's and ours: docs/contract.md section 3.
TICK = timedelta(seconds=30)


class PlanOutcome(StrEnum):
    """The outcome of one expected plan."""

    KEPT = "kept"
    KEPT_LATE = "kept_late"  # finished only after the next plan was due
    RETRIED = "retried"
    FAILED = "failed"
    RUNNING = "running"
    STALE = "stale"
    MISSING = "missing"
    BLIND = "blind"  # no row, in a time in which nobody could look: neither kept nor missed
    WAITING = "waiting"  # not yet due, or due so recently that a runner may be about to begin it
    NONE = "none"  # before the first execution ever, or before what was read: nothing is expected

    # That of an enumeration is in Python, and a week is counted by 2,000 of them.
    __hash__ = str.__hash__

    @property
    def is_success(self) -> bool:
        return self in _SUCCESSES

    @property
    def has_row(self) -> bool:
        return self not in _WITHOUT_ROW

    @property
    def is_expected(self) -> bool:
        return self not in _UNEXPECTED


_SUCCESSES = frozenset({PlanOutcome.KEPT, PlanOutcome.KEPT_LATE, PlanOutcome.RETRIED})
_UNEXPECTED = frozenset({PlanOutcome.BLIND, PlanOutcome.WAITING, PlanOutcome.NONE})
_WITHOUT_ROW = _UNEXPECTED | {PlanOutcome.MISSING}


class Cell(NamedTuple):
    """One expected plan_time with its outcome, and the rows off the grid in its bucket.

    ``execution`` is its row. It is None too for a kept plan of a `KeptStretch`.
    """

    plan_time: datetime
    kind: PlanOutcome
    execution: ExecutionFact | None = None
    extras: tuple[ExecutionFact, ...] = ()


# `Cell` from all its values, without a call of Python for each of 2,000.
_cell = partial(tuple.__new__, Cell)


@dataclass(frozen=True)
class Gap:
    """Plans that nobody began, between two that somebody did: ``first`` to ``last``.

    ``before`` is the newest row before them; None if it lies before the window.
    """

    first: datetime
    last: datetime
    count: int
    before: ExecutionFact | None
    after: ExecutionFact


@dataclass(frozen=True)
class Streak:
    """The newest successes without a break, newest first, and the cell that ended them."""

    cells: tuple[Cell, ...]
    broken_by: Cell | None

    def __len__(self) -> int:
        return len(self.cells)


@dataclass(frozen=True)
class Ledger:
    """The cells of a window, oldest first, and the rows that fit none.

    ``grace`` is how long past its due time a plan may be absent before that counts. ``looked_from``
    is set if there were too many rows to read further back.
    """

    cells: tuple[Cell, ...]
    grace: timedelta
    off_grid: tuple[ExecutionFact, ...] = ()
    ahead: tuple[ExecutionFact, ...] = ()
    looked_from: datetime | None = None

    @cached_property
    def mark(self) -> tuple[object, ...]:
        """Changes with the window, the plans' kinds, rows off the grid and the ends of gaps."""
        return (
            self.cells[0].plan_time if self.cells else None,
            " ".join(cell.kind for cell in self.cells),
            [row.plan_time for row in self.off_grid],
            [
                (gap.first, gap.before and gap.before.finished_at, gap.after.watermark_after)
                for gap in self.gaps
            ],
            self.looked_from,
        )

    @cached_property
    def counts(self) -> Counter[PlanOutcome]:
        return Counter([cell.kind for cell in self.cells])

    @property
    def expected(self) -> int:
        return sum(count for kind, count in self.counts.items() if kind.is_expected)

    @property
    def missing(self) -> int:
        return self.counts[PlanOutcome.MISSING]

    @property
    def kept(self) -> int:
        """How many plans succeeded, in whatever way."""
        return sum(count for kind, count in self.counts.items() if kind.is_success)

    def rows(self, per_row: int = CELLS_PER_ROW) -> list[tuple[Cell, ...]]:
        """The cells in rows, oldest first: 24 of 12 for a day of the rollup."""
        return [self.cells[at : at + per_row] for at in range(0, len(self.cells), per_row)]

    @cached_property
    def streak(self) -> Streak:
        """Due plans that succeeded, from the newest back.

        A plan that is not due yet is skipped. So is a newest plan that is RUNNING under a live
        lease (docs/interfaces.md, gate ``success_streak``).
        """
        due = [cell for cell in reversed(self.cells) if cell.kind is not PlanOutcome.WAITING]
        if due and due[0].kind is PlanOutcome.RUNNING:
            del due[0]
        for index, cell in enumerate(due):
            if not cell.kind.is_success:
                return Streak(tuple(due[:index]), None if cell.kind is PlanOutcome.NONE else cell)
        return Streak(tuple(due), None)

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Series of missing plans that a later row ends, oldest first (docs/contract.md section 6).

        The silence up to now has no later row: that is a stopped rollup and not a gap.
        """
        return tuple(self._find_gaps())

    def _find_gaps(self) -> Iterator[Gap]:
        missing: list[Cell] = []
        before: ExecutionFact | None = None
        for cell in self.cells:
            if cell.kind is PlanOutcome.MISSING:
                missing.append(cell)
            if cell.execution is None:
                continue
            if missing:
                first, last = missing[0].plan_time, missing[-1].plan_time
                yield Gap(first, last, len(missing), before, cell.execution)
            missing, before = [], cell.execution


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """Like PostgreSQL's ``percentile_cont``; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    at = (len(ordered) - 1) * fraction
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def durations(rows: Sequence[ExecutionFact]) -> list[int]:
    """The milliseconds of those that succeeded."""
    return [row.duration_ms for row in rows if row.succeeded and row.duration_ms is not None]


def usual_window(spec: JobSpec) -> timedelta:
    """A day, or as many plans as the rollup has in one if that is less."""
    return min(WINDOW, ROWS * CELLS_PER_ROW * spec.cadence)


def lay(
    executions: Executions,
    now: datetime,
    spec: JobSpec,
    window: timedelta | None = None,
    unwatched: Sequence[Unwatched] = (),
) -> Ledger:
    """Compare the rows with the plans that were to begin in the ``window`` up to ``now``.

    A row is evidence whenever it was written. A plan without a row is not called missing if it was
    to begin in a stretch that is ``unwatched``.

    A plan is due once plan_time, delay, tick and the 95th percentile of a day's durations have
    passed (docs/interfaces.md, gates), or once a later one has begun: latest-only never returns to
    it.
    """
    last = newest_due(spec, now)
    since = last - usual_window(spec)
    lately = list(takewhile(lambda row: row.plan_time >= since, executions.rows))
    grace = TICK + timedelta(milliseconds=percentile(durations(lately), 0.95) or 0)
    count = (window or usual_window(spec)) // spec.cadence
    first = last - (count - 1) * spec.cadence
    steps = repeat(spec.cadence, count - 1)
    plan_times = list(accumulate(steps, add, initial=first)) if count else []
    on_grid, off_grid = _sort(executions.rows, plan_times, spec.cadence)
    newest_row = next((begun for begun in on_grid if begun <= last), None)  # the newest is first
    expected_from = _expected_from(executions, spec.cadence)
    soon = in_time(spec)
    kinds = _known_kept(executions, plan_times, spec.cadence)
    for place, plan_time in enumerate(plan_times):
        if kinds[place] is not PlanOutcome.NONE:
            continue
        row = on_grid.get(plan_time)
        if row is not None:
            kind = _kind(row, now, soon)
        elif expected_from is None or plan_time < expected_from:
            kind = PlanOutcome.NONE
        elif newest_row is not None and newest_row > plan_time:
            kind = PlanOutcome.MISSING
        else:
            due = plan_time + spec.schedule_delay + grace
            kind = PlanOutcome.MISSING if now > due else PlanOutcome.WAITING
        if kind is PlanOutcome.MISSING and was_unwatched(
            unwatched, plan_time + spec.schedule_delay, plan_time + soon
        ):
            kind = PlanOutcome.BLIND
        kinds[place] = kind
    rows = map(on_grid.get, plan_times)
    extras = (tuple(off_grid.get(at, ())) for at in plan_times) if off_grid else repeat(())
    return Ledger(
        cells=tuple(map(_cell, zip(plan_times, kinds, rows, extras, strict=False))),
        grace=grace,
        off_grid=tuple(row for rows in off_grid.values() for row in rows),
        ahead=tuple(row for row in executions.rows if row.plan_time > last),
        looked_from=executions.since if executions.cut_short else None,
    )


def in_time(spec: JobSpec) -> timedelta:
    """How long after its plan_time a plan may end in time: until the next one is due."""
    return spec.cadence + spec.schedule_delay


def _known_kept(
    executions: Executions, plan_times: Sequence[datetime], cadence: timedelta
) -> list[PlanOutcome]:
    """The outcomes of plans that are known without a row; NONE for all others."""
    kinds = [PlanOutcome.NONE] * len(plan_times)
    for stretch in executions.kept:
        at = (stretch.first - plan_times[0]) // cadence
        count = stretch.count(cadence)
        kinds[at : at + count] = [PlanOutcome.KEPT] * count
    return kinds


def _sort(
    rows: Sequence[ExecutionFact], plan_times: Sequence[datetime], cadence: timedelta
) -> tuple[dict[datetime, ExecutionFact], dict[datetime, list[ExecutionFact]]]:
    """Rows by plan_time, and rows off the grid by their bucket."""
    by_time = {row.plan_time: row for row in rows}
    if sum(map(by_time.__contains__, plan_times)) == len(by_time):
        return by_time, {}
    expected = set(plan_times)
    on_grid: dict[datetime, ExecutionFact] = {}
    off_grid: dict[datetime, list[ExecutionFact]] = defaultdict(list)
    for row in rows:
        plan_time = row.plan_time
        if plan_time in expected or (bucket := floor(plan_time, cadence)) == plan_time:
            on_grid[plan_time] = row
        else:
            off_grid[bucket].append(row)
    return on_grid, off_grid


def _expected_from(executions: Executions, cadence: timedelta) -> datetime | None:
    """The first expected plan: the first execution ever, or the oldest that was read if later."""
    if executions.first_plan is None:
        return None
    return max(floor(executions.first_plan, cadence), executions.since)


def _kind(row: ExecutionFact, now: datetime, soon: timedelta) -> PlanOutcome:
    """The outcome of a plan by its row. It is in time if it ended as ``soon`` as `in_time` says."""
    if not row.succeeded:
        if row.running:
            return PlanOutcome.STALE if row.is_stale(now) else PlanOutcome.RUNNING
        if row.failed:
            return PlanOutcome.FAILED
    if row.attempt > 1:
        return PlanOutcome.RETRIED
    late = row.finished_at is not None and row.finished_at - row.plan_time > soon
    return PlanOutcome.KEPT_LATE if late else PlanOutcome.KEPT
