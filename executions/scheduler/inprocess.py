"""The runner inside a web process: started after the fork, drained when the process must end.

gunicorn's hooks call `start`, `cancel` and `stop`. This module does not know gunicorn. If the
scheduler is off, the calls do nothing.

A signal handler asks a thread through a pipe. It cannot set an `Event` itself: it may interrupt
another handler inside `Event.set` and then wait for that lock for ever. The thread also keeps the
deadline, because gunicorn may wait for a slow client during the whole grace before it calls `stop`.
"""

import atexit
import os
import select
import signal
import threading
from collections.abc import Iterable
from time import monotonic
from types import FrameType

from django.conf import settings

from executions.models import Runner
from executions.scheduler.connecting import connect_runner
from executions.scheduler.jobs import JOBS
from executions.scheduler.patience import PatientRunner
from executions.scheduler.registry import RememberedRunner, new_runner_id
from executions.scheduler.runner import TICK_SECONDS, JobRunner
from executions.scheduler.spec import JobSpec

# Time to stop a run and write its outcome before gunicorn kills the process. Of a short grace it is
# a third.
CANCEL_SECONDS = 8.0

_DRAIN, _CANCEL = b"d", b"c"


class InProcessRunner:
    """A `JobRunner` in a thread of a web process.

    ``grace_seconds`` is gunicorn's graceful timeout.
    """

    def __init__(self, runner: JobRunner, grace_seconds: float, tick_seconds: float) -> None:
        self._runner = runner
        self._grace = grace_seconds
        self._patience = grace_seconds - min(CANCEL_SECONDS, grace_seconds / 3)
        self._thread = threading.Thread(
            target=runner.run, args=[tick_seconds], name="runner", daemon=True
        )
        self._told_at: float | None = None
        self._asked, self._ask = os.pipe()
        self._listener = threading.Thread(target=self._listen, name="signals", daemon=True)

    def start(self) -> None:
        self._listener.start()
        self._thread.start()

    def ask_to_drain(self) -> None:
        """Claim nothing more. For signal handlers. The grace starts with the first call."""
        self._told_at = self._told_at or monotonic()
        os.write(self._ask, _DRAIN)

    def ask_to_cancel(self) -> None:
        """Drain, and cancel the current run. For signal handlers."""
        self._told_at = self._told_at or monotonic()
        os.write(self._ask, _CANCEL)

    def _listen(self) -> None:
        """Drain on the first request. Cancel on request, or when the time for draining is over."""
        asked = os.read(self._asked, 1)
        self._runner.drain()
        more = select.poll()
        more.register(self._asked, select.POLLIN)
        while asked != _CANCEL and (left := self._left_of(self._patience)) > 0:
            if more.poll(left * 1000):
                asked = os.read(self._asked, 1)
        self._runner.cancel()

    def stop(self) -> None:
        """Drain, and wait until the current run has ended or the grace is over.

        This is the last act of the process. A signal from now on cancels the current run and takes
        effect when the run ends: gunicorn's own handlers would break off the wait.
        """
        for number in (signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda _number, _frame: self.ask_to_cancel())
        self.ask_to_drain()
        self._thread.join(self._left_of(self._grace))

    def _left_of(self, seconds: float) -> float:
        """The rest of this many seconds since the process was told to end; never below zero."""
        told_at = self._told_at or monotonic()
        return max(0.0, told_at + seconds - monotonic())


_current: InProcessRunner | None = None


def start(
    *,
    grace_seconds: float,
    specs: Iterable[JobSpec] = JOBS.values(),
    tick_seconds: float = TICK_SECONDS,
) -> None:
    """Start this process's runner if ``ROLLUP_SCHEDULER`` is on, and drain it on SIGTERM.

    Call it once, in the main thread, after gunicorn has set its own signal handlers.
    """
    global _current  # noqa: PLW0603  one web process has one runner
    if not settings.ROLLUP_SCHEDULER:
        return
    runner_id = new_runner_id()
    runner = PatientRunner(
        specs,
        connect_runner,
        runner_id=runner_id,
        presence=RememberedRunner(runner_id, Runner.Kind.WEB, tick_seconds),
    )
    _current = InProcessRunner(runner, grace_seconds, tick_seconds)
    _drain_on_sigterm(_current)
    # gunicorn skips its last hook if a signal interrupts it on the way there.
    atexit.register(_current.stop)
    _current.start()


def cancel() -> None:
    """The process ends at once: cancel the current run. Signal handlers may call it."""
    if _current is not None:
        _current.ask_to_cancel()


def stop() -> None:
    """The process is about to end: wait for the current run, and cancel it in time if need be."""
    if _current is not None:
        _current.stop()


def _drain_on_sigterm(runner: InProcessRunner) -> None:
    """On SIGTERM make the runner stop claiming, then call the handler that was there before."""
    before = signal.getsignal(signal.SIGTERM)

    def drain(number: int, frame: FrameType | None) -> None:
        runner.ask_to_drain()
        if callable(before):
            before(number, frame)

    signal.signal(signal.SIGTERM, drain)
    signal.siginterrupt(signal.SIGTERM, False)
