"""Repeats the same work in a thread of a web process or beside a runner.

The thread is a daemon and stops with its process. Another process or the next start continues,
because the work can be cut off at any point.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta

from django.db import Error as DatabaseError
from django.db import connections

from executions.database.problems import diagnose

log = logging.getLogger(__name__)


class Repeating:
    """Calls ``work`` again and again, ``seconds`` after its end. No error ends the thread.

    ``work`` is given for how long the database has been away, and may return another pause in
    seconds. ``undone`` says in the log what does not happen because of an error.
    ``says_when_away`` is False if other code in the process reports that our own tables are away.
    """

    def __init__(
        self,
        name: str,
        work: Callable[[timedelta], float | None],
        seconds: float,
        *,
        undone: str,
        says_when_away: bool = True,
    ) -> None:
        self._work = work
        self._seconds = seconds
        self._undone = undone
        self._silent = not says_when_away
        self._stopped = threading.Event()
        self._left = threading.Event()
        self._away_since: float | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Work no more, and wait for the current work unless it is abandoned."""
        self._stopped.set()
        self._left.wait()

    def abandon(self) -> None:
        """Work no more, and let nobody wait for the current work. From any thread."""
        self._stopped.set()
        self._left.set()

    def _run(self) -> None:
        pause: float = 0
        while not self._stopped.wait(pause):
            pause = self._try() or self._seconds
        self._left.set()

    def _try(self) -> float | None:
        """Work once. That the database is away is logged once, not every time."""
        now = time.monotonic()
        try:
            pause = self._work(timedelta(seconds=now - (self._away_since or now)))
            self._away_since = None
            return pause
        except DatabaseError as error:
            if self._away_since is None:
                self._away_since = time.monotonic()
                if not self._silent:
                    log.warning("%s: %s", self._undone, diagnose(error).brief)
        except Exception:
            log.exception("%s, because of a fault. It is tried again.", self._undone)
        finally:
            # No connection is kept meanwhile. A thread has its own connections.
            connections.close_all()
        return None
