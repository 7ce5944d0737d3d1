"""Plain psycopg connections for what must not be pooled: locks, settings, and work cut off.

A pooled Django connection keeps its session after ``close()``, with every advisory lock and SET in
it. What is opened here is really closed. Dashboard reads go through Django's alias ``multica``.
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

from multica_admin.databases import SESSION, reading_only

CONNECT_SECONDS = 5
_SETTLE = "SELECT " + ", ".join(
    f"set_config('{name}', '{value}', false)" for name, value in SESSION.items()
)

Connection = psycopg.Connection[DictRow]


def connect(conninfo: Mapping[str, str], *, application_name: str, **options: Any) -> Connection:
    """An autocommit connection with dict rows, in UTC, that gives up connecting after 5 s.

    Whatever the URL, the role or the database sets, it has the settings of `SESSION`.

    Raises:
        psycopg.OperationalError: the database cannot be reached, or does not answer.
    """
    parameters: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # Notices a vanished network before the lease does.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        **conninfo,
        **options,
        # Already in the greeting: in some encodings the driver could not even send what follows.
        "client_encoding": SESSION["client_encoding"],
        "application_name": application_name,
    }
    connection = psycopg.connect(**parameters, autocommit=True, row_factory=dict_row)
    try:
        with cut_after(CONNECT_SECONDS, connection):
            connection.execute(_SETTLE)
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


def runner_connection(application_name: str = "multica-admin runner") -> Connection:
    """For the scheduler, the backfill, the prune and "run once": ``RUNNER_DATABASE_URL``."""
    return connect(settings.RUNNER_CONNINFO, application_name=application_name)


def retire_connection(application_name: str = "multica-admin retire") -> Connection:
    """For pg_cron, where it is and with the role that may act: ``RETIRE_DATABASE_URL``."""
    return connect(settings.RETIRE_CONNINFO, application_name=application_name)


def retire_reader(purpose: str) -> Connection:
    """The same role in the same database, held by PostgreSQL to looking, and to a time limit.

    pg_cron's own functions do not heed that: measured with 1.4.2. Nothing that looks calls them.
    """
    conninfo = reading_only(settings.RETIRE_CONNINFO)
    return connect(conninfo, application_name=f"multica-admin {purpose}")
