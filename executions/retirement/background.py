"""Ticks in a web process or beside a runner, so that watches and trials continue unattended.

The thread is a daemon and stops with its process. Another process or the next start continues,
because a tick can be cut off at any point.
"""

import logging
import threading

from django.db import Error as DjangoDatabaseError
from django.db import connections

from executions.database.problems import diagnose
from executions.retirement.tick import retirement_tick

TICK_SECONDS = 5.0

log = logging.getLogger(__name__)


class Ticking:
    """Calls `retirement_tick` repeatedly in a thread of its own.

    ``says_when_away`` is False if other code in the process reports that our own tables are away.
    """

    def __init__(self, seconds: float = TICK_SECONDS, *, says_when_away: bool = True) -> None:
        self._seconds = seconds
        self._stopped = threading.Event()
        self._left = threading.Event()
        self._silent = not says_when_away
        self._away = False
        self._thread = threading.Thread(target=self._run, name="retirement", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Tick no more, and wait for the current tick unless it is abandoned."""
        self._stopped.set()
        self._left.wait()

    def abandon(self) -> None:
        """Tick no more, and let nobody wait for the current tick. From any thread."""
        self._stopped.set()
        self._left.set()

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._tick()
            self._stopped.wait(self._seconds)
        self._left.set()

    def _tick(self) -> None:
        """Run one tick. No error ends the thread. The same error is logged once, not every time."""
        try:
            retirement_tick()
            self._away = False
        except DjangoDatabaseError as error:
            if not (self._away or self._silent):
                log.warning("Retirements are not watched: %s", diagnose(error).sentence())
            self._away = True
        except Exception:
            log.exception("A look at the retirements failed; it is tried again.")
        finally:
            # No connection is kept between ticks. A thread has its own connections.
            connections.close_all()


def start() -> None:
    """Begin to tick in this process. Call it once, after gunicorn has forked."""
    Ticking().start()
