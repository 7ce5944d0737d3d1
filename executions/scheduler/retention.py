"""Removes old executions: SUCCESS after some days, FAILED after more, RUNNING never.

Multica keeps them all for ever. This follows the policy that Multica once planned, with one rule of
our own: the newest row of each scope stays (docs/contract.md section 2). Each batch is a
transaction of its own, so the prune can be interrupted and repeated.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

from executions.database.connections import Connection
from executions.database.sql import load

SQL = load("prune")

BATCH = 5_000
_FIRST = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


def prune(
    connection: Connection, status: str, age: timedelta, *, only_count: bool = False
) -> Iterator[int]:
    """Remove executions with this status that finished longer ago than ``age``; yield batch counts.

    With ``only_count`` nothing is removed. ``status`` is SUCCESS or FAILED.

    Raises:
        psycopg.Error: the role lacks a right, or the database is away. Earlier batches are kept.
    """
    connection.execute(SQL.bound_batch)
    (row,) = connection.execute(SQL.before, {"age": age})
    after, after_id = _FIRST
    statement = SQL.count_batch if only_count else SQL.remove_batch
    while True:
        batch = connection.execute(
            statement,
            {
                "status": status,
                "before": row["before"],
                "after": after,
                "after_id": after_id,
                "most": BATCH,
            },
        ).fetchone()
        if batch is None:
            return
        after, after_id = batch["after"], batch["after_id"]
        yield int(batch["rows"])
