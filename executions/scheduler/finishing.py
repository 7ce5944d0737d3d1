"""Writes the outcome of a run, and tries again while its lease lives if that fails."""

import logging
import threading
from dataclasses import replace

import psycopg

from executions.scheduler import bounds, leases
from executions.scheduler.clock import elapsed
from executions.scheduler.leases import Failure, Finish, Lease
from executions.scheduler.own_connection import OwnConnection
from executions.scheduler.run import Ended
from executions.scheduler.spec import ErrorCode

logger = logging.getLogger(__name__)

# A finish that could not be written is tried again after this pause while the lease lives, then
# after twice that, and so on. A cancelled runner has little time, so it always waits only this
# long.
FINISH_PAUSE_SECONDS = 0.5
LONGEST_FINISH_PAUSE_SECONDS = 8.0


def write_end(
    lease: Lease, ended: Ended, own: OwnConnection, cancelled: threading.Event
) -> tuple[Finish, Ended]:
    """Write the outcome on the runner's connection; ``cancelled`` means that it must stop.

    The second try follows at once, on a fresh connection, because the first may have died long ago.
    Returns the outcome in the end too: an outcome that cannot be stored becomes a failure that can.
    """
    pause = 0.0
    while True:
        try:
            return leases.finish(own.get(), lease, ended.outcome, ended.duration_ms), ended
        except Exception as error:  # after any error the row must not stay RUNNING
            own.close()
            logger.warning("A finish could not be written: %s", error, extra=lease.log_fields())
            if _is_unstorable(error):
                ended = replace(ended, outcome=_unstored(error))
        if _given_up_after(min(pause, ended.lease_expires - elapsed()), own, cancelled):
            return Finish.GIVEN_UP, ended
        if elapsed() >= ended.lease_expires:
            return Finish.LEASE_LOST, ended
        pause = min(max(2 * pause, FINISH_PAUSE_SECONDS), LONGEST_FINISH_PAUSE_SECONDS)
        if cancelled.is_set():
            pause = FINISH_PAUSE_SECONDS


def _given_up_after(pause: float, own: OwnConnection, cancelled: threading.Event) -> bool:
    """Wait before another try. A cancellation ends the wait. Return whether the runner gave up."""
    waker = own.given_up if cancelled.is_set() else cancelled
    waker.wait(pause)
    return own.given_up.is_set()


def _is_unstorable(error: Exception) -> bool:
    """Whether the outcome itself is at fault, so that writing it would fail again."""
    return isinstance(error, psycopg.DataError) or not isinstance(error, psycopg.Error)


def _unstored(error: Exception) -> Failure:
    """The failure to store if the run's own outcome cannot be stored, in ASCII for any database."""
    said = bounds.said(error).encode("ascii", "backslashreplace").decode()
    text = f"The end of the run could not be stored: {type(error).__name__}: {said}"
    return Failure(ErrorCode.HANDLER_ERROR, text)
