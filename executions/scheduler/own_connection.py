"""The connection on which a runner plans, claims and finishes. Its handlers have others."""

import threading

from executions.database.connections import Connection, cut
from executions.database.times import TolerantLoader
from executions.scheduler.cutting import Connect


class OwnConnection:
    """Opens the connection when it is needed, and another one after it was closed.

    `get` and `close` belong to the runner's thread; `give_up` may be called from any thread.
    """

    def __init__(self, connect: Connect) -> None:
        self.given_up = threading.Event()
        self._connect = connect
        self._connection: Connection | None = None
        self._lock = threading.Lock()

    def get(self) -> Connection:
        """The open connection, or a new one.

        Raises:
            NotDirect, psycopg.OperationalError: as `executions.database.connections.connect`.
        """
        if self._connection is None:
            opened = self._connect("multica-admin runner")
            # A foreign row with a time that Python cannot hold must not stop a job.
            opened.adapters.register_loader("timestamptz", TolerantLoader)
            with self._lock:
                self._connection = opened
                if self.given_up.is_set():
                    cut(opened)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next `get` opens another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def give_up(self) -> None:
        """A database that does not answer must not keep a cancelled runner from ending."""
        with self._lock:
            self.given_up.set()
            if self._connection is not None:
                cut(self._connection)

    @property
    def is_lost(self) -> bool:
        return self._connection is None or self._connection.closed
