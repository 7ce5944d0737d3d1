"""Reads ``timestamptz`` values that Python cannot hold as the marks of `executions/text/beyond.py`.

A mark that is sent back, such as in a cursor after such a row, becomes an infinite time again.
psycopg itself refuses such a value, and with it every row of the answer. This module decides
nothing about them.
"""

from datetime import UTC, datetime

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import DatetimeDumper, TimestamptzLoader

from executions.text.beyond import FAR_FUTURE, FAR_PAST


class TolerantLoader(TimestamptzLoader):
    """psycopg's own loader in Python, for a session in UTC. Django reads its ``timezone``."""

    timezone = UTC

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return FAR_PAST if text.startswith(b"-") or text.endswith(b"BC") else FAR_FUTURE


class TolerantDumper(DatetimeDumper):
    """Writes the marks as infinite times, which sort like them."""

    def dump(self, obj: datetime) -> Buffer | None:
        if obj in _INFINITE:
            return _INFINITE[obj]
        return super().dump(obj)


_INFINITE = {FAR_FUTURE: b"infinity", FAR_PAST: b"-infinity"}


def cannot_hold(error: BaseException | None) -> bool:
    """Whether psycopg, and not the server, refuses a value."""
    return isinstance(error, psycopg.DataError) and error.sqlstate is None
