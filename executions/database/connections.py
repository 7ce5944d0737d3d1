"""Plain psycopg connections for what must not be pooled: locks, settings, and work cut off.

A pooled Django connection keeps its session after ``close()``, with every advisory lock and SET in
it. What is opened here is really closed, and refused where a pooler such as PgBouncer answers.
Dashboard reads go through Django's alias ``multica``.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from django.conf import settings
from psycopg.rows import DictRow, dict_row

from executions.database.direct import (
    OF_A_STANDBY,
    REFUSED_OPTIONS,
    NotDirect,
    OnStandby,
    is_held,
    refuse_standby,
)
from multica_admin.databases import READING_ONLY, SESSION, to_read, to_write, with_settings

CONNECT_SECONDS = 5

Connection = psycopg.Connection[DictRow]


def connect(
    conninfo: Mapping[str, str],
    *,
    application_name: str,
    named: str = "DATABASE_URL",
    session: Mapping[str, str] = SESSION,
    **options: Any,
) -> Connection:
    """An autocommit connection with dict rows, in UTC, that gives up connecting after 5 s.

    Whatever the URL, the role or the database sets, it has the settings of ``session``: that is
    proved once, as is that no pooler is in between. ``named`` is the variable that the URL is from.

    Raises:
        NotDirect: a pooler answers instead of PostgreSQL.
        psycopg.OperationalError: the database cannot be reached, or does not answer.
    """
    parameters: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # Notices a vanished network before the lease does.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        # Until the proof it may be pooled, and a prepared statement is a session's.
        "prepare_threshold": None,
        **conninfo,
        **options,
        # Already in the greeting: in some encodings the driver could not even send what follows.
        "client_encoding": SESSION["client_encoding"],
        "application_name": application_name,
    }
    parameters["options"] = with_settings(parameters.get("options", ""), session)
    try:
        connection = psycopg.connect(**parameters, autocommit=True, row_factory=dict_row)
    except psycopg.OperationalError as error:
        if REFUSED_OPTIONS in str(error):
            raise NotDirect(named) from error
        raise
    try:
        with cut_after(CONNECT_SECONDS, connection):
            if not is_held(connection, session):
                raise NotDirect(named)
    except BaseException:
        connection.close()
        raise
    return connection


def cut(connection: Connection) -> None:
    """End another thread's connection at once, whatever that thread waits for.

    ``Connection.close()`` is no help there: it frees what the other thread is using. Shutting the
    socket down wakes that thread with an ordinary `psycopg.OperationalError` instead. Nothing
    happens where it is closed already.
    """
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cut_after(seconds: float, connection: Connection) -> Iterator[None]:
    """Cut the connection when what is done with it takes longer than that.

    Raises:
        psycopg.OperationalError: it did.
    """
    guard = threading.Timer(seconds, cut, [connection])
    guard.daemon = True
    with contextlib.suppress(RuntimeError):  # no thread is left for a guard: then without one
        guard.start()
    try:
        yield
    finally:
        guard.cancel()


def runner_connection(
    application_name: str = "multica-admin runner", **parameters: str
) -> Connection:
    """For the scheduler, the backfill, the prune and "run once": ``RUNNER_DATABASE_URL``.

    Raises:
        OnStandby: the server is a standby. Else as `connect`.
    """
    return _writing(
        {**parameters, **to_write(settings.RUNNER_CONNINFO)},
        application_name,
        "RUNNER_DATABASE_URL",
    )


def retire_connection(application_name: str = "multica-admin retire") -> Connection:
    """For pg_cron, where it is and with the role that may act: ``RETIRE_DATABASE_URL``.

    Raises:
        OnStandby: the server is a standby. Else as `connect`.
    """
    return _writing(to_write(settings.RETIRE_CONNINFO), application_name, "RETIRE_DATABASE_URL")


def _writing(conninfo: Mapping[str, str], application_name: str, named: str) -> Connection:
    try:
        connection = connect(conninfo, application_name=application_name, named=named)
    except psycopg.OperationalError as error:
        # The URL asks for the primary, by its own words or by ours.
        if OF_A_STANDBY in str(error):
            raise OnStandby(named) from error
        raise
    try:
        refuse_standby(connection, named)
    except OnStandby:
        connection.close()
        raise
    return connection


def retire_reader(purpose: str) -> Connection:
    """The same role in the same database, held by PostgreSQL to looking, and to a time limit.

    pg_cron's own functions do not heed that: measured with 1.4.2. Nothing that looks calls them.

    Raises:
        As `connect`.
    """
    return connect(
        to_read(settings.RETIRE_CONNINFO),
        application_name=f"multica-admin {purpose}",
        named="RETIRE_DATABASE_URL",
        session={**READING_ONLY, **SESSION},
    )
