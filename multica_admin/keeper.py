"""Starts the embedded PostgreSQL again when it has ended, as long as the dashboard serves.

One web process at a time keeps it, by a lock on a file that dies with that process; of two
dashboards over the same folder one process keeps it for both. gunicorn's first process does not: it
takes the exit of every process that it started for that of a web process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import threading
from time import monotonic

from django.conf import settings

from multica_admin import embedded
from multica_admin.cluster import Cluster, ClusterError
from multica_admin.locks import open_for_owner

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# Once it has run for so long, the next end counts as the first.
STEADY_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# gunicorn waits no longer for a process that it ends.
_LEAVE_SECONDS = 25.0


def pause_before(start: int) -> float:
    """Seconds to wait before the start of that number, from 0 on: twice as long each time."""
    return min(_FIRST_PAUSE * 2.0 ** min(start, 10), _LONGEST_PAUSE)


class ClusterKeeper:
    """Looks at the cluster every second, and starts it where its server has ended."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="embedded PostgreSQL", daemon=True)
        self._starts = 0
        self._started_at = 0.0
        self._lock: int | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Start it no more, and wait for a start in hand, so that it can be stopped then."""
        self._stopped.set()
        self._thread.join(_LEAVE_SECONDS)

    def _run(self) -> None:
        """Look until told to stop. Whatever goes wrong is logged and tried again, later each time.

        Nobody else would start the server again if this thread ended.
        """
        failures = 0
        try:
            while not self._stopped.wait(LOOK_SECONDS if not failures else pause_before(failures)):
                try:
                    if self._is_ours():
                        self._look()
                    failures = 0
                except Exception:
                    failures += 1
                    logger.exception("The embedded PostgreSQL could not be looked at")
        finally:
            if self._lock is not None:
                os.close(self._lock)

    def _is_ours(self) -> bool:
        """Whether this process keeps the cluster; it is asked until the process that does ends.

        Raises:
            OSError: the lock's file cannot be opened or locked.
        """
        if self._lock is None:
            self._lock = open_for_owner(self._cluster.data.with_suffix(".keeper"))
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _look(self) -> None:
        if self._cluster.is_running():
            if self._starts and monotonic() - self._started_at > STEADY_SECONDS:
                self._starts = 0
            return
        pause = pause_before(self._starts)
        logger.warning("The embedded PostgreSQL has ended. It is started again in %g s.", pause)
        self._starts += 1
        if self._stopped.wait(pause):
            return
        try:
            self._start()
        except ClusterError as error:
            logger.error("The embedded PostgreSQL does not start: %s", error)
        self._started_at = monotonic()

    def _start(self) -> None:
        """Never make a new cluster: one whose folder is gone is somebody's to look after.

        Raises:
            ClusterError: it cannot be started, or is gone.
        """
        if not self._cluster.exists():
            raise ClusterError(
                f"{self._cluster.data} is gone: put it back, or stop the dashboard and start it"
                " again to begin with an empty database."
            )
        if self._cluster.start(embedded.prepare):
            logger.warning("The embedded PostgreSQL runs again.")


def start() -> ClusterKeeper | None:
    """Keep the cluster in this process until it ends; None where nothing is embedded.

    A cluster whose binaries were taken away since the start is not kept, but pages are served.
    """
    if not settings.EMBEDDED:
        return None
    try:
        keeper = ClusterKeeper(embedded.cluster(settings.VAR_DIR))
    except ClusterError as error:
        logger.error("The embedded PostgreSQL will not be started again if it ends: %s", error)
        return None
    keeper.start()
    return keeper
