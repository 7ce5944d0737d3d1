"""Executes one claimed plan: its handler in a thread, its heartbeat, its limits, its outcome.

It neither claims, as `runner.py` does, nor writes the end, as `finishing.py` does. The handler gets
a connection of its own that the database bounds by the run timeout; this thread guards the same
limit, the lease and a cancellation from outside, and cuts the handler's connection when one of them
is reached.
"""

import logging
import threading
from dataclasses import dataclass
from math import ceil
from time import monotonic

import psycopg

from executions.database.connections import Connection, let_wait
from executions.scheduler import bounds
from executions.scheduler.clock import elapsed
from executions.scheduler.cutting import Connect, cancel_and_cut
from executions.scheduler.heartbeat import Heartbeat
from executions.scheduler.leases import SQL, Failure, Lease, Success
from executions.scheduler.spec import Context, ErrorCode, HandlerError

logger = logging.getLogger(__name__)

# A cancelled handler may take this long to notice before it is abandoned.
UNWIND_SECONDS = 5.0
# A wait does not notice that the machine was suspended, so a run reads the clock this often.
LOOK_SECONDS = 1.0

_WHY = {
    ErrorCode.RUN_TIMEOUT: "The run took longer than its {timeout:g} seconds and was cancelled.",
    ErrorCode.CANCELED: "The runner was stopped before the run had ended.",
    ErrorCode.LEASE_LOST: "The lease was lost, so the run was cancelled.",
}


@dataclass(frozen=True)
class Ended:
    """The outcome of a run, to be written before ``lease_expires`` on `clock.py`'s clock."""

    outcome: Success | Failure
    duration_ms: int
    lease_expires: float


class Run:
    """Runs the handler of one claimed plan once."""

    def __init__(self, lease: Lease, connect: Connect) -> None:
        self._lease = lease
        self._connect = connect
        self._timeout = lease.plan.spec.run_timeout.total_seconds()
        self._deadline = 0.0
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._cancelled = threading.Event()
        self._cause: ErrorCode | None = None
        self._outcome: Success | Failure | None = None
        self._connection: Connection | None = None

    def cancel(self, cause: ErrorCode) -> None:
        """Stop the handler, from any thread. The first cause is stored."""
        with self._lock:
            if self._cause is None and self._outcome is None:
                self._cause = cause
                self._cancelled.set()
                self._changed.set()

    def execute(self) -> Ended:
        """Run the handler until it ends or is cancelled."""
        started = monotonic()  # a duration excludes the time in which the machine slept
        self._deadline = elapsed() + self._timeout
        heartbeat = Heartbeat(self._lease, self._connect, lambda: self.cancel(ErrorCode.LEASE_LOST))
        try:
            self._run_beside(heartbeat)
        finally:
            heartbeat.stop()  # otherwise the plan of a finished run would stay RUNNING for ever
        return Ended(self._judge(), round((monotonic() - started) * 1000), heartbeat.expires)

    def _run_beside(self, heartbeat: Heartbeat) -> None:
        handler = threading.Thread(target=self._handle, name="handler", daemon=True)
        try:
            heartbeat.start()
            handler.start()
        except RuntimeError as error:  # the process or the machine has no thread left
            self._end_as(Failure(ErrorCode.HANDLER_ERROR, f"The run could not begin: {error}."))
            return
        self._supervise(heartbeat)
        if self._cancelled.is_set():
            self._stop_handler(handler)

    def _supervise(self, heartbeat: Heartbeat) -> None:
        """Wait for the handler's end, a cancellation, the run timeout or the end of trust."""
        while not self._changed.is_set():
            now = elapsed()
            if now >= self._deadline:
                self.cancel(ErrorCode.RUN_TIMEOUT)
            elif now >= heartbeat.trusted_until:
                self.cancel(ErrorCode.LEASE_LOST)
            else:
                left = min(self._deadline, heartbeat.trusted_until) - now
                self._changed.wait(min(left, LOOK_SECONDS))

    def _stop_handler(self, handler: threading.Thread) -> None:
        with self._lock:  # the handler's thread closes the connection under the same lock
            if self._connection is not None:
                cancel_and_cut(self._connection)
        handler.join(UNWIND_SECONDS)
        if handler.is_alive():
            logger.error(
                "A handler ignored its cancellation and was left behind",
                extra=self._lease.log_fields(),
            )

    def _judge(self) -> Success | Failure:
        """A run that was cancelled before its handler returned is no success."""
        with self._lock:
            if self._cause is not None:
                return Failure(self._cause, _WHY[self._cause].format(timeout=self._timeout))
            assert self._outcome is not None  # noqa: S101  supervised until one of them was set
            return self._outcome

    def _handle(self) -> None:
        outcome: Success | Failure = Failure(
            ErrorCode.HANDLER_PANIC, "The handler left no outcome."
        )
        try:
            outcome = self._outcome_of_the_call()
        finally:  # otherwise nobody would learn that this thread has ended
            self._end_as(outcome)

    def _outcome_of_the_call(self) -> Success | Failure:
        try:
            rows, result = self._call()
            return Success(bounds.row_count(rows), bounds.result_json(result))
        except psycopg.errors.QueryCanceled as error:
            # The database's run timeout ended the statement, unless somebody cancelled it earlier.
            late = elapsed() >= self._deadline
            code = ErrorCode.RUN_TIMEOUT if late else ErrorCode.HANDLER_ERROR
            return Failure(code, bounds.said(error))
        except (HandlerError, bounds.Unstorable, psycopg.Error) as error:
            return Failure(ErrorCode.HANDLER_ERROR, bounds.said(error) or type(error).__name__)
        except BaseException as error:  # any exception ends here and is stored
            text = f"{type(error).__name__}: {bounds.said(error)}"
            return Failure(ErrorCode.HANDLER_PANIC, text)

    def _end_as(self, outcome: Success | Failure) -> None:
        with self._lock:
            self._outcome = outcome
        self._changed.set()

    def _call(self) -> tuple[object, object]:
        plan = self._lease.plan
        connection = self._connect(f"multica-admin {plan.spec.name}")
        try:
            with self._lock:
                self._connection = connection
            if self._cancelled.is_set():
                raise HandlerError("The run was cancelled before it began.")
            connection.execute(SQL.bound_run, {"milliseconds": ceil(self._timeout * 1000)})
            let_wait(connection, None)  # `execute` cuts it off
            return plan.spec.handler(
                Context(
                    connection=connection,
                    spec=plan.spec,
                    scope=plan.scope,
                    plan_time=plan.plan_time,
                    attempt=self._lease.attempt,
                    cancelled=self._cancelled,
                )
            )
        finally:
            with self._lock:
                self._connection = None
                connection.close()
