"""How a named query is sent: one statement, one list of rows, on any connection.

Readers take a `Fetch`, so the same reader serves the dashboard's pooled, read-only alias and a
command's plain connection.
"""

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from django.db import DataError, connections
from psycopg.abc import Loader
from psycopg.pq import Format

from executions.database.connections import Connection
from executions.database.router import MULTICA_ALIAS
from executions.database.times import TolerantLoader, cannot_hold

# The driver's own loader. Django's is in Python, supports any zone and takes ten times as long per
# value. The session is in UTC, so it is not needed.
_TIMES = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, Format.TEXT)

Row = dict[str, Any]
Fetch = Callable[[str, Mapping[str, object]], list[Row]]


def fetch_for_dashboard(statement: str, parameters: Mapping[str, object]) -> list[Row]:
    """Read through the alias ``multica``, which PostgreSQL keeps read-only and within a time limit.

    If the answer has a time that Python cannot hold, ask again with the slow loader.

    Raises:
        django.db.Error: the statement failed; outside a transaction the next one is not affected.
    """
    try:
        return _fetch(statement, parameters, _TIMES)
    except DataError as error:
        if not cannot_hold(error.__cause__):
            raise
    return _fetch(statement, parameters, TolerantLoader)


def _fetch(statement: str, parameters: Mapping[str, Any], loader: type[Loader] | None) -> list[Row]:
    with connections[MULTICA_ALIAS].cursor() as cursor:
        cursor.cursor.adapters.register_loader("timestamptz", loader)
        cursor.execute(statement, dict(parameters))
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def fetch_on(connection: Connection) -> Fetch:
    """Read on a plain connection with dict rows."""

    def fetch(statement: str, parameters: Mapping[str, object]) -> list[Row]:
        with connection.cursor() as cursor:
            cursor.adapters.register_loader("timestamptz", TolerantLoader)
            return cursor.execute(statement, parameters).fetchall()

    return fetch
