"""Plain psycopg connections for work that must not be pooled: locks, settings, work to cut off.

A pooled Django connection keeps its session after ``close()``, with every advisory lock and SET in
it. Connections from here are really closed, and refused if a pooler such as PgBouncer answers.
Dashboard reads use Django's alias ``multica``.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
from django.conf import settings
from psycopg.rows import DictRow, Row, dict_row

from executions.database.direct import (
    OF_A_STANDBY,
    REFUSED_OPTIONS,
    NotDirect,
    OnStandby,
    is_held,
    refuse_standby,
)
from executions.database.server_silence import TRY_SECONDS, silence_of
from multica_admin.databases import READING_ONLY, SESSION, to_read, to_write, with_settings

CONNECT_SECONDS = 5
# Beyond its own time limit, a server may say nothing for so long.
SILENT_SECONDS = 2
# An act of the wizard limits its statements to 15 s.
ACT_SECONDS = 20


Connection = psycopg.Connection[DictRow]


class BoundedConnection(psycopg.Connection[Row]):
    """Gives up a server that falls silent, which its own statement timeout cannot do.

    ``silent_after`` is in seconds; with None it waits for ever. ``silent`` is called when it gives
    up. A request that waits for a silent server occupies one of the few threads of a process.
    """

    silent_after: float | None = None
    silent: Callable[[], None] | None = None

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        """Raise `psycopg.OperationalError`, and close, if the wait takes too long."""
        try:
            return super().wait(gen, interval, self.silent_after if timeout is None else timeout)
        except psycopg.errors._WaitTimeout as error:
            self.close()
            if self.silent:
                self.silent()
            raise psycopg.OperationalError(
                f"the server has said nothing for {self.silent_after:g} seconds"
            ) from error


def let_wait(connection: Connection, seconds: float | None) -> None:
    """Wait so long for each answer from now on; for ever with None."""
    if isinstance(connection, BoundedConnection):
        connection.silent_after = seconds


def silent_after(session: Mapping[str, str]) -> float | None:
    """How long a session with these settings may wait for an answer; None if it has no limit."""
    limit = int(session.get("statement_timeout", 0))
    return limit / 1000 + SILENT_SECONDS if limit else None


def connect(
    conninfo: Mapping[str, str],
    *,
    application_name: str,
    named: str = "DATABASE_URL",
    session: Mapping[str, str] = SESSION,
    **options: Any,
) -> Connection:
    """An autocommit connection with dict rows, in UTC, that gives up connecting after 5 s.

    It has the settings of ``session``, whatever the URL, the role or the database sets. One
    statement proves that, and that no pooler is in between. ``named`` is the variable of the URL.

    Raises:
        NotDirect: a pooler answers instead of PostgreSQL.
        psycopg.OperationalError: the database cannot be reached, or does not answer.
    """
    parameters: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        # Notices a vanished network before the lease ends.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        # Until the proof it may be pooled, and a prepared statement belongs to a session.
        "prepare_threshold": None,
        **conninfo,
        **options,
        # Sent with the connection request: in some encodings the driver could not send what
        # follows.
        "client_encoding": SESSION["client_encoding"],
        "application_name": application_name,
    }
    parameters["options"] = with_settings(parameters.get("options", ""), session)
    try:
        connection = BoundedConnection.connect(**parameters, autocommit=True, row_factory=dict_row)
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
    connection.silent_after = silent_after(session)
    return connection


def cut(connection: Connection) -> None:
    """End another thread's connection at once, whatever that thread waits for.

    ``Connection.close()`` does not work: it frees what the other thread is using. Shutting the
    socket down raises an ordinary `psycopg.OperationalError` in that thread. A closed connection is
    left alone.
    """
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def cut_after(seconds: float, connection: Connection) -> Iterator[None]:
    """Cut the connection if the work on it takes longer than this.

    Raises:
        psycopg.OperationalError: it took longer.
    """
    guard = threading.Timer(seconds, cut, [connection])
    guard.daemon = True
    with contextlib.suppress(RuntimeError):  # no thread is left for a guard; go on without one
        guard.start()
    try:
        yield
    finally:
        guard.cancel()


def runner_connection(
    application_name: str = "multica-admin runner",
    session: Mapping[str, str] = SESSION,
    **parameters: str,
) -> Connection:
    """For the scheduler, the backfill, the prune and "run once": ``RUNNER_DATABASE_URL``.

    Raises:
        OnStandby: the server is a standby. Otherwise as `connect`.
    """
    return _writing(
        {**parameters, **to_write(settings.RUNNER_CONNINFO)},
        application_name,
        "RUNNER_DATABASE_URL",
        session,
    )


def retire_connection(application_name: str = "multica-admin retire") -> Connection:
    """For pg_cron's database, with the role that may act: ``RETIRE_DATABASE_URL``.

    Raises:
        OnStandby: the server is a standby. Otherwise as `connect`.
    """
    conninfo = to_write(settings.RETIRE_CONNINFO)
    connection = _writing(conninfo, application_name, "RETIRE_DATABASE_URL")
    let_wait(connection, ACT_SECONDS)
    return connection


def _writing(
    conninfo: Mapping[str, str],
    application_name: str,
    named: str,
    session: Mapping[str, str] = SESSION,
) -> Connection:
    try:
        connection = connect(
            conninfo, application_name=application_name, named=named, session=session
        )
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
    """The same role in the same database, kept read-only and within a time limit by PostgreSQL.

    pg_cron's own functions ignore read-only (measured with 1.4.2), so no read calls them.

    Raises:
        As `connect`, and StillSilent.
    """
    conninfo, named = to_read(settings.RETIRE_CONNINFO), "RETIRE_DATABASE_URL"
    with silence_of(conninfo).connecting(named) as silent:
        return connect(
            conninfo,
            application_name=f"multica-admin {purpose}",
            named=named,
            session={**READING_ONLY, **SESSION},
            **({"connect_timeout": TRY_SECONDS} if silent else {}),
        )
