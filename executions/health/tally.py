"""PURE: the small verdict of a job without a cadence, from counts of its executions.

Nobody knows which plans such a job should have had, so there are no gaps or lateness here. The Jobs
page and ``manage.py checkrollup --job`` both use this verdict.
"""

from dataclasses import dataclass, field
from datetime import datetime

from executions.health.facts.executions import ExecutionFact
from executions.health.findings.attempts import MASKED_OFTEN
from executions.health.findings.base import HOUR, Finding, FindingCode, Severity, brief, rows_told
from executions.health.verdict import Verdict, level_of, worst_first
from executions.text.sentences import Ago, At, Sentence, Text, say, say_counted, together

# From this share on, failures are more than a few broken scopes.
OFTEN = 0.1


@dataclass(frozen=True)
class JobTally:
    """A job's executions that ended in 24 hours, as far back as was read, and those that run now.

    ``halted`` of the ``scopes`` that ended anything failed for good in their newest plan.
    ``retried_lately`` counts among the 12 that ended last. ``stale`` leases are over; ``abandoned``
    ones for so long that a scheduler should have closed them. ``retried`` succeeded at a later
    attempt. ``tried_again`` counts every later attempt, and ``p95_ms`` is of successes, both as in
    ``checkrollup --json``.
    """

    ended: int = 0
    failed: int = 0
    retried: int = 0
    retried_lately: int = 0
    scopes: int = 0
    halted: int = 0
    tried_again: int = 0
    p95_ms: float | None = None
    newest: datetime | None = None
    running: int = 0
    stale: int = 0
    abandoned: int = 0
    abandoned_at: datetime | None = None


@dataclass(frozen=True)
class Examples:
    """Executions that show what the tally counts, newest first, if they were read."""

    abandoned: tuple[ExecutionFact, ...] = ()
    exhausted: tuple[ExecutionFact, ...] = ()
    retried: tuple[ExecutionFact, ...] = ()


@dataclass(frozen=True)
class _Case:
    job: str
    now: datetime
    tally: JobTally
    seen: Examples = field(default_factory=Examples)


def judge_tally(job: str, now: datetime, tally: JobTally, seen: Examples | None = None) -> Verdict:
    """The verdict of a job that has executions. ``seen`` adds evidence but no severity."""
    case = _Case(job, now, tally, seen or Examples())
    rules = (_running_stale, _failures, _masked_retries)
    findings = worst_first(found for rule in rules if (found := rule(case)) is not None)
    worst = findings[0].severity if findings else Severity.INFO
    summary = _healthy(case) if worst is Severity.INFO else findings[0].summary
    return Verdict(level_of(worst), summary, findings)


def _healthy(case: _Case) -> Text:
    tally = case.tally
    if tally.newest is None:
        return say(
            "Nothing of %(job)s ended in 24 hours, or as far back as we looked.", job=case.job
        )
    return together(
        say("%(job)s runs.", job=case.job),
        say("Its latest execution ended %(ago)s.", ago=Ago(tally.newest, case.now)),
        _of_those_that_ended(tally) if tally.failed else None,
    )


def _of_those_that_ended(tally: JobTally) -> Sentence:
    return say(
        "%(failed)s of the %(ended)s that ended in 24 hours failed.",
        failed=tally.failed,
        ended=tally.ended,
    )


def _running_stale(case: _Case) -> Finding | None:
    tally = case.tally
    if tally.abandoned_at is None:
        return None
    return Finding(
        FindingCode.RUNNING_STALE,
        Severity.CRITICAL if case.now - tally.abandoned_at <= HOUR else Severity.INFO,
        summary=say_counted(
            tally.abandoned,
            "One run of %(job)s was abandoned and never closed; its lease ended %(ago)s.",
            "%(n)s runs of %(job)s were abandoned and never closed; the last lease ended %(ago)s.",
            job=case.job,
            ago=Ago(tally.abandoned_at, case.now),
        ),
        advice=say("Check that a backend which has this job is running: it closes such rows."),
        seen_at=tally.abandoned_at,
        evidence={"count": tally.abandoned, "executions": rows_told(case.seen.abandoned)},
    )


def _severity_of_failures(tally: JobTally) -> Severity | None:
    """One scope does not make a job fail, but a job without any success does."""
    if tally.halted and tally.failed == tally.ended:
        return Severity.CRITICAL
    many_halted = tally.halted and tally.halted >= OFTEN * tally.scopes
    many_failed = tally.failed > 1 and tally.failed >= OFTEN * tally.ended
    if many_halted or many_failed:
        return Severity.WARNING
    return Severity.INFO if tally.halted else None


def _failures(case: _Case) -> Finding | None:
    """Scopes whose newest execution failed; otherwise the share of executions that failed."""
    tally, exhausted = case.tally, case.seen.exhausted
    severity = _severity_of_failures(tally)
    if severity is None and not exhausted:
        return None
    halted = tally.halted or len(exhausted)
    return Finding(
        FindingCode.EXHAUSTED_FAILURE if halted else FindingCode.PLAN_ABANDONED,
        severity or Severity.INFO,
        summary=together(
            _halted(case, halted) if halted else None,
            _of_those_that_ended(tally) if tally.failed else None,
            _latest_error(case, exhausted[0]) if exhausted else None,
        ),
        advice=say("Read the errors under History. The next plan of each scope runs as usual."),
        seen_at=exhausted[0].plan_time if exhausted else tally.newest,
        evidence={
            "count": halted,
            "ended_24h": tally.ended,
            "failed_24h": tally.failed,
            "executions": rows_told(exhausted),
        },
    )


def _halted(case: _Case, halted: int) -> Sentence:
    return say_counted(
        halted,
        "One scope of %(job)s ended with a failure that is not tried again.",
        "%(n)s scopes of %(job)s ended with a failure that is not tried again.",
        job=case.job,
    )


def _latest_error(case: _Case, row: ExecutionFact) -> Sentence:
    return say(
        "The latest was %(code)s: %(message)s (plan of %(plan)s).",
        code=brief(row.error_code),
        message=brief(row.error_msg),
        plan=At(row.plan_time, case.now),
    )


def _masked_retries(case: _Case) -> Finding | None:
    tally = case.tally
    if not tally.retried:
        return None
    return Finding(
        FindingCode.MASKED_RETRIES,
        Severity.WARNING if tally.retried_lately >= MASKED_OFTEN else Severity.INFO,
        summary=say_counted(
            tally.retried,
            "One run of %(job)s needed more than one attempt in the last 24 hours.",
            "%(n)s runs of %(job)s needed more than one attempt in the last 24 hours.",
            job=case.job,
        ),
        advice=say("Now and then is normal. If it goes on, look into the backend's log."),
        seen_at=tally.newest,
        evidence={
            "count": tally.retried,
            "of_the_last_12": tally.retried_lately,
            "executions": rows_told(case.seen.retried),
        },
    )
