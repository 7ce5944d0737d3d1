"""PURE: the finding about another writer that moves the watermark, or did until lately.

`executions/health/writers.py` has the rule for a single jump. Only jumps after the latest change of
a schedule are told in the present tense.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils.translation import gettext_lazy as _

from executions.health.facts import Facts, ScheduleChange
from executions.health.facts.pg_cron import JobRun, PgCron, Visibility
from executions.health.findings.base import LATELY, Case, Finding, FindingCode, Severity
from executions.health.writers import Pair, jumps, pairs, ran_between, silences
from executions.text.problem import Problem
from executions.text.sentences import Paragraph, Sentence, listed, say, say_counted, together

# This many of the last 12 pairs prove a schedule. Fewer may be a backfill or a manual call.
OTHER_WRITER_OFTEN = 3
# A silence of fewer plans than this proves nothing, however often a caller writes.
LEAST = 3


def other_writer(case: Case) -> Finding | None:
    all_pairs = pairs(case.rows)
    lately = all_pairs[:LATELY]
    found = jumps(lately)
    if len(found) < OTHER_WRITER_OFTEN:
        return None
    change = _latest_change(case)
    since = [pair for pair in found if change is None or _began(pair) >= change.at]
    if change is None or len(since) >= OTHER_WRITER_OFTEN:
        silent = _fallen_silent(case, all_pairs)
        return _over(case, found, 0, silent, told=True) if silent else _goes_on(case, since)
    if not change.stops:
        return None
    told = any(_began(pair) >= change.at for pair in lately)
    return _over(case, found, len(since), change, told=told)


def is_over(finding: Finding) -> bool:
    """Whether the finding is about the past: a schedule has been stopped since."""
    return "until" in finding.evidence


class Whence(StrEnum):
    """Where a writer may be that no visible job explains."""

    HIDDEN = "hidden"  # in a job that this role cannot see, or outside
    GONE = "gone"  # in a job that is gone or paused and left no run details, or outside
    OUTSIDE = "outside"


def whence(facts: Facts, finding: Finding | None) -> Whence:
    """Outside the database only if every job that ran at the latest jump is known."""
    seen = facts.pg_cron
    if not isinstance(seen, PgCron) or not seen.is_whole:
        return Whence.HIDDEN
    if finding is None:
        return Whence.OUTSIDE
    jumps_told: Any = finding.evidence["jumps"]
    return Whence.OUTSIDE if seen.tells_of(jumps_told[0]["after_plan"]) else Whence.GONE


def in_short(finding: Finding) -> Sentence:
    """The finding's first sentence, for the verdict."""
    assert isinstance(finding.summary, Paragraph)  # noqa: S101  as both are made here
    return finding.summary.sentences[0]


def _began(pair: Pair) -> datetime:
    """The time from which something else may have moved the watermark between the two."""
    return pair.earlier.finished_at or pair.earlier.plan_time


# --- What changed -------------------------------------------------------------------------------


def _latest_change(case: Case) -> ScheduleChange | None:
    """The newest recorded change; or that a job which ran until then is gone or paused."""
    recorded = case.facts.changes
    known = () if isinstance(recorded, Problem) else recorded
    return max((*known, *_stopped(case)), key=lambda change: change.at, default=None)


def _stopped(case: Case) -> list[ScheduleChange]:
    """Jobs that called the rollup lately and are now gone, paused or not started by anybody.

    Only a role that sees every job can tell.
    """
    seen = case.facts.pg_cron
    if not isinstance(seen, PgCron) or seen.visibility is not Visibility.FULL:
        return []
    dead = seen.launcher.starts_nothing
    active = {job.jobid for job in seen.jobs if job.active and not dead}
    last: dict[int, datetime] = {}
    for run in seen.runs:  # newest first
        if run.jobid not in active:
            last.setdefault(run.jobid, run.ended_at or run.started_at)
    return [
        ScheduleChange(at, say("pg_cron job %(jobid)s", jobid=str(jobid)), stops=True)
        for jobid, at in last.items()
    ]


def told_from(case: Case, found: Sequence[Pair]) -> datetime:
    """The first plan from which another writer can be told: of the window, or the first ever.

    A plan that does not tell whether something else wrote before it belongs to a silence.
    """
    first = case.executions.first_plan
    known = [pair.earlier.plan_time for pair in found]
    looked_at = [
        cell.plan_time for cell in case.ledger.cells if not first or cell.plan_time >= first
    ]
    return min([*known, *looked_at[:1]], default=case.newest_plan)


