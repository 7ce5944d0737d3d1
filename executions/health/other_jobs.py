"""The small verdict of a job without a cadence, such as Multica's autopilot: read and judged.

Nobody can say which plans such a job should have had, so nothing here speaks of gaps or lateness.
The rollup has facts, findings and a ledger of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from django.db import Error as DatabaseError
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from executions.health.assessment import JobAssessment
from executions.health.facts import Execution, NotAvailable
from executions.health.figures import Figures
from executions.health.findings.attempts import MASKED_OFTEN
from executions.health.findings.base import HOUR, LATELY, Code, Finding, Severity, brief, listed
from executions.health.findings.progress import SWEEP_ALLOWANCE
from executions.health.ledger import durations, percentile
from executions.health.read import execution_of, why_not
from executions.health.sentences import Ago, At, Text, say, together
from executions.health.verdict import Level, Verdict, worst_first
from executions.reading import Fetch, fetch_for_dashboard
from executions.sql import load
from executions.templatetags.display import NOTHING

SQL = load("health")

MOST_LOOKED_AT = 4_000


@dataclass(frozen=True)
class JobFacts:
    """What was read of a job: what ended in 24 hours, what stands still, what was abandoned."""

    job: str
    now: datetime
    known: bool
    finished: tuple[Execution, ...] = ()
    exhausted: tuple[Execution, ...] = ()
    stale: tuple[Execution, ...] = ()


def assess_job(job: str, fetch: Fetch = fetch_for_dashboard) -> JobAssessment:
    """Read and judge one job by its name; never raises for the database."""
    try:
        return judge(read_job(job, fetch))
    except (DatabaseError, psycopg.Error) as error:
        return unreadable(job, why_not(error))


def read_job(job: str, fetch: Fetch) -> JobFacts:
    """Five bounded reads; none but the first two for a job that has no execution.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (ground,) = fetch(SQL.ground, {})
    if not fetch(SQL.any_of_job, {"job": job}):
        return JobFacts(job, ground["now"], known=False)
    every_scope = {"job": job, "scope_kind": None, "scope_id": None}
    finished = fetch(SQL.finished_of_job, {"job": job, "most": MOST_LOOKED_AT})
    return JobFacts(
        job,
        ground["now"],
        known=True,
        finished=tuple(map(execution_of, finished)),
        exhausted=tuple(map(execution_of, fetch(SQL.exhausted_of_job, {"job": job}))),
        stale=tuple(map(execution_of, fetch(SQL.stale_executions, every_scope))),
    )


def judge(facts: JobFacts) -> JobAssessment:
    """The verdict of what was read; a job without any execution is unknown, and not healthy."""
    if not facts.known:
        return JobAssessment(facts.job, facts.now, Figures(), _never_ran(facts))
    found = [
        finding
        for rule in (_running_stale, _exhausted_failure, _masked_retries)
        if (finding := rule(facts)) is not None
    ]
    findings = worst_first(found)
    worst = max((finding.severity for finding in findings), default=Severity.INFO)
    if worst is Severity.INFO:
        verdict = Verdict(Level.HEALTHY, _healthy(facts), findings)
    else:
        level = Level.FAILING if worst is Severity.CRITICAL else Level.DEGRADED
        verdict = Verdict(level, findings[0].summary, findings)
    return JobAssessment(facts.job, facts.now, _figures(facts), verdict)


def _healthy(facts: JobFacts) -> Text:
    newest = next((row for row in facts.finished if row.finished_at), None)
    if newest is None or newest.finished_at is None:
        return together(say(_("Nothing of %(job)s ended in the last 24 hours."), job=facts.job))
    return together(
        say(_("%(job)s runs."), job=facts.job),
        say(_("Its latest execution ended %(ago)s."), ago=Ago(newest.finished_at, facts.now)),
    )


def _never_ran(facts: JobFacts) -> Verdict:
    summary = say(_("No execution of the job %(job)s is recorded."), job=facts.job)
    finding = Finding(
        Code.NO_EXECUTIONS,
        Severity.INFO,
        summary,
        say(_("Check the name; the jobs that have executions are listed under History.")),
        facts.now,
        {"job": facts.job, "executions": 0},
    )
    return Verdict(Level.UNKNOWN, summary, (finding,))


