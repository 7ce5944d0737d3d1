"""What calls the rollup: runners, pg_cron's jobs, and callers that show only in their traces.

What cannot be seen is kept apart from what does not exist, with the statements that would show it.
It changes nothing; `executions/retirement/` retires schedules.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from operator import attrgetter
from typing import Any

from django.conf import settings
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _

from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.database.permissions import sight_statements
from executions.database.reading import fetch_for_dashboard
from executions.health import snapshots
from executions.health.facts.executions import Executions, begun_by_runner
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.health.findings import Finding, FindingCode
from executions.health.findings.base import of_code, with_explained
from executions.health.findings.writer import Whence, is_over, whence
from executions.health.ledger import WINDOW
from executions.health.snapshots import Snapshot
from executions.health.writers import jumps, pairs
from executions.models.retirement import Retirement
from executions.pgcron import commands
from executions.pgcron.job import Candidate, Inventory
from executions.pgcron.launcher import why_nothing_starts
from executions.pgcron.schedule import describe
from executions.retirement import rules
from executions.retirement.callers import Callers, read_callers
from executions.retirement.gates.gate import Gate, GateCode
from executions.retirement.report import Judged, RetirementReport, report
from executions.text.digest import digest
from executions.text.problem import Problem
from executions.text.sentences import At, Text, after_one_another, say_counted

RETIREMENTS = 20


@dataclass(frozen=True)
class RunnerLine:
    """A runner that won plans of the rollup in the last 24 hours."""

    runner_id: str
    is_ours: bool
    plans: int
    last_seen: datetime


@dataclass(frozen=True)
class JobCard:
    """A pg_cron job that leads to the rollup, with what can be done about it."""

    judged: Judged

    @property
    def candidate(self) -> Candidate:
        return self.judged.candidate

    @property
    def schedule(self) -> str:
        job = self.candidate.job
        return describe(job.schedule, both_days=job.both_days)

    @property
    def match(self) -> Gate:
        """How the command leads to the rollup. It passes if the wizard may retire the job."""
        return self.judged.check.gate(GateCode.COMMAND_MATCHES)

    @property
    def refusing(self) -> tuple[Gate, ...]:
        return self.judged.check.refusals(self.judged.check.aim)

    @property
    def is_explained_only(self) -> bool:
        return self.judged.check.explained_only

    @property
    def key(self) -> str:
        return str(self.candidate.job.jobid)

    @property
    def statement(self) -> str:
        return commands.unschedule_text(self.candidate.job.jobid)


@dataclass(frozen=True)
class Schedules:
    """Everything that is known to call the rollup, and what is not known.

    ``callers`` is None if Multica's database could not be asked.
    """

    report: RetirementReport
    snapshot: Snapshot
    retirements: tuple[Retirement, ...]
    callers: Callers | None

    @property
    def inventory(self) -> Inventory:
        return self.report.inventory

    @property
    def cards(self) -> list[JobCard]:
        return [JobCard(judged) for judged in self.report.judged]

    @property
    def standby(self) -> str:
        """The variable that names a standby; empty if none does, as far as is known."""
        if self.snapshot.is_on_standby:
            return "DATABASE_URL"
        server = self.inventory.server
        return "RETIRE_DATABASE_URL" if server and server.is_standby else ""

    @property
    def now(self) -> datetime | None:
        """The clock of pg_cron's database, else Multica's; None if neither answers."""
        server = self.inventory.server
        return server.now if server else self.snapshot.checked_at

    @property
    def live_seconds(self) -> int:
        busy = any(one.state in Retirement.LIVE for one in self.retirements)
        return BUSY_SECONDS if busy else QUIET_SECONDS

    @cached_property
    def version(self) -> str:
        seen = (
            self.report.as_json(),
            [one.candidate.runs for one in self.report.judged],
            [(one.pk, one.state, one.changed_at) for one in self.retirements],
            self.runners,
            [(finding.code, finding.severity) for finding in self._findings],
            (self.whence, self._is_over),
            self.rare_writer and self.rare_writer.still(),
            self.inventory.reason,
            self.launcher,
            self.standby,
            self.callers,
        )
        return digest(_without_ages(seen))

    # --- Runners --------------------------------------------------------------------------------

    @property
    def executions(self) -> Executions | Problem:
        return self.snapshot.facts.executions

    @cached_property
    def runners(self) -> list[RunnerLine]:
        """The runners whose runs began within the last 24 hours, as in the overview's lanes."""
        facts, executions = self.snapshot.facts, self.executions
        if isinstance(executions, Problem) or facts.now is None:
            return []
        ours = frozenset() if isinstance(facts.own_runners, Problem) else facts.own_runners
        lines = [
            RunnerLine(runner_id, runner_id in ours, len(runs), runs[0].last_seen)
            for runner_id, runs in begun_by_runner(executions.rows, facts.now, WINDOW).items()
            if runner_id is not None
        ]
        return sorted(lines, key=attrgetter("last_seen"), reverse=True)

    @property
    def theirs(self) -> list[RunnerLine]:
        return [line for line in self.runners if not line.is_ours]

    @property
    def ours(self) -> list[RunnerLine]:
        return [line for line in self.runners if line.is_ours]

    @property
    def our_scheduler_is_on(self) -> bool:
        return settings.ROLLUP_SCHEDULER

    # --- What only shows in behaviour, and what cannot be seen ----------------------------------

    @property
    def _findings(self) -> list[Finding]:
        return list(with_explained(self.snapshot.verdict.findings))

    @property
    def other_writer(self) -> Finding | None:
        """The trace of a caller that is not one of the runners."""
        return of_code(FindingCode.OTHER_WRITER, self._findings)

    @cached_property
    def rare_writer(self) -> Text | None:
        """A writer too rare for the finding, such as an hourly schedule; None if there is none."""
        executions, now = self.executions, self.snapshot.checked_at
        if isinstance(executions, Problem) or now is None or self.other_writer is not None:
            return None
        found = jumps(pairs(executions.rows))
        if not found:
            return None
        return say_counted(
            len(found),
            "Since %(since)s something besides the runners moved the watermark once, before the"
            " plan of %(plan)s. It may be a schedule that runs seldom or was stopped since, a"
            " backfill or a call by hand.",
            "Since %(since)s something besides the runners moved the watermark %(n)s times,"
            " the latest before the plan of %(plan)s. It may be a schedule that runs seldom or"
            " was stopped since, a backfill or calls by hand.",
            since=At(executions.rows[-1].plan_time, now),
            plan=At(found[0].later.plan_time, now),
        )

    @property
    def is_explained(self) -> bool:
        """Whether a job on this page may be what leaves that trace now."""
        return not self._is_over and any(map(self._may_be, self.cards))

    @property
    def _is_over(self) -> bool:
        return self.other_writer is not None and is_over(self.other_writer)

    def _may_be(self, card: JobCard) -> bool:
        """Whether the job ran at one of those moments, or its runs are unknown."""
        job, pg_cron = card.candidate.job, self.snapshot.facts.pg_cron
        if not job.active or self.other_writer is None:
            return job.active
        ran_then: Any = self.other_writer.evidence["jobs"]
        runs = pg_cron.runs if isinstance(pg_cron, PgCron) else ()
        return any(one["jobid"] == job.jobid for one in ran_then) or not any(
            run.jobid == job.jobid for run in runs
        )

    @property
    def whence(self) -> str:
        """Where another writer may be; empty if it is over."""
        if self.other_writer is None or self._is_over:
            return ""
        if self.is_explained:
            return _("An active job above may be the cause; retire that job first.")
        if self.inventory.complete:
            if whence(self.snapshot.facts, self.other_writer) is Whence.OUTSIDE:
                return _("No pg_cron job explains it, so it comes from outside the database.")
            return _(
                "No existing pg_cron job explains it, and pg_cron has no run details of that"
                " time: a pg_cron job that is gone or paused by now may have done it, or"
                " something outside the database."
            )
        return _(
            "No visible job explains it: it may be a pg_cron job that this role may not see, or"
            " come from outside the database."
        )

    @property
    def sight(self) -> str:
        """How much of pg_cron this installation sees, and why not more."""
        inventory = self.inventory
        if inventory.reason:
            cannot_tell = _(
                "We cannot tell whether a pg_cron job exists. That is not the same as none."
            )
            return str(after_one_another(cannot_tell, inventory.reason))
        names = {"role": inventory.role, "database": inventory.database}
        return _SIGHTS[inventory.visibility]() % names

    @property
    def launcher(self) -> list[str]:
        """Why no job is started, and what to do; empty while pg_cron starts them."""
        return why_nothing_starts(self.inventory)

    @property
    def showing(self) -> str:
        """The statements with which an administrator lets this role see every job."""
        inventory = self.inventory
        blind = inventory.visibility in {Visibility.FILTERED, Visibility.NO_ACCESS}
        if not blind or inventory.role is None or inventory.database is None:
            return ""
        return "\n".join(sight_statements(inventory.role, inventory.database))


