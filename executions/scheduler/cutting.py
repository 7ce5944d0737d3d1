"""Ends another thread's connection at once, whatever that thread waits for.

``Connection.close()`` is no help there: it frees what the other thread is using. Shutting the
socket down wakes that thread with an ordinary `psycopg.OperationalError` instead.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable

import psycopg

from executions.connections import Connection

CANCEL_SECONDS = 2.0

# Opens a plain autocommit connection with the given application name.
Connect = Callable[[str], Connection]


def cut(connection: Connection) -> None:
    """Shut the connection's socket down; nothing happens where it is closed already."""
    with (
        contextlib.suppress(OSError, psycopg.Error),
        socket.socket(fileno=os.dup(connection.fileno())) as wire,
    ):
        wire.shutdown(socket.SHUT_RDWR)


def cancel_and_cut(connection: Connection) -> None:
    """Have the server stop the statement under way, then cut the connection.

    Without the first, a backend that does not talk to its client would run on to its end.
    """
    with contextlib.suppress(psycopg.Error):
        connection.cancel_safe(timeout=CANCEL_SECONDS)
    cut(connection)
