"""PURE: findings about how far the rollup is and who holds its lock: docs/contract.md section 6."""

from __future__ import annotations

from datetime import timedelta
from math import ceil

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from executions.health.facts import Backend, Execution, Lock
from executions.health.findings.base import HOUR, Case, Code, Finding, Severity, listed
from executions.health.sentences import Sentence, say, together
from executions.health.writers import ROUNDING
from executions.templatetags.display import NOTHING

# The rollup never processes the last five minutes: docs/contract.md section 4.
MARGIN = timedelta(minutes=5)
FUTURE_ALLOWANCE = timedelta(minutes=1)
LAG_WARNING = timedelta(minutes=15)
LAG_CRITICAL = timedelta(hours=1)
# The most that one run moves the watermark.
STEP = timedelta(days=1)
LOST_OFTEN = 3
LOST_AGAIN = 2


def state_row_missing(case: Case) -> Finding | None:
    if case.state is not None or not case.ground.has_state:
        return None
    without = [row for row in case.rows if row.succeeded and row.watermark_before is None]
    return Finding(
        Code.STATE_ROW_MISSING,
        Severity.CRITICAL,
        summary=say(
            _(
                "Usage numbers do not move: the rollup has lost its place, because the one row of"
                " task_usage_hourly_rollup_state is missing. Every run ends at once and does"
                " nothing. Raw usage is kept in task_usage, so nothing is lost."
            )
        ),
        advice=say(
            _(
                "Let the owner of Multica's tables put the row back, with"
                " INSERT INTO task_usage_hourly_rollup_state (id) VALUES (1);"
                " then run manage.py backfill_task_usage_hourly."
            )
        ),
        seen_at=case.now,
        evidence={"state_rows": 0, "successes_without_watermark": len(without)},
    )


def watermark_future(case: Case) -> Finding | None:
    if case.state is None:
        return None
    watermark = case.state.watermark_at
    if watermark - (case.now - MARGIN) <= FUTURE_ALLOWANCE:
        return None
    return Finding(
        Code.WATERMARK_FUTURE,
        Severity.CRITICAL,
        summary=say(
            _(
                "Usage numbers do not move: the rollup believes that it is done up to"
                " %(watermark)s, which is too far ahead. Runs finish and do nothing until time"
                " catches up."
            ),
            watermark=case.at(watermark),
        ),
        advice=say(
            _(
                "Find out whether the database server's clock was wrong, then run"
                " manage.py backfill_task_usage_hourly: it sets the watermark right."
            )
        ),
        seen_at=case.now,
        evidence={
            "watermark_at": watermark,
            "never_processed_seconds": int(MARGIN.total_seconds()),
        },
    )


def _steps(case: Case) -> list[Execution]:
    """The latest successes that say how far they moved the watermark, newest first."""
    return [row for row in case.rows if row.succeeded and row.moved is not None][:3]


def _catches_up(case: Case) -> bool:
    return any(row.moved is not None and row.moved >= STEP - ROUNDING for row in _steps(case))


def _succeeds(case: Case) -> bool:
    """Whether runs succeed; one that took longer than the window may have ended only now."""
    return any(row.succeeded for row in case.rows) or case.within(case.succeeded_at, LAG_WARNING)


def watermark_lag(case: Case) -> Finding | None:
    if case.state is None or not _succeeds(case):
        return None
    watermark = case.state.watermark_at
    lag = case.now - watermark
    if lag <= LAG_WARNING:
        return None
    return Finding(
        Code.WATERMARK_LAG,
        Severity.CRITICAL if lag > LAG_CRITICAL else Severity.WARNING,
        summary=say(
            _(
                "Usage numbers stop at %(watermark)s, %(ago)s, although runs have succeeded. Raw"
                " usage is kept in task_usage, so nothing is lost."
            ),
            watermark=case.at(watermark),
            ago=case.ago(watermark),
        ),
        advice=say(
            _(
                "Look at the latest runs: whether they do any work, and who holds advisory lock"
                " 4246. A healthy watermark is 5 to 11 minutes old."
            )
        ),
        seen_at=case.now,
        evidence={
            "watermark_at": watermark,
            "latest_runs": [
                {
                    "plan_time": row.plan_time,
                    "rows": row.rows_affected,
                    "watermark_before": row.watermark_before,
                    "watermark_after": row.watermark_after,
                }
                for row in _steps(case)
            ],
            "warning_after_seconds": int(LAG_WARNING.total_seconds()),
            "critical_after_seconds": int(LAG_CRITICAL.total_seconds()),
        },
    )


