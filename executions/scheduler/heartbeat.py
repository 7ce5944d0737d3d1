"""Keeps a lease alive, from its own thread and connection, and says how long to trust it.

The connection opens when the first beat is due, so a short run never opens one. A beat that takes
longer than 5 s is cut off. Source: docs/contract.md section 3, "Heartbeat".
"""

import logging
import threading
from collections.abc import Callable

import psycopg

from executions.database.connections import Connection, cut_after
from executions.scheduler import leases
from executions.scheduler.clock import elapsed
from executions.scheduler.cutting import Connect
from executions.scheduler.leases import Lease

logger = logging.getLogger(__name__)

BEAT_SECONDS = 5.0
# A failed beat is tried again sooner than the next beat would be due.
RETRY_SECONDS = 1.0
# Trust ends before the lease, so that the handler is cancelled before another runner may steal the
# plan. It lasts for this share of the time from when a beat is due to the end of the lease.
TRUSTED_SHARE = 0.9


class Heartbeat:
    """Beats until stopped. Its thread calls ``lost`` once, when the lease is gone."""

    def __init__(self, lease: Lease, connect: Connect, lost: Callable[[], None]) -> None:
        spec = lease.plan.spec
        self._lease = lease
        self._connect = connect
        self._lost = lost
        self._interval = spec.heartbeat_interval.total_seconds()
        self._stale = spec.stale_timeout.total_seconds()
        self._connection: Connection | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        # Both are on the clock of `clock.py`: the end of the lease and the end of our trust in it.
        self.expires = lease.expires
        self.trusted_until = self._trusted(lease.expires)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Stop beating. A beat that is under way does no harm, because it is guarded by RUNNING."""
        self._stop.set()

    def _trusted(self, expires: float) -> float:
        return expires - (self._stale - self._interval) * (1 - TRUSTED_SHARE)

    def _until_due(self) -> float:
        """Seconds until one interval after the lease was last extended; zero if that has passed."""
        return max(0.0, self.expires - self._stale + self._interval - elapsed())

    def _run(self) -> None:
        pause = self._until_due()
        while not self._stop.wait(pause):
            try:
                alive = self._beat()
            except psycopg.Error as error:
                self._close()
                pause = min(self._interval, RETRY_SECONDS)
                logger.warning("A heartbeat failed: %s", error, extra=self._lease.log_fields())
                continue
            if not alive:
                self._lost()
                break
            pause = self._until_due()
        self._close()

    def _beat(self) -> bool:
        sent = elapsed()
        if self._connection is None:
            self._connection = self._connect("multica-admin heartbeat")
        with cut_after(BEAT_SECONDS, self._connection):
            alive = leases.heartbeat(self._connection, self._lease)
        if alive:
            self.expires = sent + self._stale
            self.trusted_until = self._trusted(self.expires)
        return alive

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