_SIGHTS = {
    Visibility.FULL: lambda: _("The role %(role)s sees every job of pg_cron in %(database)s."),
    Visibility.FILTERED: lambda: _(
        "There may be more jobs than are shown: the role %(role)s may not see other owners'"
        " jobs. Seeing none does not prove that there is none."
    ),
    Visibility.NO_ACCESS: lambda: _(
        "We cannot tell whether a pg_cron job exists: the role %(role)s may not look at pg_cron's"
        " jobs. That is not the same as none."
    ),
    Visibility.ABSENT: lambda: _("There is no pg_cron on this server, so it has no jobs."),
    Visibility.ELSEWHERE: lambda: _(
        "pg_cron's jobs are in the database %(database)s, where this installation does not look."
        " Set RETIRE_DATABASE_URL to that database."
    ),
    Visibility.UNKNOWN: lambda: _(
        "We cannot tell whether a pg_cron job exists. That is not the same as none. It may be in"
        " another database of this server, often “postgres”: set RETIRE_DATABASE_URL to look"
        " there."
    ),
}


def _without_ages(seen: object) -> object:
    """The same without sentences, in which times grow older by themselves."""
    if isinstance(seen, dict):
        return {name: _without_ages(value) for name, value in seen.items() if name != "summary"}
    if isinstance(seen, list | tuple):
        return [_without_ages(value) for value in seen]
    return seen


def read_schedules() -> Schedules:
    """The page at this moment. The page says which database cannot be reached.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    snapshot = snapshots.fresh()
    return Schedules(
        report(rules.current(), known=snapshot.facts),
        snapshot,
        tuple(Retirement.objects.order_by("-created_at", "-pk")[:RETIREMENTS]),
        _callers(snapshot),
    )


def _callers(snapshot: Snapshot) -> Callers | None:
    if snapshot.checked_at is None:
        return None  # Multica's database has just said nothing: a page waits for that once
    try:
        return read_callers(fetch_for_dashboard)
    except DatabaseError:
        return None
