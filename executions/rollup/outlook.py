"""What a backfill would do, month by month, without doing it. It takes no lock."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.rollup.backfill import Extent, Slice, read_extent, slices

SQL = load("backfill")

# So many months are estimated by themselves, and all older ones together: the reads are bounded.
APART = 36


@dataclass(frozen=True)
class MonthsAhead:
    """One month, or several old ones together, with the usage rows that it would look at."""

    months: tuple[Slice, ...]
    rows: int

    @property
    def first(self) -> datetime:
        return self.months[0].since

    @property
    def last(self) -> datetime:
        """The beginning of the last month."""
        return self.months[-1].since


@dataclass(frozen=True)
class Outlook:
    """``ahead`` begins with the newest month. The rows are ``counted``, or else estimated."""

    extent: Extent
    ahead: tuple[MonthsAhead, ...]
    counted: bool

    @property
    def months(self) -> int:
        return sum(len(one.months) for one in self.ahead)

    @property
    def rows(self) -> int:
        return sum(one.rows for one in self.ahead)


def read_outlook(fetch: Fetch, *, count: bool = False) -> Outlook:
    """What a backfill of everything would look at now. Counting reads the whole table.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    extent = read_extent(fetch)
    groups = together(slices(extent), apart=APART)
    if count:
        counted = {row["since"]: row["rows"] for row in fetch(SQL.usage_by_month, {})}
        rows = [sum(counted.get(month.since, 0) for month in group) for group in groups]
    else:
        rows = [_estimated(fetch, group) for group in groups]
    return Outlook(extent, tuple(map(MonthsAhead, groups, rows)), counted=count)


def together(months: Sequence[Slice], *, apart: int) -> list[tuple[Slice, ...]]:
    """PURE: the newest months, newest first, each by itself, and all older ones as the last."""
    groups: list[tuple[Slice, ...]] = [(month,) for month in reversed(months[-apart:])]
    if older := tuple(months[:-apart]):
        groups.append(older)
    return groups


def _estimated(fetch: Fetch, months: Sequence[Slice]) -> int:
    bounds = {"since": months[0].since, "until": months[-1].until}
    (row,) = fetch(SQL.usage_estimate, bounds)
    (plan,) = row["QUERY PLAN"]
    return int(plan["Plan"]["Plan Rows"])
