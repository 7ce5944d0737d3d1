"""PURE: findings about the surroundings of the runs: drift, table size, what cannot be read."""

from dataclasses import replace

from django.utils.translation import gettext_lazy as _

from executions.health.facts import Drift, Facts
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.health.findings.base import MOST_LISTED, Case, Finding, FindingCode, Severity
from executions.health.remedies import ALL_JOBS, BACKFILL, PRUNE_LOOK
from executions.text.formatters import NOTHING
from executions.text.problem import Problem
from executions.text.sentences import listed, quoted, say, say_counted, sentences_of, together

MANY_ROWS = 1_000_000

# The words for the facts of `Facts.unreadable`.
NAMES = {
    "clock": _("the database's clock"),
    "executions": _("the history of runs"),
    "state": _("how far the rollup has come"),
    "dirty_queue": _("which buckets wait to be summed again"),
    "lock": _("who holds the rollup's lock"),
    "pg_cron": _("pg_cron's jobs"),
    "pg_cron_runs": _("when pg_cron's jobs ran"),
    "drift": _("whether the usage pages add up to the raw usage"),
    "own_runners": _("which runners are our own"),
    "first_trace": _("the age of the database"),
}


def rollup_drift(case: Case) -> Finding | None:
    drift = case.facts.drift
    if not isinstance(drift, Drift) or not drift.differing:
        return None
    newest = drift.differing[-1]
    return Finding(
        FindingCode.ROLLUP_DRIFT,
        Severity.WARNING,
        summary=say_counted(
            len(drift.differing),
            "The usage pages show wrong numbers for one hour, the one from %(hour)s: they do"
            " not add up to the raw usage.",
            "The usage pages show wrong numbers for %(n)s hours, the latest from %(hour)s:"
            " they do not add up to the raw usage.",
            hour=case.at(newest.hour),
        ),
        advice=say(
            "Run %(command)s: it sums every hour again from raw usage, and may be repeated.",
            command=BACKFILL,
        ),
        seen_at=newest.hour,
        evidence={
            "hours_compared": len(drift.compared),
            "hours_differing": len(drift.differing),
            "hours": [
                {
                    "hour": hour.hour,
                    "usage_events": hour.usage_events,
                    "bucket_events": hour.bucket_events,
                    "usage_tokens": hour.usage_tokens,
                    "bucket_tokens": hour.bucket_tokens,
                    "keys": hour.keys,
                }
                for hour in reversed(drift.differing[-MOST_LISTED:])
            ],
        },
    )


def table_growth(case: Case) -> Finding | None:
    rows = case.ground.executions_estimate
    if rows is None or rows <= MANY_ROWS:
        return None
    return Finding(
        FindingCode.TABLE_GROWTH,
        Severity.INFO,
        summary=say(
            "The history of executions has grown to about %(millions)s million rows. Nothing"
            " removes old ones by itself.",
            millions=f"{rows / 1_000_000:.1f}",
        ),
        advice=say("Run %(command)s to see what could be removed, then do so.", command=PRUNE_LOOK),
        seen_at=case.now,
        evidence={"rows_estimated": rows, "info_above": MANY_ROWS},
    )


def standby(case: Case) -> Finding | None:
    if not case.ground.is_standby:
        return None
    return Finding(
        FindingCode.STANDBY,
        Severity.INFO,
        summary=say(
            "This database is a standby: it shows what was committed on its primary up to"
            " %(now)s, and nothing can be changed here.",
            now=case.at(case.now),
        ),
        advice=say("To retire a schedule or to run the rollup, point DATABASE_URL at the primary."),
        seen_at=case.now,
        evidence={"in_recovery": True},
    )


def on_the_primary(finding: Finding) -> Finding:
    """The same finding on a standby, where its advice cannot be followed."""
    if finding.code is FindingCode.STANDBY:
        return finding
    here = say("This is for the primary; nothing can be changed here.")
    return replace(finding, advice=together(here, *sentences_of(finding.advice)))


def not_available(facts: Facts) -> list[Finding]:
    """One finding for each reason why a fact could not be read, the basics first."""
    by_reason: dict[Problem, list[str]] = {}
    for name, fact in facts.unreadable.items():
        by_reason.setdefault(fact, []).append(name)
    found = [_unread(facts, fact, names) for fact, names in by_reason.items()]
    if isinstance(facts.pg_cron, PgCron):
        found += _unseen_jobs(facts, facts.pg_cron)
    return found


def _unread(facts: Facts, fact: Problem, names: list[str]) -> Finding:
    """The verdict's own sentence says why a basic could not be read, so this finding does not."""
    template = (
        _("Not everything could be looked at (%(names)s).")
        if fact in facts.basics
        else _("Not everything could be looked at (%(names)s). %(reason)s")
    )
    return Finding(
        FindingCode.NOT_AVAILABLE,
        Severity.INFO,
        summary=say(
            template,
            names=listed(NAMES[name] for name in names),
            reason=fact.reason,
        ),
        advice=quoted(fact.todo),
        seen_at=facts.now,
        evidence={"what": names, "reason": fact.reason, "remedy": fact.todo},
    )


def _unseen_jobs(facts: Facts, pg_cron: PgCron) -> list[Finding]:
    """pg_cron answered, but may have more jobs than this role sees."""
    reasons = {
        Visibility.NO_ACCESS: _(
            "We cannot tell whether a pg_cron job exists: the role %(role)s may not look at"
            " cron.job. That is not the same as none."
        ),
        Visibility.FILTERED: _(
            "We cannot tell whether more pg_cron jobs exist: the role %(role)s may not see other"
            " owners' jobs. That is not the same as none."
        ),
        Visibility.ELSEWHERE: _(
            "We cannot tell whether a pg_cron job exists: pg_cron keeps its jobs in the database"
            " %(database)s, not in this one."
        ),
        Visibility.UNKNOWN: _("We cannot tell whether a pg_cron job exists."),
    }
    reason = reasons.get(pg_cron.visibility)
    if reason is None:
        return []
    if pg_cron.visibility is Visibility.ELSEWHERE:
        advice = say("Set RETIRE_DATABASE_URL to that database, with a role that may look.")
    else:
        advice = say(
            "An administrator can look with this statement: %(statement)s",
            statement=ALL_JOBS,
        )
    summary = say(reason, role=pg_cron.role or NOTHING, database=pg_cron.database or NOTHING)
    return [
        Finding(
            FindingCode.NOT_AVAILABLE,
            Severity.INFO,
            summary=summary,
            advice=advice,
            seen_at=facts.now,
            evidence={
                "what": ["pg_cron"],
                "visibility": str(pg_cron.visibility),
                "database": pg_cron.database,
                "jobs_seen": len(pg_cron.jobs),
            },
        )
    ]
