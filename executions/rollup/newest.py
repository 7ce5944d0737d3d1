"""The newest raw usage and the newest bucket, and whether migration 103's guard passes."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.database.reading import Fetch
from executions.database.sql import load

SQL = load("rollup")

# The guard of migration 103 lets the watermark trail the newest change of usage by so much:
# docs/contract.md section 4.
GUARD_LAG = timedelta(hours=1)


@dataclass(frozen=True)
class Newest:
    """The newest ``event`` by its creation, the newest ``change`` of any, the newest ``bucket``.

    Each is None if there is none. A bucket's time is the start of its hour.
    """

    event: datetime | None
    change: datetime | None
    bucket: datetime | None


def read_newest(fetch: Fetch) -> Newest:
    """Three ends of indexes.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.newest, {})
    return Newest(**row)


def guard_passes(newest_change: datetime | None, watermark: datetime | None) -> bool:
    """PURE: whether migration 103 passes: docs/contract.md section 4.

    ``newest_change`` is None without usage, ``watermark`` without a state row.
    """
    if newest_change is None:
        return True
    return watermark is not None and newest_change - watermark <= GUARD_LAG
