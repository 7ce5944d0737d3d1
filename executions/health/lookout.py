"""Keeps the shared snapshot fresh while nobody has a page open, for monitors that must not wait.

Every web process has a lookout of its own, because any of them may be asked. It decides nothing.
"""

import logging
import threading
from collections.abc import Callable

from django.conf import settings
from django.db import connections

from executions.database.kept import QUIET_SECONDS
from executions.health import snapshot

logger = logging.getLogger(__name__)


class Lookout:
    """Looks again and again in a thread of its own, as soon as the last snapshot is old."""

    def __init__(self, look: Callable[[], snapshot.Snapshot]) -> None:
        self._look = look
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Look no more, and wait for the present look."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        pause: float = 0
        while not self._stopped.wait(pause):
            pause = self._try()

    def _try(self) -> float:
        """Look once. Return the seconds until the next look. No error ends the thread."""
        try:
            return self._look().interval_seconds
        except Exception:
            logger.exception("The lookout failed to look; it tries again.")
            return QUIET_SECONDS
        finally:
            # No connection is kept between looks. A thread has its own connections.
            connections.close_all()


def start() -> None:
    """Begin to look in this process, if a monitor may ask. Call it once, after the fork."""
    if settings.STATUS_TOKEN or settings.METRICS_TOKEN:
        Lookout(snapshot.current).start()
