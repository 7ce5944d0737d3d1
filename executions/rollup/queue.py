"""The dirty queue: how many buckets wait to be recomputed, and since when."""

from dataclasses import dataclass
from datetime import datetime

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts import Queue

SQL = load("rollup")


def read_queue(fetch: Fetch) -> Queue:
    """The oldest entry.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.queue, {})
    return Queue(row["oldest"])


# Beyond this many entries nobody needs the exact number.
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class QueueDepth:
    """How many entries there are, and the oldest. ``is_more`` says that ``depth`` is a limit."""

    depth: int
    oldest: datetime | None
    is_more: bool


def read_depth(fetch: Fetch) -> QueueDepth:
    """The number of entries, counted up to ``MOST_COUNTED``.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.queue_depth, {"most": MOST_COUNTED + 1})
    depth = row["depth"]
    return QueueDepth(min(depth, MOST_COUNTED), row["oldest"], is_more=depth > MOST_COUNTED)
