"""PURE: the facts about the executions of one job (docs/contract.md section 2)."""

from array import array
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from operator import attrgetter
from typing import Any
from uuid import UUID

from executions.text.digest import digest

# Rows may be a little newer than the clock that was read just before them.
CLOCK_ALLOWANCE = timedelta(seconds=5)


@dataclass(frozen=True)
class ExecutionFact:
    """One row of ``sys_cron_executions`` (docs/contract.md section 2).

    The watermarks are those of its ``result``; ``error_msg`` is cut to 500 characters.
    """

    id: UUID
    plan_time: datetime
    status: str
    attempt: int
    max_attempts: int
    next_retry_at: datetime | None = None
    runner_id: str | None = None
    heartbeat_at: datetime | None = None
    stale_after: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    rows_affected: int | None = None
    watermark_before: datetime | None = None
    watermark_after: datetime | None = None
    error_code: str | None = None
    error_msg: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCESS"

    @property
    def failed(self) -> bool:
        return self.status == "FAILED"

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def exhausted(self) -> bool:
        """FAILED, and no attempt is left."""
        return self.failed and self.attempt >= self.max_attempts

    @property
    def moved(self) -> timedelta | None:
        """How far it moved the watermark; None if its result does not say."""
        if self.watermark_before is None or self.watermark_after is None:
            return None
        return self.watermark_after - self.watermark_before

    def proven_at(self, now: datetime) -> datetime | None:
        """When a SUCCESS certainly ended; None if it says nothing about the past.

        An end in the database's future is no measurement (docs/contract.md section 6,
        ``clock_or_foreign_writer``). Then only its plan_time counts, if that is not in the future
        too.
        """
        if self.finished_at is None or self.finished_at <= now + CLOCK_ALLOWANCE:
            return self.finished_at
        return self.plan_time if self.plan_time <= now else None

    @property
    def starts_before_its_plan(self) -> bool:
        """Every runner plans and claims by the same clock, and claims no plan before it is due."""
        return self.started_at is not None and self.plan_time - self.started_at > CLOCK_ALLOWANCE

    @property
    def last_seen(self) -> datetime:
        """When its runner was last heard of."""
        return self.finished_at or self.started_at or self.plan_time

    def is_ahead(self, now: datetime) -> bool:
        """Whether one of its times lies in the database's future, which no scheduler writes."""
        limit = now + CLOCK_ALLOWANCE
        return (
            self.plan_time > limit
            or (self.started_at is not None and self.started_at > limit)
            or (self.finished_at is not None and self.finished_at > limit)
        )

    def is_stale(self, now: datetime) -> bool:
        """RUNNING past its lease. Derived, never stored (docs/contract.md section 2)."""
        return self.running and self.stale_after is not None and self.stale_after < now


_NAMES = tuple(field.name for field in fields(ExecutionFact) if field.name != "id")


def _column(values: list[Any]) -> object:
    """A column in a form that is written fast: if all of it is times, as a block of numbers."""
    try:
        return array("d", map(datetime.timestamp, values)).tobytes()
    except TypeError:
        return values


def runners_of(rows: Iterable[Any]) -> set[str]:
    """The runners that are named in these executions, in whichever form they were read."""
    return {row.runner_id for row in rows if row.runner_id}


def begun_by_runner(
    rows: Iterable[ExecutionFact], now: datetime, window: timedelta
) -> dict[str | None, list[ExecutionFact]]:
    """The runs that began within the ``window`` before now, in the order of the rows."""
    found: dict[str | None, list[ExecutionFact]] = defaultdict(list)
    for row in rows:
        if row.started_at is not None and now - window <= row.started_at <= now:
            found[row.runner_id].append(row)
    return found


@dataclass(frozen=True)
class KeptStretch:
    """Plans in a row that were simply kept: on time, at the first try. Both ends are plan_times."""

    first: datetime
    last: datetime

    def count(self, cadence: timedelta) -> int:
        return (self.last - self.first) // cadence + 1


@dataclass(frozen=True)
class Executions:
    """The executions of one job and scope, newest plan_time first, complete from ``since`` on.

    ``earlier`` is the newest row before ``since``, read only if ``rows`` is empty.
    ``earlier_success`` is the newest SUCCESS before it, read (within a bounded number of rows) only
    if ``rows`` has none. ``stale`` are RUNNING rows past their lease, of any age, the most recent
    lease first. ``first_plan`` is the oldest plan_time of all. ``cut_short`` says that there were
    too many rows, so ``since`` is later than asked for. ``kept`` are plans whose rows were
    not read: nothing counts of them but that they were kept, and none of them is beside a gap.
    """

    rows: tuple[ExecutionFact, ...]
    since: datetime
    first_plan: datetime | None = None
    earlier: ExecutionFact | None = None
    earlier_success: ExecutionFact | None = None
    stale: tuple[ExecutionFact, ...] = ()
    cut_short: bool = False
    kept: tuple[KeptStretch, ...] = ()

    @property
    def newest(self) -> ExecutionFact | None:
        return self.rows[0] if self.rows else self.earlier

    @cached_property
    def mark(self) -> str:
        """Changes with any of it, and is the same in all processes."""
        ids = [row.id.int for row in self.rows]
        columns = [_column(list(map(attrgetter(name), self.rows))) for name in _NAMES]
        return digest(replace(self, rows=()), ids, columns)

    def latest_success(self, now: datetime) -> ExecutionFact | None:
        """The latest SUCCESS to finish, as far as its times can be believed."""
        proven = [
            (at, row)
            for row in self.rows
            if row.succeeded and (at := row.proven_at(now)) is not None
        ]
        if not proven:
            return self.earlier_success
        return max(proven, key=lambda pair: pair[0])[1]


def moment_in(text: object) -> datetime | None:
    """A time in a result, which may contain anything; None if it is no time with a zone."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else None
    # OverflowError: its UTC time is outside the years 1 to 9999
    except (ValueError, OverflowError):
        return None
