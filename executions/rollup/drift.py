"""Compares the hourly buckets with the raw usage. It repairs nothing."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from executions.database.problems import DATABASE_ERRORS, diagnose
from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts import Drift, DriftHour
from executions.scheduler.plans import floor
from executions.text.problem import Problem

SQL = load("rollup")

# What the comparison reads.
READ_FOR_DRIFT = (
    "agent", "agent_task_queue", "issue", "task_usage", "task_usage_hourly",
    "task_usage_hourly_dirty",
)  # fmt: skip

HOUR = timedelta(hours=1)
SPAN = timedelta(hours=24)
# A long comparison goes by this, so that a statement that runs out of time loses little.
SLICE = timedelta(hours=6)
SLICES_SECONDS = 10.0
# The watermark may be any time. Go's zero time is the first of these.
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True)
class LongDrift:
    """A comparison that goes back in slices, from the newest hour as far as time allowed.

    ``wanted`` is how far back it was to go. ``stopped`` is the error that ended it before, None if
    only its time was over.
    """

    drift: Drift
    wanted: datetime
    stopped: Problem | None = None

    @property
    def is_whole(self) -> bool:
        return self.drift.since <= self.wanted

    @property
    def reached_any(self) -> bool:
        """Whether at least one slice was compared."""
        return self.is_whole or self.drift.since <= self.drift.watermark


def read_drift(fetch: Fetch, watermark: datetime, span: timedelta = SPAN) -> Drift:
    """Compare the hours of ``span`` up to and including the hour of the watermark.

    docs/contract.md section 6, ``rollup_drift``, lists what the comparison leaves out.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does; with much usage, the time limit.
    """
    since, until = _bounds(watermark, span)
    return Drift(since, watermark, _compared(fetch, since, until, watermark))


def read_drift_back(
    fetch: Fetch,
    watermark: datetime,
    span: timedelta,
    *,
    seconds: float = SLICES_SECONDS,
    clock: Callable[[], float] = time.monotonic,
) -> LongDrift:
    """The same over a longer span, newest hours first, for as long as ``seconds`` last.

    It never raises for the database: what was compared until then is told.
    """
    wanted, until = _bounds(watermark, span)
    ends = clock() + seconds
    hours: tuple[DriftHour, ...] = ()
    reached = until
    while reached > wanted:
        if clock() >= ends:
            return LongDrift(Drift(reached, watermark, hours), wanted)
        since = reached - min(SLICE, reached - wanted)
        try:
            hours = _compared(fetch, since, reached, watermark) + hours
        except DATABASE_ERRORS as error:
            return LongDrift(Drift(reached, watermark, hours), wanted, diagnose(error))
        reached = since
    return LongDrift(Drift(reached, watermark, hours), wanted)


def _bounds(watermark: datetime, span: timedelta) -> tuple[datetime, datetime]:
    hour = floor(watermark, HOUR)
    until = hour + min(HOUR, _LAST - hour)
    return floor(until - min(span, until - _FIRST), HOUR), until


def _compared(
    fetch: Fetch, since: datetime, until: datetime, watermark: datetime
) -> tuple[DriftHour, ...]:
    rows = fetch(SQL.drift, {"since": since, "until": until, "watermark": watermark})
    return tuple(DriftHour(**row) for row in rows)
