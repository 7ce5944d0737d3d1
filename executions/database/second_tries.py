"""Asks once more for what an error does not tell, such as why no connection opens.

Pages meet the same trouble in many parts and come often, so each answer is kept for a few seconds.
It concludes nothing: `problems.py` does.
"""

from __future__ import annotations

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
# Added to what was waited before the error came.
CONNECT_SECONDS = 2
ANSWER_SECONDS = 2
# PQERRORS_SQLSTATE of libpq's PGVerbosity: the severity and the code, and no word more.
_ONLY_SQLSTATE = 3
_SQLSTATE = re.compile(r":  ([0-9A-Z]{5})$")


@dataclass(frozen=True)
class Holders:
    """Who keeps others from tables now: names and process ids, both empty where nobody does."""

    tables: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()


def _seconds(_answer: object) -> float:
    return KEPT_SECONDS


_pool_reasons: Kept[psycopg.Error | None] = Kept(_seconds, serves=False)
_sqlstates: Kept[str | None] = Kept(_seconds, serves=False)
_holders: Kept[Holders] = Kept(_seconds, serves=False)
_presences: Kept[tuple[dict[str, Any], ...]] = Kept(_seconds, serves=False)


def forget() -> None:
    """Have everything asked anew."""
    for kept in (_pool_reasons, _sqlstates, _holders, _presences):
        kept.forget()


def _dashboards() -> dict[str, Any]:
    parameters: dict[str, Any] = connections[MULTICA_ALIAS].get_connection_params()
    return parameters | {"connect_timeout": CONNECT_SECONDS}


def pool_reason() -> psycopg.Error | None:
    """Why the dashboard's pool gives no connection: it keeps to itself what its tries met.

    One plain connection meets the same. None where it gets through, so the pool is only busy.
    """

    def ask() -> psycopg.Error | None:
        try:
            psycopg.connect(**_dashboards()).close()
        except psycopg.Error as error:
            return error
        return None

    return _pool_reasons.get("", ask)


def sqlstate_at_connect(error: psycopg.Error) -> str | None:
    """The SQLSTATE with which the server refuses the connection that this error is about.

    None where no server answers or the next try is let in. libpq prints a refusal in the language
    of the server and keeps its code, unless it is told, while it connects, to print the code only.
    """
    if error.pgconn is None:
        return None
    options = {one.keyword.decode(): one.val for one in error.pgconn.info if one.val is not None}
    conninfo = make_conninfo(**{name: value.decode() for name, value in options.items()})
    return _sqlstates.get(conninfo, lambda: _ask_sqlstate(conninfo))


def _ask_sqlstate(conninfo: str) -> str | None:
    try:
        # psycopg wraps no call for it. Its module leads to the very libpq that it uses.
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
    """Go on until it is connected, refused, or time is up."""
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
    """Who has tables of Multica's database locked against others at this moment."""

    def ask() -> Holders:
        rows = _ask_dashboards(LOCKS.holders)
        return Holders(
            tuple(dict.fromkeys(row["name"] for row in rows)),
            tuple(dict.fromkeys(row["pid"] for row in rows)),
        )

    return _holders.get("", ask)


def presences() -> tuple[dict[str, Any], ...]:
    """What `presence` says to the dashboard's role, and to the runner's where it is another one."""

    def ask() -> tuple[dict[str, Any], ...]:
        asked = _ask(_dashboards(), CHECKS.presence)
        if settings.RUNNER_CONNINFO != settings.MULTICA_CONNINFO:
            runners = to_read(settings.RUNNER_CONNINFO)
            options = with_settings(runners.get("options", ""), {**READING_ONLY, **SESSION})
            limits = {"options": options, "connect_timeout": CONNECT_SECONDS}
            asked += _ask({**runners, **limits}, CHECKS.presence)
        return tuple(asked)

    return _presences.get("", ask)


def _ask_dashboards(statement: str) -> list[dict[str, Any]]:
    """Ask as the dashboard's role."""
    return _ask(_dashboards(), statement)


def _ask(parameters: dict[str, Any], statement: str) -> list[dict[str, Any]]:
    """Nothing where that database cannot be asked.

    It is one read-only transaction with its limits inside, which holds through a pooler as well,
    and it is cut off where the server falls silent: pages wait for it.
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
