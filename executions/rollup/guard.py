"""Whether Multica's migration 103 would pass here. It only reads; the migration is Multica's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.database.reading import Fetch
from executions.database.sql import load

SQL = load("rollup")

# How far the watermark may lag behind the newest usage: docs/contract.md section 4.
ALLOWED_LAG = timedelta(hours=1)


@dataclass(frozen=True)
class Guard:
    """What the guard reads. ``watermark_at`` is None if the state row is missing."""

    has_usage: bool
    watermark_at: datetime | None
    newest_usage_at: datetime | None

    @property
    def passes(self) -> bool:
        if not self.has_usage or self.newest_usage_at is None:
            return True
        if self.watermark_at is None:
            return False
        return self.watermark_at >= self.newest_usage_at - ALLOWED_LAG


def read_guard(fetch: Fetch) -> Guard:
    """Read what the guard of migration 103 reads.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.migration_103, {})
    return Guard(row["has_usage"], row["watermark_at"], row["newest_usage_at"])
