"""Sums one slice of a backfill with statements of our own.

They read the usage of the touched hours once, whereas Multica's window function visits for each
bucket every task that its agent ever ran. They stand in only for a function that `proven` knows.
Source: docs/contract.md section 4.
"""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from psycopg import errors

from executions.database.connections import Connection
from executions.database.reading import Fetch
from executions.database.sql import load
from executions.rollup.proven import Proven, WindowSource

SQL = load("slice")

# So few keys are removed from the queue at once that nobody waits for them noticeably.
_DRAINED_AT_ONCE = 100


def read_source(fetch: Fetch) -> WindowSource:
    """Which window function is installed.

    Raises:
        django.db.Error, psycopg.Error: the helper `task_usage_hour_bucket` is missing or may not be
            called.
    """
    (row,) = fetch(SQL.window_source, {})
    return WindowSource(**row)


def sum_slice(connection: Connection, proven: Proven, since: datetime, until: datetime) -> int:
    """Do what the window function would do from ``since`` to ``until``. Return the changed buckets.

    The buckets change in one transaction. The queue is drained afterwards: a key that stays because
    somebody holds it is only judged once more, by the next run of the rollup.

    Raises:
        psycopg.Error: nothing of the slice was kept.
    """
    bounds: dict[str, Any] = {"since": since, "until": until, "widened": proven.widened}
    seen = _row(connection, SQL.queue_versions, bounds)
    bounds |= _row(connection, SQL.open_since, {})
    statement = _statement(proven)
    with connection.transaction():
        ranges = connection.execute(SQL.slice_ranges, bounds).fetchall()
        changed = sum(int(_row(connection, statement, bounds | one)["changed"]) for one in ranges)
    _drain(connection, seen["places"], seen["versions"])
    return changed


def _statement(proven: Proven) -> str:
    """The queries that fit the install, as one statement: they all see the same moment."""
    parts = {
        "bucket": SQL.slice_sums,
        "upserted": SQL.upsert_costed if proven.costed else SQL.upsert_uncosted,
        "emptied": SQL.empty_buckets,
    }
    if proven.widened:
        parts["kept"] = SQL.keep_queued
    written = ", ".join(f"{name} AS (\n{query}\n)" for name, query in parts.items())
    return f"WITH {written} {SQL.count_changed}"


def _drain(connection: Connection, places: list[str], versions: list[str]) -> None:
    for place in _batches(places):
        with suppress(errors.LockNotAvailable), connection.transaction():
            connection.execute(SQL.bound_drain)
            connection.execute(SQL.drain, {"places": places[place], "versions": versions[place]})


def _batches(items: list[str]) -> Iterator[slice]:
    for start in range(0, len(items), _DRAINED_AT_ONCE):
        yield slice(start, start + _DRAINED_AT_ONCE)


def _row(connection: Connection, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
    (row,) = connection.execute(query, parameters)
    return row
