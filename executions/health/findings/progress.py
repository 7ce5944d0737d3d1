"""PURE: findings about plans that nobody ran or nobody finished (docs/contract.md section 6)."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from executions.health.facts.executions import ExecutionFact
from executions.health.findings.base import (
    HOUR,
    MOST_LISTED,
    Case,
    Finding,
    FindingCode,
    Severity,
    brief,
    rows_told,
)
from executions.health.findings.lateness import LAG, SILENCE, lag_beside_runs, silence
from executions.health.findings.watermark import catches_up
from executions.health.ledger import Gap
from executions.rollup.margin import MARGIN
from executions.scheduler.plans import is_open, oldest_open
from executions.text.sentences import Sentence, say, say_counted, together

FRESH = timedelta(minutes=11)
# The watermark of a state row that nothing has moved yet: docs/contract.md section 4.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)
# A row counts as abandoned this long after its lease ended.
SWEEP_ALLOWANCE = timedelta(seconds=60)


def scheduler_not_installed(case: Case) -> Finding | None:
    if case.ground.has_executions:
        return None
    return Finding(
        FindingCode.SCHEDULER_NOT_INSTALLED,
        Severity.CRITICAL,
        summary=say(
            "This Multica cannot keep usage up to date by itself: the table"
            " sys_cron_executions is missing, so it is older than v0.3.17."
        ),
        advice=say(
            "Upgrade Multica to v0.3.17 or newer. Until then usage moves only while a schedule"
            " of your own calls rollup_task_usage_hourly()."
        ),
        seen_at=case.now,
        evidence={"missing_table": "sys_cron_executions", "database": case.ground.database},
    )


def no_executions(case: Case) -> Finding | None:
    if not case.ground.has_executions or case.executions.newest is not None:
        return None
    born = _born(case)
    is_old = born is not None and case.now - born >= FRESH
    is_known = isinstance(case.facts.first_trace, datetime)
    evidence = {"executions": 0, "database_known_since": born}
    if is_known and not is_old:
        return Finding(
            FindingCode.NO_EXECUTIONS,
            Severity.INFO,
            summary=say("No run yet: this database is new, and the first one is not late."),
            advice=say(
                "Wait about ten minutes. If nothing ran by then, check that the backend runs."
            ),
            seen_at=case.now,
            evidence=evidence,
        )
    return Finding(
        FindingCode.NO_EXECUTIONS,
        Severity.CRITICAL,
        summary=together(
            _numbers(case),
            say("No scheduler of Multica's has ever run the rollup in this database."),
            None
            if is_old
            else say("We cannot tell how old the database is; in a new one that is normal."),
            say("Raw usage is kept in task_usage, so nothing is lost."),
        ),
        advice=together(
            say(
                "Check that Multica's backend is v0.3.17 or newer, that it runs, and that it"
                " uses this very database: %(database)s.",
                database=case.ground.database,
            ),
            None
            if is_old
            else say(
                "In a new database look again in ten minutes. With the right to read"
                " schema_migrations, the dashboard's role can tell."
            ),
        ),
        seen_at=case.now,
        evidence=evidence,
    )


def _born(case: Case) -> datetime | None:
    """The database is at least this old, by its oldest sign.

    The first migration of an empty install sets the watermark to five minutes before itself, and a
    schedule keeps moving it. So the state row can prove that a database is old, never that it is
    new.
    """
    signs: list[datetime] = []
    if isinstance(case.facts.first_trace, datetime):
        signs.append(case.facts.first_trace)
    if case.state is not None and case.state.watermark_at > NEVER:
        signs.append(min(case.state.watermark_at, case.now) + MARGIN)
    if case.state is not None and case.state.last_run_finished_at is not None:
        signs.append(case.state.last_run_finished_at)
    return min(signs, default=None)


def latest_stale(case: Case) -> Finding | None:
    """Judged by ``finished_at`` of the newest SUCCESS, or without any by the first sign of the job.

    A lag from before the silence continues in it, so the finding is no milder than that lag.
    """
    quiet = silence(case)
    if quiet is None or not case.ground.has_executions:
        return None
    lagged = None if catches_up(case) else lag_beside_runs(case)
    success = case.latest_success
    return Finding(
        FindingCode.LATEST_STALE,
        max(quiet, lagged or quiet),
        summary=together(
            _numbers(case),
            _latest(case, success),
            say("Raw usage is kept in task_usage, so nothing is lost."),
        ),
        advice=_what_to_do_about_silence(case),
        seen_at=case.now,
        evidence={
            "latest_success_finished_at": success.finished_at if success else None,
            "latest_success_plan_time": success.plan_time if success else None,
            "newest_execution": rows_told([case.newest])[0] if case.newest else None,
            "warning_after_seconds": int(SILENCE.warning.total_seconds()),
            "critical_after_seconds": int(SILENCE.critical.total_seconds()),
        },
    )


def _latest(case: Case, success: ExecutionFact | None) -> Sentence:
    at = case.succeeded_at
    if success is None or at is None:
        return say("No run has succeeded as far back as we looked.")
    if at != success.finished_at:
        return say(
            "The latest successful run is that of the plan of %(plan)s, %(ago)s; its row says"
            " that it ended in the future, which proves nothing.",
            plan=case.at(success.plan_time),
            ago=case.ago(at),
        )
    return say("The latest successful run finished %(ago)s.", ago=case.ago(at))


def _numbers(case: Case) -> Sentence | None:
    """What silence means for the numbers: an outside schedule may have kept them moving."""
    state = case.state
    if state is None:
        return None
    if state.watermark_at <= NEVER:
        return say("Usage pages show nothing yet.")
    watermark = case.at(state.watermark_at)
    moving = case.within(state.watermark_at, LAG.warning)
    if moving and case.within(state.last_run_finished_at, SILENCE.warning):
        return say(
            "Usage is up to date to %(watermark)s, but only because something else than a"
            " scheduler of Multica's rolls it up.",
            watermark=watermark,
        )
    return how_far(case)


def how_far(case: Case) -> Sentence | None:
    """The time up to which usage is complete; None without a state row."""
    if case.state is None:
        return None
    watermark = case.at(case.state.watermark_at)
    return say("Usage numbers stop at %(watermark)s.", watermark=watermark)


def _what_to_do_about_silence(case: Case) -> Sentence:
    newest = case.newest
    if newest is not None and newest.failed:
        return say(
            "The newest run failed with %(code)s: %(message)s. Fix that first.",
            code=brief(newest.error_code),
            message=brief(newest.error_msg),
        )
    if newest is not None and newest.running and not newest.is_stale(case.now):
        return say(
            "The plan of %(plan)s is running now; wait for its end before anything else.",
            plan=case.at(newest.plan_time),
        )
    return say("First check that Multica's backend is running and reaches this database.")


def abandoned_among(stale: Iterable[ExecutionFact], now: datetime) -> tuple[ExecutionFact, ...]:
    """Those whose lease ended so long ago that a scheduler should have closed them."""
    return tuple(
        row
        for row in stale
        if row.stale_after is not None and now - row.stale_after > SWEEP_ALLOWANCE
    )


def running_stale(case: Case) -> Finding | None:
    abandoned = abandoned_among(case.executions.stale, case.now)
    if not abandoned:
        return None
    newest = max(row.stale_after for row in abandoned if row.stale_after is not None)
    recent = case.within(newest, HOUR)
    return Finding(
        FindingCode.RUNNING_STALE,
        Severity.CRITICAL if recent else Severity.INFO,
        summary=say_counted(
            len(abandoned),
            "A run was abandoned: its runner stopped reporting, its lease ended %(ago)s, and"
            " no scheduler has closed it since.",
            "%(n)s runs were abandoned: their runners stopped reporting, the last lease ended"
            " %(ago)s, and no scheduler has closed them since.",
            ago=case.ago(newest),
        ),
        advice=say(
            "Check that a backend is running. A running backend closes such rows within 30"
            " seconds, unless it is busy inside a long run. If all backends ran on, look in"
            " their logs: Multica cannot store an error whose text is not valid UTF-8."
        ),
        seen_at=newest,
        evidence={
            "count": len(abandoned),
            "executions": [
                {**shown, "stale_after": row.stale_after, "heartbeat_at": row.heartbeat_at}
                for row, shown in zip(abandoned, rows_told(abandoned), strict=False)
            ],
        },
    )


def plan_gap(case: Case) -> Finding | None:
    gaps = case.ledger.gaps
    if not gaps:
        return None
    latest = gaps[-1]
    missed = sum(gap.count for gap in gaps)
    recent = case.within(latest.after.plan_time, HOUR)
    return Finding(
        FindingCode.PLAN_GAP,
        Severity.WARNING if recent else Severity.INFO,
        summary=together(
            say_counted(
                missed,
                "Usage was updated late: nobody began the plan of %(last)s.",
                "Usage was updated late: nobody began %(n)s plans, the latest that of %(last)s.",
                last=case.at(latest.last),
            ),
            _whether_made_good(case, latest),
        ),
        advice=say(
            "Look whether every backend was down at that time, or all of them were inside a"
            " long run. A missed plan is never run again; the next one does its work."
        ),
        seen_at=latest.after.plan_time,
        evidence={
            "missing_plans": missed,
            "gaps": [
                {"first": gap.first, "last": gap.last, "plans": gap.count}
                for gap in reversed(gaps[-MOST_LISTED:])
            ],
        },
    )


def _whether_made_good(case: Case, gap: Gap) -> Sentence | None:
    if case.state is not None and case.state.watermark_at > gap.last:
        return say("Later runs have caught up since, so no numbers are missing.")
    return None


def newest_is(case: Case, row: ExecutionFact) -> bool:
    """Whether no newer plan has or could have begun, so that this row may be retried."""
    newest = case.newest
    return newest is not None and is_open(
        row.plan_time, newest.plan_time, oldest_open(case.spec, case.now)
    )
