"""Sums all usage again, month by month, and sets the watermark to match.

It repairs a rollup that is days behind, a wrong watermark, and buckets that differ from the raw
usage. It holds lock 4246 for the whole walk, so no other rollup writes meanwhile. Each month is a
transaction of its own, so the walk can be interrupted and repeated. A dry run takes no lock.
Source: docs/contract.md section 4, "Backfill".
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from time import monotonic

from psycopg import errors

from executions.database.connections import Connection
from executions.database.reading import Fetch, fetch_on
from executions.database.sql import load
from executions.health.facts.sessions import DatabaseSession
from executions.rollup.lock import BACKFILL_NAME, read_lock
from executions.rollup.margin import MARGIN
from executions.rollup.proven import Proven
from executions.rollup.summing import sum_slice
from executions.text.beyond import is_beyond

SQL = load("backfill")

_TICK = timedelta(microseconds=1)
# How often a slice is tried that another session's writing made impossible.
_TRIES = 5


class Locked(Exception):
    """Another session held lock 4246 for longer than the wait. ``holders`` are those sessions."""

    def __init__(self, holders: tuple[DatabaseSession, ...]) -> None:
        super().__init__("lock 4246 is held by somebody else")
        self.holders = holders


class Partial(Exception):
    """Older usage would be left out for good. ``oldest`` and ``since`` say how much."""

    def __init__(self, oldest: datetime, since: datetime) -> None:
        super().__init__("older usage would be left out")
        self.oldest = oldest
        self.since = since


@dataclass(frozen=True)
class Extent:
    """The times of the first and last change of usage; both None without usage.

    ``watermark_at`` is None without a state row. A row whose time is outside the calendar counts
    for neither end; ``created_beyond`` and ``updated_beyond`` say that there are such rows.
    """

    now: datetime
    oldest: datetime | None
    newest: datetime | None
    watermark_at: datetime | None
    created_beyond: bool = False
    updated_beyond: bool = False

    @property
    def beyond(self) -> dict[str, list[str]]:
        """The columns, by table, with a time outside the calendar."""
        of_usage = {"created_at": self.created_beyond, "updated_at": self.updated_beyond}
        columns = {
            "task_usage": [column for column, found in of_usage.items() if found],
            "task_usage_hourly_rollup_state": ["watermark_at"]
            if is_beyond(self.watermark_at)
            else [],
        }
        return {table: names for table, names in columns.items() if names}


@dataclass(frozen=True)
class Slice:
    """Usage whose last change is at or after ``since`` and before ``until``."""

    since: datetime
    until: datetime


@dataclass(frozen=True)
class Sliced:
    """The result of one slice: the buckets that changed, and its duration in seconds."""

    slice: Slice
    buckets: int
    seconds: float


def read_extent(fetch: Fetch) -> Extent:
    """Read the extent of the usage.

    Raises:
        django.db.Error, psycopg.Error: a table is missing or may not be read.
    """
    (row,) = fetch(SQL.extent, {})
    return Extent(**row)


def slices(extent: Extent, months_back: int | None = None, *, partial: bool = False) -> list[Slice]:
    """PURE: the UTC months from the oldest change to now, or to a newest change after now.

    With ``months_back`` they start that many calendar months before the current one.

    Raises:
        Partial: this leaves older usage out, and ``partial`` is false.
    """
    if extent.oldest is None or extent.newest is None:
        return []
    since = _month(extent.oldest)
    if months_back is not None:
        wanted = _months_before(_month(extent.now), months_back)
        if wanted > since and not partial:
            raise Partial(extent.oldest, wanted)
        since = max(since, wanted)
    until = max(extent.now, extent.newest + _TICK)
    return list(_cut(since, until))


def _cut(since: datetime, until: datetime) -> Iterator[Slice]:
    while since < until:
        following = _months_before(since, -1)
        yield Slice(since, min(following, until))
        since = following


def _month(moment: datetime) -> datetime:
    utc = moment.astimezone(UTC)
    return utc.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def _months_before(month: datetime, count: int) -> datetime:
    years, index = divmod(month.year * 12 + month.month - 1 - count, 12)
    return month.replace(year=years, month=index + 1) if years >= 1 else month.replace(1, 1)


def usage_rows(connection: Connection, one: Slice) -> int:
    """The minimum number of usage rows that a slice sums, for a dry run."""
    (row,) = connection.execute(SQL.usage_rows, {"since": one.since, "until": one.until})
    return int(row["rows"])


def take_lock(connection: Connection, wait: timedelta) -> None:
    """Hold lock 4246 on this connection until the connection closes.

    Raises:
        Locked: the lock was not free within ``wait``.
    """
    milliseconds = max(1, round(wait.total_seconds() * 1000))
    connection.execute(SQL.bound_wait, {"milliseconds": milliseconds})
    try:
        connection.execute(SQL.take_lock)
    except errors.LockNotAvailable as error:
        raise Locked(read_lock(fetch_on(connection)).holders) from error
    connection.execute(SQL.bound_wait, {"milliseconds": 0})


def walk(
    connection: Connection,
    months: list[Slice],
    *,
    proven: Proven | None,
    pause: timedelta,
    stop: Event,
    begun: Callable[[Slice], None],
    done: Callable[[Sliced], None],
) -> datetime | None:
    """Sum every month and set the watermark. Return it, or None if stopped before the end.

    The statements of `summing` sum each month if the installed window function is ``proven``, else
    that function does.

    The new watermark is five minutes before the start of the last month's slice, so usage that was
    written during that slice is left to the next ordinary run. Needs `take_lock` first.

    Raises:
        psycopg.Error: a month failed. Earlier months are kept, and the watermark is unchanged.
    """
    began = _clock(connection)
    for number, one in enumerate(months):
        if number:
            stop.wait(pause.total_seconds())
        if stop.is_set():
            return None
        begun(one)
        name = f"{BACKFILL_NAME} {number + 1}/{len(months)} {one.since:%Y-%m}"
        connection.execute(SQL.announce, {"name": name})
        began = _clock(connection)
        done(_sum_up(connection, one, began, proven, is_last=number == len(months) - 1))
    watermark = began - MARGIN
    connection.execute(SQL.stamp, {"watermark": watermark})
    return watermark


def _sum_up(
    connection: Connection, one: Slice, began: datetime, proven: Proven | None, *, is_last: bool
) -> Sliced:
    """The last month ends at the moment at which its slice begins, however long the others took."""
    until = max(one.until, began) if is_last else one.until
    started = monotonic()
    buckets = _again_if_in_the_way(lambda: _sum(connection, proven, one.since, until))
    return Sliced(one, buckets, monotonic() - started)


def _sum(connection: Connection, proven: Proven | None, since: datetime, until: datetime) -> int:
    if proven:
        return sum_slice(connection, proven, since, until)
    (row,) = connection.execute(SQL.roll_up_slice, {"since": since, "until": until})
    return int(row["rows"])


def _again_if_in_the_way(work: Callable[[], int]) -> int:
    """Repeat a slice that PostgreSQL undid for the sake of another session's writing.

    Lock 4246 keeps other rollups away, but not changes that fill the queue, nor a window function
    that somebody calls by hand.
    """
    for _ in range(_TRIES - 1):
        with suppress(errors.DeadlockDetected, errors.SerializationFailure):
            return work()
    return work()


def _clock(connection: Connection) -> datetime:
    (row,) = connection.execute(SQL.clock)
    now: datetime = row["now"]
    return now
