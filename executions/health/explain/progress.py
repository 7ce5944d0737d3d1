"""PURE: explanations of the findings of `findings/progress.py`: plans that nobody ran."""

from django.utils.translation import gettext_lazy as _

from executions.health.explain.explanation import ExplainedStatement, Explanation, Step
from executions.health.explain.statements import (
    GAPS,
    LATEST_RUNS,
    NEWEST_USAGE,
    OPEN_RUNS,
    SESSIONS,
    WATERMARK,
)
from executions.health.findings.base import FindingCode
from executions.health.remedies import (
    BACKEND_LOG,
    BACKEND_RESTART,
    BACKEND_STATUS,
    BACKEND_UPGRADE,
    RUN_ONCE,
    here,
)

# What to do about a backend that has fallen silent: three findings begin with it.
_IS_IT_RUNNING = Step(_("Look whether the backend is running."), BACKEND_STATUS)
_READ_ITS_LOG = Step(
    _("Read its log of the last two hours. Look for the word rollup and for database errors."),
    BACKEND_LOG,
)
_START_IT = Step(
    _(
        "If it has stopped or hangs, start it again. This interrupts people who use Multica for a"
        " moment."
    ),
    BACKEND_RESTART,
)
_SILENT_BACKEND = (_IS_IT_RUNNING, _READ_ITS_LOG, _START_IT)

SCHEDULER_NOT_INSTALLED = Explanation(
    FindingCode.SCHEDULER_NOT_INSTALLED,
    title=_("This Multica has no scheduler of its own"),
    meaning=_(
        "The usage pages move only while something outside Multica calls the rollup: a pg_cron"
        " job, a cron entry, a timer or a CronJob. Without one, usage stays at zero or at an old"
        " day. Raw usage is recorded all the same, so nothing is lost."
    ),
    evidence=_(
        "The table sys_cron_executions does not exist in this database. Multica creates it from"
        " v0.3.17 on, so this Multica is older, or its migrations have not run."
    ),
    steps=(
        Step(_("Back up the database, then upgrade Multica to v0.3.17 or newer."), BACKEND_UPGRADE),
        Step(
            _("Read the backend's log while it starts: it says which migrations it runs."),
            BACKEND_LOG,
        ),
    ),
    statements=(
        ExplainedStatement(
            _("Whether the table exists: empty means no"),
            "SELECT to_regclass('sys_cron_executions') AS executions;",
        ),
    ),
    is_not=_(
        "It is not a fault of your schedule. An old pg_cron job keeps working until the upgrade;"
        " leave it until the new backend runs the rollup."
    ),
)
NO_EXECUTIONS = Explanation(
    FindingCode.NO_EXECUTIONS,
    title=_("No scheduler has ever run the rollup here"),
    meaning=_(
        "The usage pages show zero, or only what a schedule of your own has rolled up. Raw usage is"
        " kept in task_usage, so nothing is lost. In a database younger than eleven minutes this is"
        " normal."
    ),
    evidence=_(
        "The table sys_cron_executions has no row for rollup_task_usage_hourly. The oldest usage"
        " and the first migration tell how old the database is."
    ),
    steps=(
        *_SILENT_BACKEND,
        Step(
            _(
                "Make sure that the backend uses this very database: its sessions must be in the"
                " list."
            ),
            statement=SESSIONS,
        ),
    ),
    statements=(LATEST_RUNS, NEWEST_USAGE),
    is_not=_(
        "It is not lost usage, and a backfill does not cure it: without a scheduler the numbers"
        " stop again at once."
    ),
)
LATEST_STALE = Explanation(
    FindingCode.LATEST_STALE,
    title=_("No run of the rollup has succeeded lately"),
    meaning=_(
        "The usage pages stop at an earlier time. Raw usage is kept in task_usage, so nothing is"
        " lost: the next successful run catches up."
    ),
    evidence=_(
        "The newest successful run ended more than 15 minutes ago; after an hour that is critical."
        " In a healthy install it ended at most five and a half minutes ago, by the database's"
        " clock."
    ),
    steps=(
        *_SILENT_BACKEND,
        Step(
            _(
                "If the backend cannot run now, let Multica Admin run one plan. It needs the rights"
                " of a runner."
            ),
            here(RUN_ONCE),
        ),
    ),
    statements=(LATEST_RUNS, WATERMARK, SESSIONS),
    is_not=_(
        "It does not mean that agents stopped working or that usage is gone: only the sums that the"
        " usage pages read are late."
    ),
)
RUNNING_STALE = Explanation(
    FindingCode.RUNNING_STALE,
    title=_("A run was abandoned, and no scheduler has closed it"),
    meaning=_(
        "The process that ran the rollup has gone without an end: it was killed, it hangs, or it"
        " lost the database. If no backend closes the run within a minute, probably none is working"
        " now, and the usage pages stop."
    ),
    evidence=_(
        "A row has the status RUNNING, and its lease ended more than a minute ago. Every working"
        " scheduler closes such rows within 30 seconds."
    ),
    steps=_SILENT_BACKEND,
    statements=(OPEN_RUNS, LATEST_RUNS),
    is_not=_(
        "It is not a run that merely takes long: a living run renews its lease every 30 seconds. Do"
        " not delete the row; a scheduler closes it and may run the plan again."
    ),
)
PLAN_GAP = Explanation(
    FindingCode.PLAN_GAP,
    title=_("Some plans were never begun"),
    meaning=_(
        "For some minutes no backend ran the rollup, so the usage pages were late then. The next"
        " run does all the work of the missed plans, so no numbers are missing."
    ),
    evidence=_(
        "Two neighbouring plans in sys_cron_executions are more than five minutes apart. Multica"
        " never runs a missed plan later, so a gap stays in the history for good."
    ),
    steps=(
        Step(_("Look whether a deploy or a restart explains the time of the gap."), BACKEND_STATUS),
        Step(_("Otherwise read the backend's log of that time."), BACKEND_LOG),
    ),
    statements=(GAPS, WATERMARK),
    is_not=_(
        "It is not lost usage: if the watermark is later than the gap, everything was counted."
    ),
)

OF_PROGRESS = (SCHEDULER_NOT_INSTALLED, NO_EXECUTIONS, LATEST_STALE, RUNNING_STALE, PLAN_GAP)
