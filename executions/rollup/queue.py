"""The dirty queue: how many buckets wait to be recomputed, and since when."""

from __future__ import annotations

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.health.facts import Queue

SQL = load("rollup")

MOST_COUNTED = 10_000


def read_queue(fetch: Fetch) -> Queue:
    """The queue's depth, counted up to 10,000, and its oldest entry.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.queue, {"most": MOST_COUNTED + 1})
    return Queue(
        depth=min(row["depth"], MOST_COUNTED),
        capped=row["depth"] > MOST_COUNTED,
        oldest=row["oldest"],
    )
