"""Asks once more for what an error does not tell, such as why no connection opens.

Many parts of a page meet the same trouble, and pages refresh often, so each answer is cached for a
few seconds. This module draws no conclusion: `problems.py` does.
"""

import ctypes
import importlib
import re
import select
from dataclasses import dataclass
from time import monotonic
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg.conninfo import make_conninfo
from psycopg.pq import ConnStatus, PGconn, PollingStatus, abc
from psycopg.rows import dict_row

from executions.database.connections import cut_after
from executions.database.direct import limit_transaction
from executions.database.kept import Kept
from executions.database.router import MULTICA_ALIAS
from executions.database.sql import load
from multica_admin.databases import READING_ONLY, SESSION, settings_in, to_read, with_settings

LOCKS = load("locks")
CHECKS = load("checks")

KEPT_SECONDS = 5.0
# In addition to the wait before the error.
CONNECT_SECONDS = 2
ANSWER_SECONDS = 2
# PQERRORS_SQLSTATE of libpq's PGVerbosity: severity and code, nothing else.
_ONLY_SQLSTATE = 3
_SQLSTATE = re.compile(r":  ([0-9A-Z]{5})$")


@dataclass(frozen=True)
class Holders:
    """Who locks tables now: names and process ids, both empty if nobody does."""

    tables: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()


# The answers by question. What each question is answered with stands at its function.
_kept: Kept[Any] = Kept(lambda _answer: KEPT_SECONDS, serves=False)
forget = _kept.forget


def _dashboards() -> dict[str, Any]:
    parameters: dict[str, Any] = connections[MULTICA_ALIAS].get_connection_params()
    return parameters | {"connect_timeout": CONNECT_SECONDS}


def pool_reason() -> psycopg.Error | None:
    """Why the dashboard's pool gives no connection. The pool does not report its own errors.

    One plain connection meets the same error. None if it succeeds: then the pool is only busy.
    """

    def ask() -> psycopg.Error | None:
        try:
            psycopg.connect(**_dashboards()).close()
        except psycopg.Error as error:
            return error
        return None

    reason: psycopg.Error | None = _kept.get("pool", ask)
    return reason


def sqlstate_at_connect(error: psycopg.Error) -> str | None:
    """The SQLSTATE with which the server refuses the connection of this error.

    None if no server answers or the next try succeeds. libpq prints a refusal in the server's
    language without its code, unless it is told during the connect to print only the code.
    """
    if error.pgconn is None:
        return None
    options = {one.keyword.decode(): one.val for one in error.pgconn.info if one.val is not None}
    conninfo = make_conninfo(**{name: value.decode() for name, value in options.items()})
    found: str | None = _kept.get(f"sqlstate {conninfo}", lambda: _ask_sqlstate(conninfo))
    return found


def _ask_sqlstate(conninfo: str) -> str | None:
    try:
        # psycopg wraps no function for it. Its module leads to the very libpq that it uses.
        libpq = ctypes.CDLL(importlib.import_module(PGconn.__module__).__file__)
        set_verbosity = libpq.PQsetErrorVerbosity
    except (OSError, AttributeError):
        return None
    set_verbosity.argtypes = [ctypes.c_void_p, ctypes.c_int]
    connection: Any = PGconn.connect_start(conninfo.encode())
    try:
        set_verbosity(connection.pgconn_ptr, _ONLY_SQLSTATE)
        _connect(connection)
        said = connection.error_message.decode(errors="replace").strip()
    finally:
        connection.finish()
    found = _SQLSTATE.search(said)
    return found[1] if found else None


def _connect(connection: abc.PGconn) -> None:
    """Continue until it is connected, refused or out of time."""
    deadline = monotonic() + CONNECT_SECONDS
    while connection.status != ConnStatus.BAD and (left := deadline - monotonic()) > 0:
        status = connection.connect_poll()
        if status == PollingStatus.READING:
            select.select([connection.socket], [], [], left)
        elif status == PollingStatus.WRITING:
            select.select([], [connection.socket], [], left)
        else:
            return


def lock_holders() -> Holders:
    """Who locks tables of Multica's database against others now."""

    def ask() -> Holders:
        rows = _ask(_dashboards(), LOCKS.holders)
        return Holders(
            tuple(dict.fromkeys(row["name"] for row in rows)),
            tuple(dict.fromkeys(row["pid"] for row in rows)),
        )

    holders: Holders = _kept.get("locks", ask)
    return holders


def presences() -> tuple[dict[str, Any], ...]:
    """The rows of `presence` for the dashboard's role and, if another, the runner's."""

    def ask() -> tuple[dict[str, Any], ...]:
        asked = _ask(_dashboards(), CHECKS.presence)
        if settings.RUNNER_CONNINFO != settings.MULTICA_CONNINFO:
            runners = to_read(settings.RUNNER_CONNINFO)
            options = with_settings(runners.get("options", ""), {**READING_ONLY, **SESSION})
            limits = {"options": options, "connect_timeout": CONNECT_SECONDS}
            asked += _ask({**runners, **limits}, CHECKS.presence)
        return tuple(asked)

    rows: tuple[dict[str, Any], ...] = _kept.get("presences", ask)
    return rows


def _ask(parameters: dict[str, Any], statement: str) -> list[dict[str, Any]]:
    """The rows; none if that database cannot be asked.

    It is one read-only transaction with its limits inside, so it works through a pooler too. It is
    cut off if the server falls silent, because pages wait for it.
    """
    try:
        with psycopg.connect(**parameters, row_factory=dict_row) as connection:
            connection.read_only = True
            with cut_after(ANSWER_SECONDS, connection):
                if not limit_transaction(connection, settings_in(parameters["options"])):
                    return []
                return connection.execute(statement).fetchall()
    except psycopg.Error:
        return []