def _fallen_silent(case: Case, found: Sequence[Pair]) -> ScheduleChange | None:
    """A caller that stopped without a record: its silence is longer than any on record.

    For example a job that somebody removed where pg_cron keeps no run details, or an old cron
    entry.
    """
    spans = silences(found, told_from(case, found), found[0].later.plan_time)
    *earlier, silent = (until - since for since, until in spans)
    if silent <= max(earlier) or silent < LEAST * case.spec.cadence:
        return None
    latest = next(pair.later for pair in found if pair.is_jump)
    return ScheduleChange(latest.started_at or latest.plan_time, None, stops=True)


def _runs(case: Case) -> tuple[JobRun, ...]:
    seen = case.facts.pg_cron
    return seen.runs if isinstance(seen, PgCron) else ()


def _by_job(case: Case, found: Sequence[Pair]) -> Counter[int]:
    """For each pg_cron job, at how many of the jumps it ran, by its run details."""
    return Counter(jobid for pair in found for jobid in ran_between(pair, _runs(case)))


# --- What is said -------------------------------------------------------------------------------


def _goes_on(case: Case, found: Sequence[Pair]) -> Finding:
    newest = found[0].later
    jobs = _by_job(case, found)
    return Finding(
        FindingCode.OTHER_WRITER,
        Severity.INFO,
        summary=together(
            say(
                "Something besides the scheduler rolls usage up too: pg_cron, cron, a timer or"
                " a CronJob. That is supported and does no harm, but it is not needed."
            ),
            say(
                "The watermark moved between %(n)s of the last 12 pairs of runs on record, the"
                " latest before the plan of %(plan)s.",
                n=len(found),
                plan=case.at(newest.plan_time),
            ),
            *(_ran_then(jobid, times) for jobid, times in jobs.most_common()),
        ),
        advice=say("Find the schedule and retire it, or leave it: nothing is counted twice."),
        seen_at=newest.plan_time,
        evidence=_evidence(found, jobs),
    )


def _ran_then(jobid: int, times: int) -> Sentence:
    return say_counted(
        times,
        "pg_cron job %(jobid)s ran at one of these times.",
        "pg_cron job %(jobid)s ran at %(n)s of these times.",
        jobid=str(jobid),
    )


def _over(
    case: Case, found: Sequence[Pair], since: int, change: ScheduleChange, *, told: bool
) -> Finding:
    jobs = _by_job(case, found)
    return Finding(
        FindingCode.OTHER_WRITER,
        Severity.INFO,
        summary=together(
            _until(case, change, jobs, is_quiet=told and not since),
            _since(since) if since else None,
            None if told else say("No plan has told yet whether that goes on."),
            say("%(schedule)s was stopped then.", schedule=change.label)
            if change.label and not jobs
            else None,
        ),
        advice=say(
            "Do nothing: this is about the past, and goes away once twelve plans show nobody."
        ),
        seen_at=found[0].later.plan_time,
        evidence={"until": change.at, **_evidence(found, jobs)},
    )


def _until(case: Case, change: ScheduleChange, jobs: Counter[int], *, is_quiet: bool) -> Sentence:
    names = listed(sorted(jobs))
    if jobs and is_quiet:
        template = _(
            "Until %(until)s pg_cron job %(jobid)s moved the watermark as well; nobody has since."
        )
    elif jobs:
        template = _("Until %(until)s pg_cron job %(jobid)s moved the watermark as well.")
    elif is_quiet:
        template = _(
            "Until %(until)s something besides the scheduler moved the watermark as well; nobody"
            " has since."
        )
    else:
        template = _("Until %(until)s something besides the scheduler moved the watermark as well.")
    return say(template, until=case.at(change.at), jobid=names)


def _since(times: int) -> Sentence:
    return say_counted(
        times,
        "Something did so once more since then.",
        "Something did so %(n)s more times since then.",
    )


def _evidence(found: Sequence[Pair], jobs: Counter[int]) -> dict[str, object]:
    return {
        "jumps_in_the_last_12_pairs": len(found),
        "jobs": [{"jobid": jobid, "jumps": times} for jobid, times in jobs.most_common()],
        "jumps": [
            {
                "after_plan": pair.earlier.plan_time,
                "before_plan": pair.later.plan_time,
                "left_at": pair.reached,
                "found_at": pair.found,
            }
            for pair in found
        ],
    }
