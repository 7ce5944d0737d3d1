"""A runner: it ticks, claims what is due, runs it, and writes how it ended.

`JobRunner.tick` is the step, `JobRunner.run` the loop around it; tests drive the step. The module
knows neither which jobs there are nor what starts it: `runrollup` does, and `inprocess.py` in the
web processes.
Source: docs/contract.md section 3.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Protocol
from uuid import UUID

import psycopg

from executions.database.connections import Connection, cut
from executions.database.problems import diagnose
from executions.database.times import TolerantLoader
from executions.scheduler import bounds, leases
from executions.scheduler.clock import elapsed
from executions.scheduler.cutting import Connect
from executions.scheduler.leases import ClaimOutcome, Failure, Finish, Plan, Success, rfc3339
from executions.scheduler.plans import due_plans
from executions.scheduler.run import Ended, Run
from executions.scheduler.spec import ErrorCode, JobSpec, Scope, Standing

logger = logging.getLogger(__name__)

TICK_SECONDS = 30.0
# After a failure: half a second, then twice as long each time, up to the tick's own interval.
FIRST_PAUSE_SECONDS = 0.5
# A finish that could not be written is tried again this soon while the lease lives, and then twice
# as late each time; by a cancelled runner, whose time is short, always this soon.
FINISH_PAUSE_SECONDS = 0.5
LONGEST_FINISH_PAUSE_SECONDS = 8.0
# What a cancelled runner allows the database, in all, for stopping the run and writing its end.
GIVE_UP_SECONDS = 10.0

_WRITTEN = {
    Finish.WRITTEN: "Finished a plan",
    Finish.LEASE_LOST: "A finish was refused: the lease is lost",
    Finish.GIVEN_UP: "A finish was given up: the runner had to end before it could be written",
}


class Presence(Protocol):
    """Somebody who remembers the runner. None of it may raise or take long."""

    def started(self) -> None: ...
    def ticked(self) -> None: ...
    def stopped(self) -> None: ...

    def abandon(self) -> None:
        """From any thread: what is under way ends soon."""


@dataclass(frozen=True)
class TickReport:
    """What became of one scope in one tick.

    Without an ``outcome`` nothing was due or, with an ``error_msg``, nobody can tell. ``status`` is
    the row's as far as it is known: of a CONFLICT it is the other runner's, and None where this
    runner lost its lease.
    """

    job: str
    scope: Scope
    plan_time: datetime | None = None
    outcome: ClaimOutcome | None = None
    status: str | None = None
    rows: int | None = None
    duration_ms: int | None = None
    attempt: int | None = None
    error_code: str | None = None
    error_msg: str | None = None
    holder: str | None = None


@dataclass(frozen=True)
class _Unanswered:
    """A claim whose answer has not come. A row that it began has that id, and lives so long."""

    plan: Plan
    new_id: UUID
    expires: float


class JobRunner:
    """One replica process's scheduler. ``tick`` and ``run`` belong to one thread.

    ``drain`` and ``cancel`` may be called from any thread.
    """

    def __init__(
        self,
        specs: Iterable[JobSpec],
        connect: Connect,
        *,
        runner_id: str,
        presence: Presence | None = None,
        report: Callable[[TickReport], None] = lambda _report: None,
    ) -> None:
        self.specs = tuple(specs)
        self.runner_id = runner_id
        self._connect = connect
        self._presence = presence
        self._report: Callable[[TickReport], None] | None = report
        self._connection: Connection | None = None
        self._run: Run | None = None
        self._unanswered: list[_Unanswered] = []
        self._met: dict[str, str] = {}  # by job: what kept the last tick from trying it
        self._wake = threading.Event()
        self._cancelled = threading.Event()
        self._given_up = threading.Event()
        self._closing = threading.Lock()

    # --- from any thread ------------------------------------------------------------------------

    def drain(self) -> None:
        """Claim nothing more; the run in hand may end, and then the loop does."""
        self._wake.set()

    def cancel(self) -> None:
        """Drain, and cancel the run in hand; it is written as ``canceled``.

        Once the database has not taken that for 10 s, the runner ends without.
        """
        self._cancelled.set()
        self._wake.set()
        run = self._run
        if run is not None:
            run.cancel(ErrorCode.CANCELED)
        if self._presence:
            self._presence.abandon()
        impatience = threading.Timer(GIVE_UP_SECONDS, self._give_up)
        impatience.daemon = True
        impatience.start()

    @property
    def draining(self) -> bool:
        return self._wake.is_set()

    # --- the loop -------------------------------------------------------------------------------

    def run(self, tick_seconds: float = TICK_SECONDS) -> None:
        """Tick at once and then at that interval, in seconds, until drained.

        While the database is away it backs off and comes back by itself.
        """
        failures = 0
        with self:
            while not self.draining:
                began = monotonic()
                if self._tried_tick(failures):
                    failures = 0
                    pause = tick_seconds - (monotonic() - began)
                else:
                    pause = min(FIRST_PAUSE_SECONDS * 2 ** min(failures, 20), tick_seconds)
                    failures += 1
                self._wake.wait(max(0.0, pause))

    def _tried_tick(self, failures: int) -> bool:
        try:
            self.tick()
        except psycopg.Error as error:
            if failures == 0:
                logger.warning(
                    "%s The runner tries again by itself.",
                    diagnose(error).sentence(),
                    extra={"runner": self.runner_id},
                )
            return False
        except BaseException:
            # A mistake in this program must not end the only scheduler of an installation, whatever
            # it raises. A signal does not come as an exception here: it drains or cancels.
            logger.exception("A tick failed", extra={"runner": self.runner_id})
            self.close()
            return False
        if failures:
            logger.info("The database answers again", extra={"runner": self.runner_id})
        return True

    def __enter__(self) -> JobRunner:
        logger.info("The runner starts", extra={"runner": self.runner_id})
        if self._presence:
            self._presence.started()
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
        if self._presence:
            self._presence.stopped()
        logger.info("The runner has stopped", extra={"runner": self.runner_id})

    def close(self) -> None:
        """Close the runner's own connection; the next tick opens another."""
        with self._closing:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _give_up(self) -> None:
        """A database that does not answer must not keep a cancelled runner from its end."""
        with self._closing:
            self._given_up.set()
            if self._connection is not None:
                cut(self._connection)

    # --- the step -------------------------------------------------------------------------------

    def tick(self) -> list[TickReport]:
        """One planning pass: sweep, plan and claim for each job, and run what was won.

        Raises:
            psycopg.Error: the database is away or refuses; nothing of it is kept open.
            BaseException: something else that a job met. Where the database is not lost, all jobs
                have had their turn before what the first of them met is raised.
        """
        reports: list[TickReport] = []
        met: list[BaseException] = []
        if self._presence:  # first: a handler may take long
            self._presence.ticked()
        for spec in self.specs:
            try:
                for report in self._tick_job(spec):
                    self._tell(report)
                    reports.append(report)
                self._met.pop(spec.name, None)
            except BaseException as error:
                lost = self._has_lost_the_database(error)
                self.close()
                if lost:
                    raise
                self._tell_what_was_met(spec, error)
                met.append(error)
        if met:
            raise met[0]
        return reports

    def _has_lost_the_database(self, error: BaseException) -> bool:
        """Whether there is no connection any more, so that the next job would meet the same."""
        gone = self._connection is None or self._connection.closed
        return gone and isinstance(error, psycopg.Error)

    def _tell_what_was_met(self, spec: JobSpec, error: BaseException) -> None:
        """Once for each text: it may be the same in every tick."""
        said = f"{type(error).__name__}: {bounds.said(error)}"
        if self._met.get(spec.name) != said:
            logger.error(
                "A tick failed for this job alone: %s",
                said,
                extra={"runner": self.runner_id, "job": spec.name},
            )
        self._met[spec.name] = said

    def _tell(self, report: TickReport) -> None:
        """Report what became of a scope. Whoever cannot be told any more is not told again."""
        if self._report is None:
            return
        try:
            self._report(report)
        except Exception:
            logger.exception(
                "Reporting failed; the runner goes on without", extra={"runner": self.runner_id}
            )
            self._report = None

    def _tick_job(self, spec: JobSpec) -> Iterator[TickReport]:
        if self.draining:
            return
        taken_up = []
        for claim in self._won_unheard(spec):
            taken_up.append(claim.plan)
            yield self._attempt(claim)
        for swept in leases.sweep(self._database(), spec):
            logger.warning(
                "Closed an abandoned execution",
                extra={
                    "runner": self.runner_id,
                    "abandoned_by": swept["runner_id"],
                    "job": spec.name,
                    "plan_time": rfc3339(swept["plan_time"]),
                    "attempt": swept["attempt"],
                },
            )
        scopes = list(spec.scopes)
        while scopes and not self.draining:
            standings = leases.read_standings(self._database(), spec, scopes)
            read_at = elapsed()
            for standing in standings:
                ran = yield from self._tick_scope(spec, scopes.pop(0), standing, read_at, taken_up)
                if ran or self.draining:
                    break  # a run may have taken long: the scopes that are left are read anew

    def _tick_scope(
        self,
        spec: JobSpec,
        scope: Scope,
        standing: Standing,
        read_at: float,
        taken_up: Collection[Plan],
    ) -> Generator[TickReport, None, bool]:
        """Try what is due for one scope; returns whether a handler ran.

        A planner of the job's own that crashes harms that job alone.
        """
        try:
            planned = due_plans(spec, standing, self._wake.is_set)
        except BaseException as error:  # as with a handler: whatever it is, it ends here
            logger.exception(
                "The job's planner failed", extra={"runner": self.runner_id, "job": spec.name}
            )
            said = f"The planner failed: {type(error).__name__}: {bounds.said(error)}"
            yield TickReport(spec.name, scope, error_msg=said)
            return False
        if self.draining:
            return False
        if not planned and scope not in [plan.scope for plan in taken_up]:
            yield TickReport(spec.name, scope)
        ran = False
        for plan_time in planned:
            if self.draining:
                break
            plan = Plan(spec, scope, plan_time)
            if plan in taken_up:
                continue
            now = standing.now + timedelta(seconds=elapsed() - read_at)
            # What was seen before a run may have changed since.
            foreseen = None if ran else leases.foreseen_conflict(plan, standing)
            report = self._attempt(self._claim(plan, leases.uuid7(now), foreseen))
            ran |= report.attempt is not None
            yield report
        return ran

    def _won_unheard(self, spec: JobSpec) -> Iterator[leases.Claim]:
        """Claims of this job that had been won although their answers were lost.

        Nobody may plan them again: to an every-plan job their rows are stored ones.
        """
        for asked in [asked for asked in self._unanswered if asked.plan.spec is spec]:
            lease = leases.begun(
                self._database(), asked.plan, runner_id=self.runner_id, new_id=asked.new_id
            )
            if lease or elapsed() >= asked.expires:
                self._unanswered.remove(asked)
            if lease:
                yield leases.Claim(ClaimOutcome.WON, asked.plan, lease)

    def _claim(self, plan: Plan, new_id: UUID, foreseen: leases.Claim | None) -> leases.Claim:
        """Claim a plan; sent again with the id of a claim that got no answer, it knows its row."""
        asked = next((asked for asked in self._unanswered if asked.plan == plan), None)
        if asked is None:
            if foreseen:
                return foreseen
            expires = elapsed() + plan.spec.stale_timeout.total_seconds()
            asked = _Unanswered(plan, new_id, expires)
            self._unanswered.append(asked)
        claim = leases.claim(self._database(), plan, runner_id=self.runner_id, new_id=asked.new_id)
        self._unanswered.remove(asked)
        return claim

    def _attempt(self, claim: leases.Claim) -> TickReport:
        """If the plan was won, run it and write how it ended."""
        plan, lease = claim.plan, claim.lease
        if lease is None:
            return TickReport(
                plan.spec.name,
                plan.scope,
                plan.plan_time,
                claim.outcome,
                status=claim.status,
                holder=claim.holder,
            )
        logger.info("Claimed a plan", extra=lease.log_fields() | {"outcome": claim.outcome})
        run = Run(lease, self._connect)
        self._run = run
        if self._cancelled.is_set():
            run.cancel(ErrorCode.CANCELED)
        try:
            ended = run.execute()
        finally:
            self._run = None
        written, ended = self._finish(lease, ended)
        return self._settled(claim.outcome, lease, ended, written)

    def _finish(self, lease: leases.Lease, ended: Ended) -> tuple[Finish, Ended]:
        """Write the end, and try again while the lease lives if it could not be written.

        The second try follows at once, on a fresh connection: the first may have died long ago.
        Returns what was to be written in the end, too: an end that cannot be stored becomes a
        failure that can.
        """
        pause = 0.0
        while True:
            try:
                outcome = ended.outcome
                return leases.finish(self._database(), lease, outcome, ended.duration_ms), ended
            except Exception as error:  # whatever it is, the row must not stay RUNNING
                self.close()
                logger.warning("A finish could not be written: %s", error, extra=lease.log_fields())
                if _is_unstorable(error):
                    ended = replace(ended, outcome=_unstored(error))
            if self._given_up_after(min(pause, ended.lease_expires - elapsed())):
                return Finish.GIVEN_UP, ended
            if elapsed() >= ended.lease_expires:
                return Finish.LEASE_LOST, ended
            pause = min(max(2 * pause, FINISH_PAUSE_SECONDS), LONGEST_FINISH_PAUSE_SECONDS)
            if self._cancelled.is_set():
                pause = FINISH_PAUSE_SECONDS

    def _given_up_after(self, pause: float) -> bool:
        """Wait before another try; a cancellation leads to one at once."""
        waker = self._given_up if self._cancelled.is_set() else self._cancelled
        waker.wait(pause)
        return self._given_up.is_set()

    def _settled(
        self, outcome: ClaimOutcome, lease: leases.Lease, ended: Ended, written: Finish
    ) -> TickReport:
        result = ended.outcome
        stands = written is Finish.WRITTEN
        report = TickReport(
            lease.plan.spec.name,
            lease.plan.scope,
            lease.plan.plan_time,
            outcome,
            status=result.status if stands else None,
            rows=result.rows_affected if isinstance(result, Success) else None,
            duration_ms=ended.duration_ms,
            attempt=lease.attempt,
            error_code=result.error_code,
            error_msg=None if isinstance(result, Success) else result.error_msg,
        )
        logger.log(
            logging.INFO if report.status == "SUCCESS" else logging.WARNING,
            _WRITTEN[written],
            extra=lease.log_fields()
            | {
                "status": report.status,
                "rows": report.rows,
                "duration_ms": report.duration_ms,
                "error_code": report.error_code,
                "error": report.error_msg,
            },
        )
        return report

    def _database(self) -> Connection:
        if self._connection is None:
            opened = self._connect("multica-admin runner")
            # A stranger's row with a time that Python cannot hold must not stop a job.
            opened.adapters.register_loader("timestamptz", TolerantLoader)
            with self._closing:
                self._connection = opened
                if self._given_up.is_set():
                    cut(opened)
        return self._connection


def _is_unstorable(error: Exception) -> bool:
    """Whether what was to be written is at fault, so that it would fail again."""
    return isinstance(error, psycopg.DataError) or not isinstance(error, psycopg.Error)


def _unstored(error: Exception) -> Failure:
    """The end of a run whose own end cannot be stored; in ASCII, which every database takes."""
    said = bounds.said(error).encode("ascii", "backslashreplace").decode()
    text = f"The end of the run could not be stored: {type(error).__name__}: {said}"
    return Failure(ErrorCode.HANDLER_ERROR, text)
