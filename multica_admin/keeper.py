"""Restarts the embedded PostgreSQL when it has ended, while the dashboard serves.

One web process at a time does it. A file lock decides which, also between two dashboards over one
folder. gunicorn's first process cannot do it: it takes every child for a web process.
"""

import fcntl
import logging
import os
import threading
from time import monotonic

from django.conf import settings

from multica_admin import embedded
from multica_admin.cluster import Cluster, ClusterError
from multica_admin.language import later
from multica_admin.locks import open_for_owner

logger = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
# If the server ran for this long, its next end counts as the first.
STEADY_SECONDS = 120.0
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
# gunicorn waits no longer for a process that it ends.
_LEAVE_SECONDS = 25.0


def pause_before(start: int) -> float:
    """Seconds to wait before restart number ``start``, counted from 0: twice as long each time."""
    return min(_FIRST_PAUSE * 2.0 ** min(start, 10), _LONGEST_PAUSE)


class ClusterKeeper:
    """Checks the cluster every second, and starts it if its server has ended."""

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
        """Start the cluster no more, and wait for a start that is under way."""
        self._stopped.set()
        self._thread.join(_LEAVE_SECONDS)

    def _run(self) -> None:
        """Check until told to stop. Log each error and try again, after a growing pause.

        Nothing else would restart the server if this thread ended.
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
        """Whether this process keeps the cluster, tried again until the process that does ends.

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
        """Start the cluster, but never make a new one: a folder that is gone needs a person.

        Raises:
            ClusterError: the cluster cannot be started, or is gone.
        """
        if not self._cluster.exists():
            raise ClusterError(
                later(
                    "%(folder)s is gone: put it back, or stop the dashboard and start it again to"
                    " begin with an empty database.",
                    folder=self._cluster.data,
                )
            )
        if self._cluster.start(embedded.prepare):
            logger.warning("The embedded PostgreSQL runs again.")


def start() -> ClusterKeeper | None:
    """Keep the cluster in this process until it ends. Return None if nothing is embedded.

    If the cluster's binaries were removed since the start, pages are served but the cluster is not
    kept.
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
