"""A runner: it ticks, claims due plans, runs them, and writes their outcome.

`JobRunner.tick` is one pass, `JobRunner.run` the loop around it; tests drive single ticks. The
module knows neither the jobs nor what starts it: `runrollup`, or `inprocess.py` in the web
processes. Source: docs/contract.md section 3.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Protocol
from uuid import UUID

import psycopg

from executions.database.problems import diagnose
from executions.scheduler import bounds, leases
from executions.scheduler.clock import elapsed
from executions.scheduler.cutting import Connect
from executions.scheduler.finishing import write_end
from executions.scheduler.leases import ClaimOutcome, Finish, Plan, rfc3339
from executions.scheduler.own_connection import OwnConnection
from executions.scheduler.plans import due_plans
from executions.scheduler.reports import TickReport
from executions.scheduler.run import Run
from executions.scheduler.spec import ErrorCode, JobSpec, Scope, Standing

logger = logging.getLogger(__name__)

TICK_SECONDS = 30.0
# After a failure: half a second, then twice as long each time, up to the tick's own interval.
FIRST_PAUSE_SECONDS = 0.5
# In all, a cancelled runner waits this long for the database to stop the run and store its outcome.
GIVE_UP_SECONDS = 10.0

_WRITTEN = {
    Finish.WRITTEN: "Finished a plan",
    Finish.LEASE_LOST: "A finish was refused: the lease is lost",
    Finish.GIVEN_UP: "A finish was given up: the runner had to end before it could be written",
}


class Presence(Protocol):
    """Keeps the runner's own row. No method may raise or take long."""

    def started(self) -> None: ...
    def ticked(self) -> None: ...
    def stopped(self) -> None: ...

    def abandon(self) -> None:
        """From any thread: end the current write soon."""


