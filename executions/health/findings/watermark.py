"""PURE: findings about how far the rollup is: docs/contract.md section 6."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from math import ceil

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts.executions import ExecutionFact
from executions.health.findings.base import Case, Finding, FindingCode, Severity
from executions.health.findings.lateness import LAG, lag, silence
from executions.health.remedies import BACKFILL, PUT_STATE_ROW_BACK
from executions.health.writers import ROUNDING
from executions.rollup.margin import MARGIN, is_in_future
from executions.text.beyond import is_beyond
from executions.text.sentences import say

# The year of the state row's default watermark.
DEFAULT_YEAR = 1970
# No usage is this old. An older watermark comes from the state row's default of 1970.
BEFORE_MULTICA = datetime(2020, 1, 1, tzinfo=UTC)
# One run moves the watermark at most this far.
STEP = timedelta(days=1)


def state_row_missing(case: Case) -> Finding | None:
    if case.state is not None or not case.ground.has_state:
        return None
    without = [row for row in case.rows if row.succeeded and row.watermark_before is None]
    return Finding(
        FindingCode.STATE_ROW_MISSING,
        Severity.CRITICAL,
        summary=say(
            "Usage numbers do not move: the rollup has lost its place, because the one row of"
            " task_usage_hourly_rollup_state is missing. Every run ends at once and does"
            " nothing. Raw usage is kept in task_usage, so nothing is lost."
        ),
        advice=say(
            "Let the owner of Multica's tables put the row back, with %(statement)s then run"
            " %(command)s.",
            statement=PUT_STATE_ROW_BACK,
            command=BACKFILL,
        ),
        seen_at=case.now,
        evidence={"state_rows": 0, "successes_without_watermark": len(without)},
    )


def is_in_the_future(case: Case) -> bool:
    """Whether the watermark is further than any run could have moved it."""
    if case.state is None:
        return False
    return is_in_future(case.state.watermark_at, case.now)


def watermark_future(case: Case) -> Finding | None:
    if case.state is None or not is_in_the_future(case):
        return None
    watermark = case.state.watermark_at
    return Finding(
        FindingCode.WATERMARK_FUTURE,
        Severity.CRITICAL,
        summary=say(
            "Usage numbers do not move: the rollup believes that it is done up to"
            " %(watermark)s, which is too far ahead. Runs finish and do nothing until time"
            " catches up.",
            watermark=case.at(watermark),
        ),
        advice=say(
            "Find out whether the database server's clock was wrong, then run %(command)s: it"
            " sets the watermark right.",
            command=BACKFILL,
        ),
        seen_at=case.now,
        evidence={
            "watermark_at": watermark,
            "never_processed_seconds": int(MARGIN.total_seconds()),
        },
    )


def _steps(case: Case) -> list[ExecutionFact]:
    """The latest successes that say how far they moved the watermark, newest first."""
    moved = (row for row in case.rows if row.succeeded and row.moved is not None)
    return list(islice(moved, 3))


def _was_set_back(case: Case) -> bool:
    """Whether somebody set the watermark back by days since the latest success moved it.

    Nobody sets it back beyond 1970, the state row's default, on purpose. An earlier watermark is a
    mistake, and the runs would need years to recover.
    """
    left_at = next((row.watermark_after for row in _steps(case)), None)
    if left_at is None or case.state is None or case.state.watermark_at.year < DEFAULT_YEAR:
        return False
    return left_at - case.state.watermark_at > STEP


def catches_up(case: Case) -> bool:
    """Whether the runs are days behind: one of the latest moved the watermark by a whole step.

    If somebody set the watermark back, the next run will.
    """
    whole = any(row.moved is not None and row.moved >= STEP - ROUNDING for row in _steps(case))
    return whole or _was_set_back(case)


def watermark_lag(case: Case) -> Finding | None:
    """The watermark is old although runs succeed, or runs and watermark are both late."""
    severity = lag(case, case.state) if case.state else None
    if case.state is None or severity is None:
        return None
    watermark = case.state.watermark_at
    summary, advice = _about_lag(case)
    return Finding(
        FindingCode.WATERMARK_LAG,
        severity,
        summary=say(summary, watermark=case.at(watermark), ago=case.ago(watermark)),
        advice=say(advice, command=BACKFILL),
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
            "warning_after_seconds": int(LAG.warning.total_seconds()),
            "critical_after_seconds": int(LAG.critical.total_seconds()),
        },
    )


def _about_lag(case: Case) -> tuple[Promise, Promise]:
    """In a silence, or while it catches up, another finding already says how far usage is."""
    if silence(case):
        return (
            _("The watermark is from %(ago)s and stands still while no run succeeds."),
            _("Make the runs succeed again. They then move the watermark by themselves."),
        )
    if catches_up(case):
        return (
            _("The watermark is from %(ago)s and moves one day with each run that succeeds."),
            _("Do nothing about the lag itself: it ends when the rollup has caught up."),
        )
    if case.state is not None and is_beyond(case.state.watermark_at):
        return (
            _(
                "Usage numbers do not move: the watermark is %(watermark)s. Raw usage is kept in"
                " task_usage, so nothing is lost."
            ),
            _("Run %(command)s: it sets the watermark right."),
        )
    if not len(case.ledger.streak):
        return (
            _(
                "Usage numbers stop at %(watermark)s, %(ago)s. Raw usage is kept in task_usage, so"
                " nothing is lost."
            ),
            _("Read the errors of the latest runs, and make the runs succeed again."),
        )
    return (
        _(
            "Usage numbers stop at %(watermark)s, %(ago)s, although runs succeed. Raw usage is"
            " kept in task_usage, so nothing is lost."
        ),
        _(
            "Look at the latest runs: whether they do any work, and who holds advisory lock"
            " 4246. A healthy watermark is 5 to 11 minutes old."
        ),
    )


def catch_up(case: Case, watermark: datetime) -> tuple[int, datetime]:
    """How many plans bring the watermark up to now, and when the last of them is due."""
    plans = ceil((case.now - watermark) / STEP)
    return plans, case.newest_plan + case.spec.schedule_delay + plans * case.spec.cadence


def watermark_catching_up(case: Case) -> Finding | None:
    if case.state is None or not catches_up(case):
        return None
    watermark = case.state.watermark_at
    behind = case.now - watermark
    if behind <= LAG.warning:
        return None
    plans, done_at = catch_up(case, watermark)
    began = (
        _(
            "The rollup began at 1970 and has come to %(watermark)s. It does one day with each run,"
            " so recent usage appears in about %(duration)s."
        )
        if watermark < BEFORE_MULTICA
        else _(
            "Usage numbers are complete only to %(watermark)s. The rollup does one day with each"
            " run, so recent usage appears in about %(duration)s."
        )
    )
    return Finding(
        FindingCode.WATERMARK_CATCHING_UP,
        Severity.WARNING,
        summary=say(
            began, watermark=case.at(watermark), duration=_roughly(plans * case.spec.cadence)
        ),
        advice=say(
            "Wait if that is soon enough. Otherwise run %(command)s, which does it in one go.",
            command=BACKFILL,
        ),
        seen_at=case.now,
        evidence={
            "watermark_at": watermark,
            "plans_left": plans,
            "done_at": done_at,
        },
    )


def _roughly(span: timedelta) -> timedelta:
    """In whole days if it is more than two."""
    return timedelta(days=span.days) if span > 2 * STEP else span
