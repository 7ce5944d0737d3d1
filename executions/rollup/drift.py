"""Compares the hourly buckets with the raw usage. It repairs nothing."""

from datetime import UTC, datetime, timedelta

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts import Drift, DriftHour
from executions.scheduler.plans import floor

SQL = load("rollup")

# What the comparison reads.
READ_FOR_DRIFT = (
    "agent", "agent_task_queue", "issue", "task_usage", "task_usage_hourly",
    "task_usage_hourly_dirty",
)  # fmt: skip

HOUR = timedelta(hours=1)
SPAN = timedelta(hours=24)
# The watermark may be any time. Go's zero time is the first of these.
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


def read_drift(fetch: Fetch, watermark: datetime, span: timedelta = SPAN) -> Drift:
    """Compare the hours of ``span`` up to and including the hour of the watermark.

    docs/contract.md section 6, ``rollup_drift``, lists what the comparison leaves out.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does; with much usage, the time limit.
    """
    hour = floor(watermark, HOUR)
    until = hour + min(HOUR, _LAST - hour)
    since = floor(until - min(span, until - _FIRST), HOUR)
    rows = fetch(SQL.drift, {"since": since, "until": until, "watermark": watermark})
    return Drift(since, watermark, tuple(DriftHour(**row) for row in rows))
