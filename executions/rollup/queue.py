"""The dirty queue: since when buckets wait to be recomputed."""

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
