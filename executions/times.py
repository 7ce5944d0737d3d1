"""Reads ``timestamptz`` values that Python cannot hold as the marks of `executions/beyond.py`.

psycopg refuses such a value, and with it every row of the answer. It decides nothing about them.
"""

from __future__ import annotations

from datetime import UTC, datetime

import psycopg
from psycopg.abc import Buffer
from psycopg.types.datetime import TimestamptzLoader

from executions.beyond import FAR_FUTURE, FAR_PAST


class TolerantLoader(TimestamptzLoader):
    """psycopg's own in Python, for a session in UTC. Django looks at its ``timezone``."""

    timezone = UTC

    def load(self, data: Buffer) -> datetime:
        try:
            return super().load(data)
        except psycopg.DataError:
            text = bytes(data)
            return FAR_PAST if text.startswith(b"-") or text.endswith(b"BC") else FAR_FUTURE


def cannot_hold(error: BaseException | None) -> bool:
    """Whether it is psycopg, and not the server, that refuses a value."""
    return isinstance(error, psycopg.DataError) and error.sqlstate is None
