"""Reads the watermark and calls the rollup once. The function itself takes lock 4246."""

from datetime import datetime

from executions.database.connections import Connection
from executions.database.sql import load

SQL = load("watermark")


def read_watermark(connection: Connection) -> datetime | None:
    """The time up to which usage is rolled up; None if the state row is missing."""
    row = connection.execute(SQL.read).fetchone()
    return row["watermark_at"] if row else None


def roll_up(connection: Connection) -> int:
    """Call the rollup once. Return the rows upserted plus deleted (docs/contract.md section 4).

    It also returns 0 if another session holds lock 4246 and does the work.
    """
    (row,) = connection.execute(SQL.roll_up)
    return int(row["rows"])