def unreadable(job: str, why: NotAvailable) -> JobAssessment:
    """What can be said of a job that could not be looked at."""
    summary = together(
        say(_("We cannot tell how the job %(job)s is."), job=job),
        say("%(reason)s", reason=why.reason),
    )
    finding = Finding(
        Code.NOT_AVAILABLE,
        Severity.INFO,
        summary,
        say("%(remedy)s", remedy=why.remedy),
        None,
        {"what": ["executions"], "reason": why.reason, "remedy": why.remedy},
    )
    verdict = Verdict(Level.UNKNOWN, summary, (finding,))
    return JobAssessment(job, None, Figures(), verdict)


def _running_stale(facts: JobFacts) -> Finding | None:
    abandoned = [
        row
        for row in facts.stale
        if row.stale_after is not None and facts.now - row.stale_after > SWEEP_ALLOWANCE
    ]
    if not abandoned:
        return None
    newest = max(row.stale_after for row in abandoned if row.stale_after is not None)
    return Finding(
        Code.RUNNING_STALE,
        Severity.CRITICAL if facts.now - newest <= HOUR else Severity.INFO,
        summary=say(
            ngettext_lazy(
                "One run of %(job)s was abandoned and never closed; its lease ended %(ago)s.",
                "%(n)s runs of %(job)s were abandoned and never closed; the last lease ended"
                " %(ago)s.",
                "n",
            ),
            n=len(abandoned),
            job=facts.job,
            ago=Ago(newest, facts.now),
        ),
        advice=say(_("Check that a backend which has this job is running: it closes such rows.")),
        seen_at=newest,
        evidence={"count": len(abandoned), "executions": listed(abandoned)},
    )


def _exhausted_failure(facts: JobFacts) -> Finding | None:
    """Where the newest plan of a scope failed for good. One scope does not make a job fail."""
    if not facts.exhausted:
        return None
    newest = facts.exhausted[0]
    recent = newest.finished_at is not None and facts.now - newest.finished_at <= HOUR
    return Finding(
        Code.EXHAUSTED_FAILURE,
        Severity.WARNING if recent else Severity.INFO,
        summary=say(
            ngettext_lazy(
                "One scope of %(job)s ended with a failure that is not tried again, %(code)s:"
                " %(message)s (plan of %(plan)s).",
                "%(n)s scopes of %(job)s ended with a failure that is not tried again, the latest"
                " with %(code)s: %(message)s (plan of %(plan)s).",
                "n",
            ),
            n=len(facts.exhausted),
            job=facts.job,
            code=newest.error_code or NOTHING,
            message=brief(newest.error_msg),
            plan=At(newest.plan_time, facts.now),
        ),
        advice=say(_("Read the errors under History. The next plan of each scope runs as ever.")),
        seen_at=newest.plan_time,
        evidence={"count": len(facts.exhausted), "executions": listed(facts.exhausted)},
    )


def _masked_retries(facts: JobFacts) -> Finding | None:
    retried = [row for row in facts.finished if row.succeeded and row.attempt > 1]
    if not retried:
        return None
    often = sum(1 for row in facts.finished[:LATELY] if row.succeeded and row.attempt > 1)
    return Finding(
        Code.MASKED_RETRIES,
        Severity.WARNING if often >= MASKED_OFTEN else Severity.INFO,
        summary=say(
            ngettext_lazy(
                "One run of %(job)s needed more than one attempt in the last 24 hours.",
                "%(n)s runs of %(job)s needed more than one attempt in the last 24 hours.",
                "n",
            ),
            n=len(retried),
            job=facts.job,
        ),
        advice=say(_("Now and then is normal. If it goes on, look into the backend's log.")),
        seen_at=retried[0].finished_at,
        evidence={"count": len(retried), "of_the_last_12": often, "executions": listed(retried)},
    )


def _figures(facts: JobFacts) -> Figures:
    """Of what ended in 24 hours, as far back as was looked; there are no plans to expect."""
    rows = facts.finished
    taken = durations(rows)
    success = next((row for row in rows if row.succeeded and row.finished_at), None)
    streak = next((n for n, row in enumerate(rows) if not row.succeeded), len(rows))

    def age(moment: datetime | None) -> float | None:
        return None if moment is None else (facts.now - moment) / timedelta(seconds=1)

    return Figures(
        latest_success_age_seconds=age(success.finished_at if success else None),
        latest_plan_age_seconds=age(max((row.plan_time for row in rows), default=None)),
        success_streak=streak,
        plans_expected_24h=0,
        plans_missing_24h=0,
        retried_24h=sum(1 for row in rows if row.attempt > 1),
        failed_24h=sum(1 for row in rows if row.failed),
        runners_24h=len({row.runner_id for row in rows if row.runner_id is not None}),
        p50_ms=percentile(taken, 0.5),
        p95_ms=percentile(taken, 0.95),
    )
