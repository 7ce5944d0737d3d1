"""Django's PostgreSQL engine, which proves that each session has our settings before use.

`executions/database/direct.py` has the proof. Each of our aliases says which settings it needs
(``SESSION``) and what happens on a pooled connection. With ``THROUGH_POOLER`` each read is a
read-only transaction of its own with these settings and the URL's; without it the connection is
refused.
"""

from collections.abc import Callable
from datetime import datetime
from time import monotonic
from types import SimpleNamespace
from typing import Any, ClassVar

import psycopg
from django.db.backends.postgresql import base
from psycopg.adapt import AdaptersMap
from psycopg.pq import TransactionStatus
from psycopg_pool import PoolTimeout

from executions.database.connections import (
    CONNECT_SECONDS,
    BoundedConnection,
    cut_after,
    silent_after,
)
from executions.database.direct import NotDirect, is_held, limit_transaction
from executions.database.server_silence import TRY_SECONDS, silence_of
from executions.database.times import TolerantDumper, TolerantLoader
from multica_admin.databases import settings_in

# After a request has got no connection, other requests wait this long for the pool. The pool keeps
# connecting, so the first request after an outage finds a connection.
AWAY_SECONDS = 0.5
# If another request got no connection within this time, they do not wait at all.
LATELY_SECONDS = 1.0
AT_ONCE_SECONDS = 0.01
# Checking an idle connection takes a millisecond.
CHECK_SECONDS = 2.0

_Execute = Callable[[str, Any, bool, dict[str, Any]], Any]


def _rest(connection: BoundedConnection[Any]) -> None:
    """Back in the pool, a connection waits to be checked before its next use."""
    connection.silent_after = CHECK_SECONDS


class DatabaseWrapper(base.DatabaseWrapper):
    """One alias. On a pooled connection, psycopg's ``read_only`` is set."""

    # By alias, for all threads of this process.
    _waited_in_vain: ClassVar[dict[str, float]] = {}

    # Django connects with what this has as ``connect``.
    Database: Any = SimpleNamespace(**vars(psycopg) | {"connect": BoundedConnection.connect})

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.execute_wrappers.append(self._limited)

    def get_connection_params(self) -> dict[str, Any]:
        """Django's parameters, with adapters for times that Python cannot hold."""
        parameters = super().get_connection_params()
        adapters = AdaptersMap(parameters["context"].adapters)
        adapters.register_loader("timestamptz", TolerantLoader)
        adapters.register_dumper(datetime, TolerantDumper)
        return parameters | {"context": adapters}

    @property
    def pool(self) -> Any:
        if options := self.settings_dict["OPTIONS"].get("pool"):
            options.setdefault("connection_class", BoundedConnection)
            options.setdefault("reset", _rest)
        return super().pool

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        """A proved connection. The pool proves its own connections when it opens them.

        Raises:
            NotDirect: a pooler answers, and this alias needs PostgreSQL itself.
            StillSilent: the server says nothing, as another thread has just found out.
        """
        if self.pool:
            return self._from_pool(conn_params)
        silence = silence_of(conn_params)
        with silence.connecting(self.settings_dict["NAMED"]) as silent:
            if silent:
                conn_params = conn_params | {"connect_timeout": TRY_SECONDS}
            connection = super().get_new_connection(conn_params)
            connection.autocommit = True  # Django sets it later as it needs it
            try:
                self._prove(connection)
            except BaseException:
                connection.close()
                raise
        connection.silent = silence.suspect
        return connection

    def is_usable(self) -> bool:
        """Whether a kept connection still answers, which it must do soon."""
        connection = self.connection
        if connection is None or connection.closed:
            return False
        before, connection.silent_after = connection.silent_after, CHECK_SECONDS
        try:
            return bool(super().is_usable())
        finally:
            connection.silent_after = before

    def _from_pool(self, conn_params: dict[str, Any]) -> Any:
        """A connection from the pool. In an outage only one request waits the full time for it.

        A process has few threads. If every request waited, a silent database would occupy them all.
        Then nobody could sign in. A page asks several times, so it waits at most once.
        """
        pool = self.pool
        lately = monotonic() - self._waited_in_vain.get(self.alias, -LATELY_SECONDS)
        if pool.timeout == AWAY_SECONDS and lately < LATELY_SECONDS:
            pool.timeout = AT_ONCE_SECONDS
        try:
            connection = super().get_new_connection(conn_params)
        except PoolTimeout:
            if pool.timeout != AT_ONCE_SECONDS:
                self._waited_in_vain[self.alias] = monotonic()
            pool.timeout = AWAY_SECONDS
            raise
        pool.timeout = self.settings_dict["OPTIONS"]["pool"]["timeout"]
        connection.silent_after = silent_after(self.settings_dict["SESSION"])

        def fell_silent() -> None:
            silence_of(conn_params).suspect()
            self._waited_in_vain[self.alias] = monotonic()
            pool.timeout = AWAY_SECONDS

        connection.silent = fell_silent
        return connection

    def _configure_connection(self, connection: Any) -> bool:
        """Django's hook for a new connection: whether it has set anything that needs a commit.

        Django would set the session's time zone here. Ours is among the settings that are proved.
        """
        if self.pool:
            self._prove(connection)
        return False

    def _prove(self, connection: BoundedConnection[Any]) -> None:
        connection.silent_after = silent_after(self.settings_dict["SESSION"])
        with cut_after(CONNECT_SECONDS, connection):
            if is_held(connection, self.settings_dict["SESSION"]):
                return
        if not self.settings_dict["THROUGH_POOLER"]:
            raise NotDirect(self.settings_dict["NAMED"])
        connection.read_only = True

    def _limited(
        self, execute: _Execute, sql: str, params: Any, many: bool, context: dict[str, Any]
    ) -> Any:
        """Run one statement; on a pooled session in a read-only transaction with our limits."""
        connection = self.connection
        if not connection.read_only or _is_within_transaction(connection):
            return execute(sql, params, many, context)
        with self.wrap_database_errors:
            # inside atomic(), the statement that sets the limits begins the transaction
            if not connection.autocommit:
                self._limit(connection)
                return execute(sql, params, many, context)
            with connection.transaction():
                self._limit(connection)
                return execute(sql, params, many, context)

    def _limit(self, connection: Any) -> None:
        settings = settings_in(self.settings_dict["OPTIONS"]["options"])
        if not limit_transaction(connection, settings):
            raise NotDirect(self.settings_dict["NAMED"])


def _is_within_transaction(connection: psycopg.Connection[Any]) -> bool:
    return connection.info.transaction_status != TransactionStatus.IDLE
