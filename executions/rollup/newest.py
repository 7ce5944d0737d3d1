"""The newest raw usage and the newest bucket."""

from dataclasses import dataclass
from datetime import datetime

from executions.database.reading import Fetch
from executions.database.sql import load

SQL = load("rollup")


@dataclass(frozen=True)
class NewestTimes:
    """The newest ``event`` by its creation, the newest ``change`` of any, the newest ``bucket``.

    Each is None if there is none. A bucket's time is the start of its hour.
    """

    event: datetime | None
    change: datetime | None
    bucket: datetime | None


def read_newest(fetch: Fetch, *, has_buckets: bool = True) -> NewestTimes:
    """Three ends of indexes. Without ``has_buckets`` there is no table of buckets, and no bucket.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.newest if has_buckets else SQL.newest_usage, {})
    return NewestTimes(**row)