def watermark_catching_up(case: Case) -> Finding | None:
    if case.state is None or not _catches_up(case):
        return None
    watermark = case.state.watermark_at
    lag = case.now - watermark
    if lag <= LAG_WARNING:
        return None
    plans = ceil(lag / STEP)
    return Finding(
        Code.WATERMARK_CATCHING_UP,
        Severity.WARNING,
        summary=say(
            ngettext_lazy(
                "Usage numbers are complete only to %(watermark)s and catch up one day with each"
                " run: one more, in about %(duration)s.",
                "Usage numbers are complete only to %(watermark)s and catch up one day with each"
                " run: %(n)s more, in about %(duration)s.",
                "n",
            ),
            n=plans,
            watermark=case.at(watermark),
            duration=plans * case.spec.cadence,
        ),
        advice=say(
            _(
                "Wait if that is soon enough. Otherwise run"
                " manage.py backfill_task_usage_hourly, which does it in one go."
            )
        ),
        seen_at=case.now,
        evidence={
            "watermark_at": watermark,
            "plans_left": plans,
            "done_at": case.newest_plan + case.spec.schedule_delay + plans * case.spec.cadence,
        },
    )


def lost_lately(case: Case) -> list[Execution]:
    """Of the last hour: SUCCESS, 0 rows, watermark unchanged. Newest first.

    An idle run also has 0 rows, but it moves the watermark.
    """
    return [
        row
        for row in case.rows
        if row.succeeded
        and row.rows_affected == 0
        and row.moved == timedelta()
        and case.within(row.finished_at, HOUR)
    ]


def lock_lost(case: Case) -> Finding | None:
    lost = lost_lately(case)
    if not lost:
        return None
    lock = case.facts.lock
    holders = lock.holders if isinstance(lock, Lock) else ()
    return Finding(
        Code.LOCK_LOST,
        Severity.WARNING if len(lost) >= LOST_OFTEN else Severity.INFO,
        summary=together(
            say(
                ngettext_lazy(
                    "One run of the last hour found advisory lock 4246 taken and did nothing:"
                    " something else did the work in its place, or blocks it.",
                    "%(n)s runs of the last hour found advisory lock 4246 taken and did nothing:"
                    " something else did the work in their place, or blocks it.",
                    "n",
                ),
                n=len(lost),
            ),
            _held_by(holders[0]) if holders else None,
        ),
        advice=say(
            _("Look who holds the lock, and whether an old schedule still calls the rollup.")
        ),
        seen_at=lost[0].finished_at or case.now,
        evidence={
            "in_the_last_hour": len(lost),
            "executions": listed(lost),
            "holders": [
                {"pid": one.pid, "application_name": one.application_name, "user": one.user}
                for one in holders
            ],
        },
    )


def _held_by(holder: Backend) -> Sentence:
    if holder.idle and holder.since is None:
        template = _(
            "A session (pid %(pid)s, %(name)s) holds it now and is idle at this moment; for how"
            " long already, this role may not see."
        )
    else:
        template = _("A session (pid %(pid)s, %(name)s) holds it now.")
    return say(template, **_named(holder))


def _named(holder: Backend) -> dict[str, str | Promise]:
    return {
        "pid": str(holder.pid or NOTHING),
        "name": holder.application_name or _("without a name"),
    }


def _lost_to(holder: Backend, lost: list[Execution]) -> list[Execution]:
    """Those of the lost runs that began while it was idle already, as far as that can be seen."""
    since = holder.since
    if since is None:
        return []
    return [row for row in lost if row.started_at is not None and row.started_at > since]


def lock_leaked(case: Case) -> Finding | None:
    """Held by a session that did nothing at all from one lost run to the next.

    A backfill holds the lock on a session that is idle between two slices, so one look at it
    proves nothing (docs/contract.md section 6).
    """
    lock = case.facts.lock
    if not isinstance(lock, Lock):
        return None
    holder = lock.idle_holder
    if holder is None or lock.writers:
        return None
    lost = lost_lately(case)
    proof = _lost_to(holder, lost)
    newest = next((row for row in case.rows if row.succeeded), None)
    if len(proof) < LOST_AGAIN or newest not in proof:
        return None
    return Finding(
        Code.LOCK_LEAKED,
        Severity.CRITICAL,
        summary=say(
            _(
                "Usage numbers do not move: an idle session (pid %(pid)s, %(name)s) has kept"
                " advisory lock 4246, and every run finds it taken. Raw usage is kept in"
                " task_usage, so nothing is lost."
            ),
            **_named(holder),
        ),
        advice=say(
            _(
                "Make sure that no backfill is at work, then let an administrator run"
                " SELECT pg_terminate_backend(%(pid)s). Multica before v0.4.23 can leak this lock:"
                " upgrade it."
            ),
            pid=str(holder.pid or NOTHING),
        ),
        seen_at=case.now,
        evidence={
            "pid": holder.pid,
            "application_name": holder.application_name,
            "user": holder.user,
            "state": holder.state,
            "since": holder.since,
            "lost_in_the_last_hour": len(lost),
        },
    )
