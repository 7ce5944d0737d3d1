"""How a named query is asked: one statement, one list of rows, on whichever connection.

Readers take a `Fetch`, so the same reader serves the dashboard's pooled, read-only alias and a
plain connection that a command has open anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from django.db import connections
from psycopg.pq import Format

from executions.connections import Connection
from executions.router import MULTICA_ALIAS

# The driver's own. Django's, for a zone of its choice, is Python and takes ten times as long for
# each value; the session is in UTC, so nothing is left to choose.
_TIMES = psycopg.adapters.get_loader(psycopg.adapters.types["timestamptz"].oid, Format.TEXT)

Row = dict[str, Any]
Fetch = Callable[[str, Mapping[str, object]], list[Row]]


def fetch_for_dashboard(statement: str, parameters: Mapping[str, object]) -> list[Row]:
    """Through the alias ``multica``, which PostgreSQL holds read-only and to a time limit.

    Raises:
        django.db.Error: the statement failed; outside a transaction the next one is not harmed.
    """
    with connections[MULTICA_ALIAS].cursor() as cursor:
        cursor.cursor.adapters.register_loader("timestamptz", _TIMES)
        cursor.execute(statement, dict(parameters))  # type: ignore[arg-type]
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def fetch_on(connection: Connection) -> Fetch:
    """On a plain connection with dict rows."""
    return lambda statement, parameters: connection.execute(statement, parameters).fetchall()
