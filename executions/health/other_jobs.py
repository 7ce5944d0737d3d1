"""Reads what the small verdict of a job without a cadence needs, such as Multica's autopilot.

`tally` judges it. The rollup has facts, findings and a ledger of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime

from executions.database.problems import or_problem
from executions.database.reading import Fetch, fetch_for_dashboard
from executions.database.sql import load
from executions.health.assessment import JobAssessment
from executions.health.facts import Ground
from executions.health.facts.executions import ExecutionFact
from executions.health.figures import Figures, age, of_rows
from executions.health.findings.base import Finding, FindingCode, Severity
from executions.health.findings.progress import SWEEP_ALLOWANCE, abandoned_among
from executions.health.read import execution_of, refuse_hidden
from executions.health.tally import Examples, JobTally, judge_tally
from executions.health.verdict import Level, Verdict
from executions.text.problem import Problem
from executions.text.sentences import quoted, say, together

SQL = load("health")

# Together they stay within 5,000 rows.
MOST_LOOKED_AT = 4_000
MOST_RUNNING = 1_000


@dataclass(frozen=True)
class JobFacts:
    """A job's executions: those that ended in 24 hours, are halted or were abandoned."""

    job: str
    now: datetime
    known: bool
    tally: JobTally = field(default_factory=JobTally)
    finished: tuple[ExecutionFact, ...] = ()
    exhausted: tuple[ExecutionFact, ...] = ()
    stale: tuple[ExecutionFact, ...] = ()


def assess_job(job: str, fetch: Fetch = fetch_for_dashboard) -> JobAssessment:
    """Read and judge one job by its name; never raises for the database."""
    facts = or_problem(lambda: read_job(job, fetch))
    return unreadable(job, facts) if isinstance(facts, Problem) else assess_facts(facts)


@dataclass(frozen=True)
class Tallies:
    """The tallies of jobs. ``reached`` is set if they reach back less than 24 hours."""

    by_job: Mapping[str, JobTally]
    reached: datetime | None = None

    def of(self, job: str) -> JobTally:
        return self.by_job.get(job, JobTally())


def read_tallies(fetch: Fetch) -> Tallies:
    """One bounded read for all jobs.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    rows = fetch(
        SQL.tallies,
        {
            "most": MOST_LOOKED_AT,
            "most_running": MOST_RUNNING,
            "allowance": SWEEP_ALLOWANCE,
        },
    )
    names = [one.name for one in fields(JobTally)]
    return Tallies(
        {row["job_name"]: JobTally(**{name: row[name] for name in names}) for row in rows},
        next((row["reached"] for row in rows if row["cut_short"]), None),
    )


def read_job(job: str, fetch: Fetch) -> JobFacts:
    """Six bounded reads; only the first two for a job without executions.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.ground, {})
    ground = Ground(**row)
    refuse_hidden(ground, "sys_cron_executions")
    if not fetch(SQL.any_of_job, {"job": job}):
        return JobFacts(job, ground.now, known=False)
    finished = fetch(SQL.finished_of_job, {"job": job, "most": MOST_LOOKED_AT})
    return JobFacts(
        job,
        ground.now,
        known=True,
        tally=read_tallies(fetch).of(job),
        finished=tuple(map(execution_of, finished)),
        exhausted=tuple(map(execution_of, fetch(SQL.exhausted_of_job, {"job": job}))),
        stale=tuple(map(execution_of, fetch(SQL.stale_executions, {"job": job}))),
    )


def assess_facts(facts: JobFacts) -> JobAssessment:
    """The verdict on these facts. A job without any execution is unknown, not healthy."""
    if not facts.known:
        return JobAssessment(facts.job, facts.now, Figures(), _never_ran(facts))
    retried = tuple(row for row in facts.finished if row.succeeded and row.attempt > 1)
    abandoned = abandoned_among(facts.stale, facts.now)
    seen = Examples(abandoned, facts.exhausted, retried)
    verdict = judge_tally(facts.job, facts.now, facts.tally, seen)
    return JobAssessment(facts.job, facts.now, _figures(facts), verdict)


def _never_ran(facts: JobFacts) -> Verdict:
    summary = say("No execution of the job %(job)s is recorded.", job=facts.job)
    finding = Finding(
        FindingCode.NO_EXECUTIONS,
        Severity.INFO,
        summary,
        say("Check the name; the jobs that have executions are listed under History."),
        facts.now,
        {"job": facts.job, "executions": 0},
    )
    return Verdict(Level.UNKNOWN, summary, (finding,))


def unreadable(job: str, why: Problem) -> JobAssessment:
    """The assessment of a job that could not be read."""
    summary = together(
        say("We cannot tell how the job %(job)s is.", job=job),
        quoted(why.reason),
    )
    finding = Finding(
        FindingCode.NOT_AVAILABLE,
        Severity.INFO,
        summary,
        quoted(why.todo),
        None,
        {"what": ["executions"], "reason": why.reason, "remedy": why.todo},
    )
    verdict = Verdict(Level.UNKNOWN, summary, (finding,))
    return JobAssessment(job, None, Figures(), verdict)


def _figures(facts: JobFacts) -> Figures:
    """The figures of what ended in 24 hours, as far back as was read. No plans are expected."""
    rows = facts.finished
    success = next((row for row in rows if row.succeeded and row.finished_at), None)
    streak = next((n for n, row in enumerate(rows) if not row.succeeded), len(rows))

    return Figures(
        latest_success_age_seconds=age(facts.now, success.finished_at if success else None),
        latest_plan_age_seconds=age(facts.now, max((row.plan_time for row in rows), default=None)),
        success_streak=streak,
        plans_expected_24h=0,
        plans_missing_24h=0,
        **of_rows(rows),
    )
