"""PURE: explanations of the findings of `findings/watermark.py`, `lock.py` and `writer.py`."""

from django.utils.translation import gettext_lazy as _

from executions.health.explain.explanation import (
    ExplainedStatement,
    Explanation,
    LeastRole,
    Step,
)
from executions.health.explain.statements import (
    HOLDERS,
    JOBS,
    JUMPS,
    LATEST_RUNS,
    NEWEST_USAGE,
    WATERMARK,
)
from executions.health.findings.base import FindingCode
from executions.health.remedies import (
    BACKEND_LOG,
    BACKEND_UPGRADE,
    BACKFILL,
    BACKFILL_LOOK,
    CALLERS,
    CALLERS_OUTSIDE,
    PUT_STATE_ROW_BACK,
    end_session,
    here,
)

LOOK_THEN_BACKFILL = (
    Step(_("See what a backfill would do. This changes nothing."), here(BACKFILL_LOOK)),
    Step(
        _("Then run it. You can stop it with Ctrl-C and start it again at any time."),
        here(BACKFILL),
    ),
)

STATE_ROW_MISSING = Explanation(
    FindingCode.STATE_ROW_MISSING,
    title=_("The rollup has lost its place"),
    meaning=_(
        "The usage pages stand still, although every run ends well. Raw usage is kept in"
        " task_usage, so nothing is lost."
    ),
    evidence=_(
        "The table task_usage_hourly_rollup_state has no row. The rollup reads there where to go"
        " on; without it a run does nothing and reports success."
    ),
    steps=(
        Step(
            _("Put the row back. The rollup then begins at 1970."),
            statement=ExplainedStatement(
                _("Creates the row with its defaults"), PUT_STATE_ROW_BACK, LeastRole.OWNER
            ),
        ),
        *LOOK_THEN_BACKFILL,
    ),
    statements=(WATERMARK,),
    is_not=_("It is not a fault of the backend: it runs, and has nothing to begin with."),
)
WATERMARK_FUTURE = Explanation(
    FindingCode.WATERMARK_FUTURE,
    title=_("The rollup believes that it is ahead of time"),
    meaning=_(
        "The usage pages stand still until time catches up with the watermark. Raw usage is kept in"
        " task_usage, so nothing is lost."
    ),
    evidence=_(
        "The watermark is later than five minutes ago, by more than a minute. No run moves it that"
        " far: the database server's clock was wrong for a time, or somebody set it."
    ),
    steps=(
        Step(
            _("Compare the database server's clock with yours, and put it right first."),
            statement=ExplainedStatement(
                _("The time by the database server"), "SELECT clock_timestamp() AS server_time;"
            ),
        ),
        *LOOK_THEN_BACKFILL,
    ),
    statements=(WATERMARK, LATEST_RUNS),
    is_not=_("It is not a lost lock, although runs look the same: 0 rows, watermark unchanged."),
)
WATERMARK_LAG = Explanation(
    FindingCode.WATERMARK_LAG,
    title=_("The numbers are late although runs succeed"),
    meaning=_(
        "The usage pages are complete only up to the watermark. Raw usage is kept in task_usage, so"
        " nothing is lost."
    ),
    evidence=_(
        "The watermark is more than 20 minutes old, and critical past 65 minutes. In a healthy"
        " install it is 5 to 11 minutes old."
    ),
    steps=(
        Step(_("See whether a session holds the rollup's lock."), statement=HOLDERS),
        Step(_("See whether the latest runs did any work, or why they failed."), BACKEND_LOG),
        *LOOK_THEN_BACKFILL,
    ),
    statements=(WATERMARK, LATEST_RUNS, NEWEST_USAGE),
    is_not=_(
        "It is not the age of the last run: a run may have ended a minute ago and still have left"
        " the watermark where it was."
    ),
)
WATERMARK_CATCHING_UP = Explanation(
    FindingCode.WATERMARK_CATCHING_UP,
    title=_("The rollup is catching up, one day with each run"),
    meaning=_(
        "Recent usage is not on the usage pages yet. The rollup works through the past, a day every"
        " five minutes, and the finding says when it will have caught up. From 1970 that takes 72"
        " days, and a backfill is better."
    ),
    evidence=_(
        "The watermark is more than 20 minutes old, and a recent run moved it by a whole day, or"
        " somebody set it back by more than a day."
    ),
    steps=(
        Step(_("If the time that the finding names is soon enough, wait.")),
        *LOOK_THEN_BACKFILL,
    ),
    statements=(WATERMARK, LATEST_RUNS),
    is_not=_("It is not stuck: do not restart the backend because of it."),
)
LOCK_LOST = Explanation(
    FindingCode.LOCK_LOST,
    title=_("Runs found the rollup's lock taken"),
    meaning=_(
        "Usually another caller did the same work at that moment, and the numbers are right. If the"
        " watermark stands still as well, something blocks the rollup."
    ),
    evidence=_(
        "A run ended with success, 0 rows and the watermark unchanged. The rollup does nothing when"
        " advisory lock 4246 is taken. Three such runs in an hour are a warning."
    ),
    steps=(
        Step(_("See who holds the lock now."), statement=HOLDERS),
        Step(
            _("See whether an old schedule still calls the rollup, and retire it."), here(CALLERS)
        ),
    ),
    statements=(WATERMARK, LATEST_RUNS),
    is_not=_(
        "It is not an idle run: that has 0 rows too, but moves the watermark. And a backfill or the"
        " deletion of a workspace may hold the lock for a while: let them end."
    ),
)
LOCK_LEAKED = Explanation(
    FindingCode.LOCK_LEAKED,
    title=_("A forgotten session keeps the rollup's lock"),
    meaning=_(
        "The usage pages stand still: every run finds the lock taken and does nothing, until that"
        " session ends. Raw usage is kept in task_usage, so nothing is lost."
    ),
    evidence=_(
        "A session holds advisory lock 4246 in this database and has been idle since before the"
        " last two runs lost the lock, and nobody runs the rollup's window function. Multica before"
        " v0.4.23 leaves such a session when a run is cancelled."
    ),
    steps=(
        Step(
            _("Make sure that no backfill is running, then look which session it is."),
            statement=HOLDERS,
        ),
        Step(
            _("End that session, with its pid in place of the 0. The next run then does the work."),
            statement=ExplainedStatement(
                _("Ends one session; with 0 it ends none"), end_session(0), LeastRole.ADMINISTRATOR
            ),
        ),
        Step(
            _("So that it does not come back, upgrade Multica to v0.4.23 or newer."),
            BACKEND_UPGRADE,
        ),
    ),
    statements=(LATEST_RUNS, WATERMARK),
    is_not=_(
        "It is not a backfill between two months: that one is idle for seconds only. Do not end a"
        " session that is at work."
    ),
)
OTHER_WRITER = Explanation(
    FindingCode.OTHER_WRITER,
    title=_("Something else runs the rollup too"),
    meaning=_(
        "Nothing is wrong: the numbers are right, and nothing is counted twice. But a schedule from"
        " before Multica had its own scheduler repeats the work, and you can remove it."
    ),
    evidence=_(
        "Between at least three of the latest twelve pairs of runs the watermark was later than the"
        " earlier run left it. So something moved it in between: pg_cron, cron, a timer, a CronJob."
    ),
    steps=(
        Step(
            _(
                "Open the page Schedules. It names the caller where it can, and leads you through"
                " its removal."
            )
        ),
        Step(_("The same on the command line. This changes nothing."), here(CALLERS)),
        Step(
            _("On each host that may call it from outside the database, look for the caller."),
            here(CALLERS_OUTSIDE),
        ),
        Step(
            _("If this role does not see every job of pg_cron, let an administrator look."),
            statement=JOBS,
        ),
    ),
    statements=(JUMPS,),
    is_not=_("It is not double counting: a lock lets only one caller work at a time."),
)

OF_THE_WATERMARK = (
    STATE_ROW_MISSING,
    WATERMARK_FUTURE,
    WATERMARK_LAG,
    WATERMARK_CATCHING_UP,
    LOCK_LOST,
    LOCK_LEAKED,
    OTHER_WRITER,
)
