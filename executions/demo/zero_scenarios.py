"""The scenarios for those causes of "usage shows zero" that no finding's scenario shows."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from executions.demo import zeros
from executions.demo.scenario import Scenario
from executions.demo.stage import lock_held
from executions.demo.zeros import alone, waiting
from executions.health.diagnosis.look import CauseCode
from executions.rollup.lock import BACKFILL_NAME

OF_ZERO = (
    Scenario(
        "unreachable-schema",
        _("The dashboard's role may not enter the schema of Multica's tables."),
        CauseCode.OTHER_SCHEMA,
        around=zeros.schema_out_of_reach,
    ),
    Scenario(
        "empty-database",
        _("Multica's tables are there, and nothing is in them."),
        CauseCode.WRONG_DATABASE,
        alone(zeros.nothing_at_all),
    ),
    Scenario(
        "no-rollup",
        _("A Multica from before v0.3.5: it records usage and has no hourly buckets."),
        CauseCode.ROLLUP_NOT_INSTALLED,
        zeros.unwritten,
        zeros.before_the_rollup,
    ),
    Scenario(
        "no-usage",
        _("The rollup is healthy, and no task has used anything."),
        CauseCode.NO_RAW_USAGE,
        alone(zeros.nothing_was_used),
    ),
    Scenario(
        "endless-times",
        _("All usage is dated after the year 9999."),
        CauseCode.USAGE_NEVER_DUE,
        alone(zeros.dated_past_the_calendar),
    ),
    Scenario(
        "silent-tasks",
        _("Three tasks ran to their end and reported no usage."),
        CauseCode.TASKS_REPORTED_NONE,
        alone(zeros.tasks_without_reports),
        lambda stage: zeros.multicas_columns(stage.owner),
    ),
    Scenario(
        "deleted-runtime",
        _("Somebody deleted the runtime on which all tasks ran."),
        CauseCode.RUNTIME_DELETED,
        alone(zeros.runtime_deleted),
    ),
    Scenario(
        "no-runtime",
        _("No task has a runtime, so no usage counts."),
        CauseCode.TASKS_WITHOUT_RUNTIME,
        alone(zeros.never_had_runtimes),
    ),
    Scenario(
        "failing-runs",
        _("Every run of the last two hours failed."),
        CauseCode.RUNS_FAIL,
        alone(waiting(zeros.failing)),
    ),
    Scenario(
        "held-lock",
        _("A backfill has held the rollup's lock for three hours."),
        CauseCode.LOCK_HELD,
        alone(waiting(zeros.locked_out_for_hours)),
        lock_held(BACKFILL_NAME),
    ),
    Scenario(
        "missing-workspace",
        _("One workspace has usage and no buckets; the other has both."),
        CauseCode.ONE_WORKSPACE,
        alone(zeros.one_workspace_is_missing),
    ),
    Scenario(
        "missing-buckets",
        _("The rollup has passed usage by: it has no buckets."),
        CauseCode.BUCKETS_MISSING,
        alone(zeros.passed_by),
    ),
    Scenario(
        "recent-usage",
        _("All usage is so new that the rollup has not come to it."),
        CauseCode.TOO_RECENT,
        alone(zeros.first_usage),
    ),
    Scenario(
        "healthy",
        _("Nothing is wrong, and usage is there."),
        CauseCode.USAGE_IS_THERE,
        alone(zeros.all_is_well),
    ),
)
