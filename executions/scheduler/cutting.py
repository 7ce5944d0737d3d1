"""Ends another thread's statement, on the server and here, whatever that thread waits for."""

import contextlib
from collections.abc import Callable

import psycopg

from executions.database.connections import Connection, cut

CANCEL_SECONDS = 2.0

# Opens a plain autocommit connection with the given application name.
Connect = Callable[[str], Connection]


def cancel_and_cut(connection: Connection) -> None:
    """Make the server cancel the current statement, then cut the connection.

    Without the cancel, a backend that does not talk to its client would run to its end.
    """
    with contextlib.suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_SECONDS)
    cut(connection)
