"""Tells a direct connection to PostgreSQL from a pooled one. Opens none.

A pooler such as PgBouncer lends any free server session to each transaction. A lock or setting then
stays on a session that the next client gets, and settings of our connection request may never
arrive. One thing reveals it: PostgreSQL gives libpq its process number at connect, and a pooler
invents another. A pooler in session mode does so too.
"""

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg.rows import dict_row

from executions.database.sql import load

SQL = load("direct")

# PgBouncer's answer to settings in the connection request, unless ignore_startup_parameters has
# "options".
REFUSED_OPTIONS = "unsupported startup parameter"
# libpq's words for a standby if target_session_attrs asks for the primary.
OF_A_STANDBY = "server is in hot standby mode"


class WrongServer(psycopg.OperationalError):
    """Another server answers than is needed. ``named`` is the variable to set."""

    kind: str  # one of executions/database/troubles.py
    answers: str

    def __init__(self, named: str) -> None:
        super().__init__(f"{self.answers} answers for {named}")
        self.named = named


class NotDirect(WrongServer):
    """A pooler answers where PostgreSQL itself is needed."""

    kind, answers = "not_direct", "a connection pooler"


class OnStandby(WrongServer):
    """A write was wanted, but a standby answers."""

    kind, answers = "standby", "a standby"


def refuse_standby(connection: psycopg.Connection[Any], named: str) -> None:
    """Check a direct connection that is to write. The server has reported it at connect.

    Raises:
        OnStandby: the server follows another one and accepts no writes.
    """
    if connection.info.parameter_status("in_hot_standby") == "on":
        raise OnStandby(named)


def is_held(connection: psycopg.Connection[Any], wanted: Mapping[str, str]) -> bool:
    """Whether the session is this connection's alone and has the wanted settings.

    Call it once for each new connection in autocommit, before any other statement. Once the session
    is known to be ours, it sets again what something overrode, such as PGTZ in our environment or a
    login trigger of the database. On any other session it leaves no setting.

    Raises:
        psycopg.Error: the server does not answer, or knows no such setting.
    """
    proof = _ask(connection, SQL.proof, wanted)
    if proof["pid"] != connection.info.backend_pid:
        return False
    if not proof["held"]:
        _ask(connection, SQL.settle, wanted)
        proof = _ask(connection, SQL.proof, wanted)
    return bool(proof["held"])


def limit_transaction(connection: psycopg.Connection[Any], settings: Mapping[str, str]) -> bool:
    """Set a transaction's settings. Return whether it is read-only and has a time limit.

    Raises:
        psycopg.Error: the server does not answer, or refuses a setting.
    """
    return bool(_ask(connection, SQL.limit_transaction, settings)["held"])


def _ask(
    connection: psycopg.Connection[Any], statement: str, settings: Mapping[str, str]
) -> dict[str, Any]:
    values = {"names": list(settings), "values": list(settings.values())}
    with connection.cursor(row_factory=dict_row) as cursor:
        (row,) = cursor.execute(statement, values)
    return row
