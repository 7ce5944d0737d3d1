"""PURE: explanations of the findings about single runs: `findings/attempts.py` and `clock.py`."""

from django.utils.translation import gettext_lazy as _

from executions.health.explain.explanation import ExplainedStatement, Explanation, Step
from executions.health.explain.statements import (
    FAILED_RUNS,
    LATEST_RUNS,
    ODD_TIMES,
    OTHER_JOBS_THEN,
    RETRIED_RUNS,
    SESSIONS,
    WAITS,
    WATERMARK,
)
from executions.health.findings.base import FindingCode
from executions.health.remedies import (
    BACKEND_LOG,
    BACKFILL,
    BACKFILL_LOOK,
    READ_THE_ERROR,
    here,
)

_WHAT_THE_LOG_SAYS = Step(
    _("Look in the backend's log for what happened around that time."), BACKEND_LOG
)

PLAN_ABANDONED = Explanation(
    FindingCode.PLAN_ABANDONED,
    title=_("A run failed and was not tried again in time"),
    meaning=_(
        "One update of usage was missed. The next plan has done its work or will do it, so no"
        " numbers are missing once that one succeeds."
    ),
    evidence=_(
        "A row has the status FAILED with attempts left, and a newer plan has begun or is due."
        " Multica retries only the newest plan."
    ),
    steps=(Step(READ_THE_ERROR, statement=FAILED_RUNS), _WHAT_THE_LOG_SAYS),
    statements=(LATEST_RUNS,),
    is_not=_("It is not lost usage, and there is nothing to repeat by hand."),
)
EXHAUSTED_FAILURE = Explanation(
    FindingCode.EXHAUSTED_FAILURE,
    title=_("A run failed in all of its attempts"),
    meaning=_(
        "If it is the newest plan, the usage pages stand still until a run succeeds. If later plans"
        " succeeded, they have done its work. Raw usage is kept in either case."
    ),
    evidence=_(
        "A row has the status FAILED and has used up its attempts. Its error is that of the last"
        " attempt."
    ),
    steps=(
        Step(READ_THE_ERROR, statement=FAILED_RUNS),
        _WHAT_THE_LOG_SAYS,
        Step(
            _(
                "Once runs succeed again, they catch up one day with each run. If that is too slow,"
                " look what a backfill would do, then start it without --dry-run."
            ),
            here(BACKFILL_LOOK),
        ),
    ),
    statements=(WATERMARK, LATEST_RUNS),
    is_not=_(
        "It is not final for the numbers: the next plan begins at the watermark and sums what the"
        " failed one left."
    ),
)
MASKED_RETRIES = Explanation(
    FindingCode.MASKED_RETRIES,
    title=_("Runs succeed only after a retry"),
    meaning=_(
        "The usage pages are right. But something makes first attempts fail, and a success wipes"
        " the error of the attempt before, so the history does not show what it was."
    ),
    evidence=_(
        "Rows have the status SUCCESS and an attempt above 1. Six of the latest twelve make it a"
        " warning."
    ),
    steps=(
        Step(_("Look in the backend's log for the errors of the first attempts."), BACKEND_LOG),
    ),
    statements=(RETRIED_RUNS,),
    is_not=_("It is not a fault by itself: a restart now and then causes a retry."),
)
BLOCKED_TICK = Explanation(
    FindingCode.BLOCKED_TICK,
    title=_("Other jobs delayed runs of the rollup"),
    meaning=_(
        "The usage pages were some minutes late. A backend runs its jobs one after the other, and"
        " another job kept it busy before it could begin the rollup or write down its end."
    ),
    evidence=_(
        "The time between the start and the end of a run is much longer than its own work"
        " (duration_ms). More than 30 seconds is worth knowing, more than 5 minutes a warning."
    ),
    steps=(
        Step(_("Find the job that ran long at that time."), statement=OTHER_JOBS_THEN),
        Step(_("Look in the backend's log of that time."), BACKEND_LOG),
        Step(_("If it happens daily, run a second backend: it takes plans while one is busy.")),
    ),
    statements=(WAITS,),
    is_not=_("It is not a slow rollup: the run itself took the time that duration_ms says."),
)
CLOCK_OR_FOREIGN_WRITER = Explanation(
    FindingCode.CLOCK_OR_FOREIGN_WRITER,
    title=_("The history has times that no scheduler writes"),
    meaning=_(
        "The history of runs cannot be trusted as it is, so ages and gaps may be wrong. Rows from"
        " the future count as no run here."
    ),
    evidence=_(
        "A run started before its plan, ended before it started, lies in the database's future or"
        " off the five-minute grid, or a time is infinite or outside the years 1 to 9999."
    ),
    steps=(
        Step(
            _("Compare the database server's clock with yours."),
            statement=ExplainedStatement(
                _("The time by the database server"), "SELECT clock_timestamp() AS server_time;"
            ),
        ),
        Step(_("Look which programs besides Multica write to this database."), statement=SESSIONS),
        Step(
            _("If the numbers may be wrong because of it, sum them again from raw usage."),
            here(BACKFILL),
        ),
    ),
    statements=(ODD_TIMES,),
    is_not=_("It is not the time zone: every time is stored with its zone and compared in UTC."),
)

OF_ATTEMPTS = (
    PLAN_ABANDONED,
    EXHAUSTED_FAILURE,
    MASKED_RETRIES,
    BLOCKED_TICK,
    CLOCK_OR_FOREIGN_WRITER,
)