@dataclass(frozen=True)
class _Unanswered:
    """A claim whose answer has not come. A row that it began has this id, and lives this long."""

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
        self._own = OwnConnection(connect)
        self._run: Run | None = None
        self._unanswered: list[_Unanswered] = []
        self._met: dict[str, str] = {}  # by job: what kept the last tick from trying it
        self._wake = threading.Event()
        self._cancelled = threading.Event()

    # --- from any thread ------------------------------------------------------------------------

    def drain(self) -> None:
        """Claim nothing more. The current run may end, and then the loop does."""
        self._wake.set()

    def cancel(self) -> None:
        """Drain, and cancel the current run, which is stored as ``canceled``.

        If the database has not stored that within 10 s, the runner ends without it.
        """
        self._cancelled.set()
        self._wake.set()
        run = self._run
        if run is not None:
            run.cancel(ErrorCode.CANCELED)
        if self._presence:
            self._presence.abandon()
        impatience = threading.Timer(GIVE_UP_SECONDS, self._own.give_up)
        impatience.daemon = True
        impatience.start()

    @property
    def draining(self) -> bool:
        return self._wake.is_set()

    # --- the loop -------------------------------------------------------------------------------

    def run(self, tick_seconds: float = TICK_SECONDS) -> None:
        """Tick at once and then at that interval, in seconds, until drained.

        While the database is away it waits longer and longer, and recovers by itself.
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
                    diagnose(error).brief,
                    extra={"runner": self.runner_id},
                )
            return False
        except BaseException:
            # A mistake in this program must not end an installation's only scheduler, whatever it
            # raises. Signals do not arrive as exceptions here: they drain or cancel.
            logger.exception("A tick failed", extra={"runner": self.runner_id})
            self._own.close()
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
        self._own.close()
        if self._presence:
            self._presence.stopped()
        logger.info("The runner has stopped", extra={"runner": self.runner_id})

    # --- the step -------------------------------------------------------------------------------

    def tick(self) -> list[TickReport]:
        """One planning pass: sweep, plan and claim for each job, and run what was won.

        Raises:
            psycopg.Error: the database is away or refuses; no connection stays open.
            BaseException: another error of a job. Unless the database is lost, all jobs have had
                their turn before the first such error is raised.
        """
        reports: list[TickReport] = []
        met: list[BaseException] = []
        if self._presence:  # first, because a handler may take long
            self._presence.ticked()
        for spec in self.specs:
            try:
                for report in self._tick_job(spec):
                    self._tell(report)
                    reports.append(report)
                self._met.pop(spec.name, None)
            except BaseException as error:
                lost = self._has_lost_the_database(error)
                self._own.close()
                if lost:
                    raise
                self._tell_what_was_met(spec, error)
                met.append(error)
        if met:
            raise met[0]
        return reports

    def _has_lost_the_database(self, error: BaseException) -> bool:
        """Whether the connection is lost, so that the next job would meet the same error."""
        return self._own.is_lost and isinstance(error, psycopg.Error)

    def _tell_what_was_met(self, spec: JobSpec, error: BaseException) -> None:
        """Log each text once, because it may be the same in every tick."""
        said = f"{type(error).__name__}: {bounds.said(error)}"
        if self._met.get(spec.name) != said:
            logger.error(
                "A tick failed for this job alone: %s",
                said,
                extra={"runner": self.runner_id, "job": spec.name},
            )
        self._met[spec.name] = said

    def _tell(self, report: TickReport) -> None:
        """Report the outcome for a scope. A receiver that has failed gets no more reports."""
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
        for swept in leases.sweep(self._own.get(), spec):
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
            standings = leases.read_standings(self._own.get(), spec, scopes)
            read_at = elapsed()
            for standing in standings:
                ran = yield from self._tick_scope(spec, scopes.pop(0), standing, read_at, taken_up)
                if ran or self.draining:
                    break  # a run may have taken long: the remaining scopes are read anew

    def _tick_scope(
        self,
        spec: JobSpec,
        scope: Scope,
        standing: Standing,
        read_at: float,
        taken_up: Collection[Plan],
    ) -> Generator[TickReport, None, bool]:
        """Try what is due for one scope. Return whether a handler ran.

        If a job's own planner crashes, only that job is affected.
        """
        try:
            planned = due_plans(spec, standing, self._wake.is_set)
        except BaseException as error:  # like a handler's, any exception ends here
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
            # What was read before a run may have changed since.
            foreseen = None if ran else leases.foreseen_conflict(plan, standing)
            report = self._attempt(self._claim(plan, leases.uuid7(now), foreseen))
            ran |= report.attempt is not None
            yield report
        return ran

    def _won_unheard(self, spec: JobSpec) -> Iterator[leases.Claim]:
        """Claims of this job that were won although their answers were lost.

        No planner returns them: to an every-plan job their rows are stored plans.
        """
        for asked in [asked for asked in self._unanswered if asked.plan.spec is spec]:
            lease = leases.begun(
                self._own.get(), asked.plan, runner_id=self.runner_id, new_id=asked.new_id
            )
            if lease or elapsed() >= asked.expires:
                self._unanswered.remove(asked)
            if lease:
                yield leases.Claim(ClaimOutcome.WON, asked.plan, lease)

    def _claim(self, plan: Plan, new_id: UUID, foreseen: leases.Claim | None) -> leases.Claim:
        """Claim a plan. With the id of a claim without an answer, it recognizes its row."""
        asked = next((asked for asked in self._unanswered if asked.plan == plan), None)
        if asked is None:
            if foreseen:
                return foreseen
            expires = elapsed() + plan.spec.stale_timeout.total_seconds()
            asked = _Unanswered(plan, new_id, expires)
            self._unanswered.append(asked)
        claim = leases.claim(self._own.get(), plan, runner_id=self.runner_id, new_id=asked.new_id)
        self._unanswered.remove(asked)
        return claim

    def _attempt(self, claim: leases.Claim) -> TickReport:
        """If the plan was won, run it and write its outcome."""
        lease = claim.lease
        if lease is None:
            return TickReport.of_conflict(claim)
        logger.info("Claimed a plan", extra=lease.log_fields() | {"outcome": claim.outcome})
        run = Run(lease, self._connect)
        self._run = run
        if self._cancelled.is_set():
            run.cancel(ErrorCode.CANCELED)
        try:
            ended = run.execute()
        finally:
            self._run = None
        written, ended = write_end(lease, ended, self._own, self._cancelled)
        report = TickReport.of_run(claim.outcome, lease, ended, written)
        logger.log(
            logging.INFO if report.status == "SUCCESS" else logging.WARNING,
            _WRITTEN[written],
            extra=lease.log_fields() | report.log_fields(),
        )
        return report
