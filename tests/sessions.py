"""Sessions that tests have closed, and that the server may still show.

A backend ends some time after its client has gone, later on a busy machine. Until then the product
rightly sees it: as one who writes the buckets, who holds a lock, or who is in the way.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from executions.database.connections import BoundedConnection
from multica_admin.cluster import Cluster
from tests.waiting import until

Opened = list[tuple[int, weakref.ref[psycopg.Connection[Any]]]]


class Sessions:
    """Those of this process on one cluster, however they were opened, but for Django's own."""

    def __init__(self, cluster: Cluster) -> None:
        self._host = str(cluster.socket_directory)
        self._opened: Opened = []
        # In another database, where no page looks.
        self._looking = psycopg.connect(
            **cluster.conninfo("postgres"), application_name="test sessions", autocommit=True
        )

    def close(self) -> None:
        self._looking.close()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Note each connection that is opened meanwhile."""
        opening = BoundedConnection.connect

        def connect(*arguments: Any, **options: Any) -> psycopg.Connection[Any]:
            connection = opening(*arguments, **options)
            if connection.info.host == self._host:
                self._opened.append((connection.info.backend_pid, weakref.ref(connection)))
            return connection

        BoundedConnection.connect = connect
        try:
            yield
        finally:
            BoundedConnection.connect = opening

    def wait_for_the_closed(self) -> None:
        """Wait until the server shows none any more that was closed here."""
        noted, self._opened = self._opened, []
        gone = [pid for pid, connection in noted if _is_closed(connection())]
        self._opened += [one for one in noted if one[0] not in gone]
        if gone:
            until(lambda: not self._shows(gone), pause=0.002)

    def _shows(self, pids: list[int]) -> bool:
        row = self._looking.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = ANY(%s))", [pids]
        ).fetchone()
        return row == (True,)


def _is_closed(connection: psycopg.Connection[Any] | None) -> bool:
    return connection is None or connection.closed
