"""Reads ``timestamptz`` values that Python cannot hold as the marks of `executions/text/beyond.py`.

Where a mark is sent back, as by a list that goes on after such a row, it is an infinite time again.

psycopg refuses such a value, and with it every row of the answer. It decides nothing about them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DatetimeDumper, TimestamptzLoader

from executions.text.beyond import FAR_FUTURE, FAR_PAST


class TolerantLoader(TimestamptzLoader):
    """psycopg's own in Python, for a session in UTC. Django looks at its ``timezone``."""

    timezone = UTC

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return FAR_PAST if text.startswith(b"-") or text.endswith(b"BC") else FAR_FUTURE


class TolerantDumper(DatetimeDumper):
    """Writes the marks as the infinite times, which have the same place among all others."""

    def dump(self, obj: datetime) -> Buffer | None:
        if obj in _INFINITE:
            return _INFINITE[obj]
        return super().dump(obj)


_INFINITE = {FAR_FUTURE: b"infinity", FAR_PAST: b"-infinity"}


def cannot_hold(error: BaseException | None) -> bool:
    """Whether it is psycopg, and not the server, that refuses a value."""
    return isinstance(error, psycopg.DataError) and error.sqlstate is None
