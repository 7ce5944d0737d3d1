"""Remembers in this process that a server says nothing, so that only one thread waits for it.

A process has few threads. If each of them waited for a server that hangs, nobody would be served.
The module opens no connection.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg

# A connect that fails after so many seconds met a server that says nothing. One that fails sooner
# was refused.
SLOW_SECONDS = 1.0
# After a silent try, nobody tries for so long.
PAUSE_SECONDS = 1.0
# How long a try may take. libpq knows no shorter time than two seconds.
TRY_SECONDS = 2
# A try that has not ended by then is forgotten.
_LOST_SECONDS = 30.0


class StillSilent(psycopg.OperationalError):
    """The server has said nothing for ``seconds``, and this thread did not ask it again."""

    kind = "no_server"  # one of executions/database/troubles.py

    def __init__(self, seconds: float, named: str) -> None:
        super().__init__(
            f"the server has said nothing for {seconds:.0f} seconds, and it is asked again soon"
        )
        self.named = named


class ServerSilence:
    """Of one server, however many settings lead to it. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._since: float | None = None
        self._next_try = 0.0

    def suspect(self) -> None:
        """An open connection said nothing. The next connect decides, alone."""
        with self._lock:
            if self._since is None:
                self._since = self._next_try = self._clock()

    @contextmanager
    def connecting(self, named: str) -> Iterator[bool]:
        """Connect inside. It yields whether the server is known to be silent.

        ``named`` is the setting with its address.

        Raises:
            StillSilent: the server is silent and another thread tries, or has just tried.
        """
        began = self._clock()
        with self._lock:
            known = self._since is not None
            if self._since is not None:
                if began < self._next_try:
                    raise StillSilent(began - self._since, named)
                self._next_try = began + _LOST_SECONDS
        try:
            yield known
        except psycopg.OperationalError:
            if self._clock() - began >= SLOW_SECONDS:
                with self._lock:
                    self._since = began if self._since is None else self._since
                    self._next_try = self._clock() + PAUSE_SECONDS
            else:
                self.forget()
            raise
        self.forget()

    def forget(self) -> None:
        """The server has said something."""
        with self._lock:
            self._since = None


_WHERE = ("service", "host", "hostaddr", "port")
of_servers: dict[tuple[str, ...], ServerSilence] = {}


def silence_of(parameters: Mapping[str, Any]) -> ServerSilence:
    """The silence of the server that these connection parameters lead to."""
    where = tuple(str(parameters.get(name) or "") for name in _WHERE)
    return of_servers.setdefault(where, ServerSilence())
