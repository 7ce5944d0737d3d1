"""PURE: findings about how single plans went: failures, retries and delays."""

from datetime import timedelta

from executions.health.facts.executions import ExecutionFact
from executions.health.findings.base import Case, Finding, FindingCode, Severity, brief, rows_told
from executions.health.findings.progress import how_far, newest_is
from executions.health.findings.watermark import STEP, is_in_the_future
from executions.health.remedies import BACKFILL, READ_THE_ERROR
from executions.rollup.margin import MARGIN
from executions.text.beyond import is_beyond
from executions.text.sentences import Sentence, say, say_counted, together

ABANDONED_OFTEN = 2
MASKED_OFTEN = 6
BLOCKED = timedelta(seconds=30)
BLOCKED_WARNING = timedelta(minutes=5)


def _given_up(case: Case, row: ExecutionFact) -> bool:
    """Whether the plan FAILED and a newer bucket has begun: latest-only never returns to it."""
    return row.failed and not newest_is(case, row)


def _severity_of_abandoning(case: Case) -> Severity:
    lately = sum(1 for row in case.lately if _given_up(case, row))
    return Severity.WARNING if lately >= ABANDONED_OFTEN else Severity.INFO


def _error_of(row: ExecutionFact) -> str:
    return f"{brief(row.error_code)}: {brief(row.error_msg)}"


def plan_abandoned(case: Case) -> Finding | None:
    abandoned = [row for row in case.plans if _given_up(case, row) and not row.exhausted]
    if not abandoned:
        return None
    newest = abandoned[0]
    return Finding(
        FindingCode.PLAN_ABANDONED,
        _severity_of_abandoning(case),
        summary=say_counted(
            len(abandoned),
            "One update of usage failed and is not tried again: the plan of %(plan)s ended"
            " with %(error)s. The time for a retry is over; the next plan does its work.",
            "%(n)s updates of usage failed and are not tried again, the latest with %(error)s"
            " (plan of %(plan)s). The time for retries is over; the next plan does the work.",
            plan=case.at(newest.plan_time),
            error=_error_of(newest),
        ),
        advice=say(READ_THE_ERROR),
        seen_at=newest.plan_time,
        evidence={"count": len(abandoned), "executions": rows_told(abandoned)},
    )


def exhausted_failure(case: Case) -> Finding | None:
    exhausted = [row for row in case.plans if row.exhausted]
    if not exhausted:
        return None
    newest = exhausted[0]
    evidence = {"count": len(exhausted), "executions": rows_told(exhausted)}
    if newest is case.newest:
        return Finding(
            FindingCode.EXHAUSTED_FAILURE,
            Severity.CRITICAL,
            summary=together(
                say(
                    "The newest update of usage, the plan of %(plan)s, failed in all of its"
                    " %(attempts)s attempts, the last with %(error)s.",
                    plan=case.at(newest.plan_time),
                    attempts=newest.max_attempts,
                    error=_error_of(newest),
                ),
                how_far(case),
            ),
            advice=together(say("Mend the cause that the error names."), _after_mending(case)),
            seen_at=newest.plan_time,
            evidence=evidence,
        )
    return Finding(
        FindingCode.EXHAUSTED_FAILURE,
        _severity_of_abandoning(case),
        summary=say_counted(
            len(exhausted),
            "One update of usage failed for good, in all of its attempts: the plan of"
            " %(plan)s, with %(error)s. Later plans took over its work.",
            "%(n)s updates of usage failed for good, in all of their attempts, the latest the"
            " plan of %(plan)s, with %(error)s. Later plans took over their work.",
            plan=case.at(newest.plan_time),
            error=_error_of(newest),
        ),
        advice=say(READ_THE_ERROR),
        seen_at=newest.plan_time,
        evidence=evidence,
    )


def _after_mending(case: Case) -> Sentence | None:
    """What the next run does about the lag; None if another finding says why it does nothing."""
    if case.state is None or is_beyond(case.state.watermark_at) or is_in_the_future(case):
        return None
    if case.now - MARGIN - case.state.watermark_at <= STEP:
        return say("The next plan then catches up.")
    return say(
        "Each run then does one day at most; %(command)s does it all in one go.",
        command=BACKFILL,
    )


def masked_retries(case: Case) -> Finding | None:
    retried = [row for row in case.plans if row.succeeded and row.attempt > 1]
    if not retried:
        return None
    often = sum(1 for row in case.lately if row in retried)
    return Finding(
        FindingCode.MASKED_RETRIES,
        Severity.WARNING if often >= MASKED_OFTEN else Severity.INFO,
        summary=say_counted(
            len(retried),
            "One update of usage needed more than one attempt, the plan of %(plan)s. It"
            " succeeded in the end, which wiped the error of the first attempt.",
            "%(n)s updates of usage needed more than one attempt, the latest the plan of"
            " %(plan)s. They succeeded in the end, which wiped the errors of the first ones.",
            plan=case.at(retried[0].plan_time),
        ),
        advice=say(
            "Now and then is normal. If it goes on, look for the errors in the backend's log."
        ),
        seen_at=retried[0].plan_time,
        evidence={"count": len(retried), "of_the_last_12": often, "executions": rows_told(retried)},
    )


def _waited(row: ExecutionFact) -> timedelta:
    """How much longer the plan was held than its handler took."""
    if row.starts_before_its_plan:
        return timedelta()
    if row.started_at is None or row.finished_at is None or row.duration_ms is None:
        return timedelta()
    return row.finished_at - row.started_at - timedelta(milliseconds=row.duration_ms)


def blocked_tick(case: Case) -> Finding | None:
    blocked = [row for row in case.plans if _waited(row) > BLOCKED]
    if not blocked:
        return None
    longest = max(blocked, key=_waited)
    return Finding(
        FindingCode.BLOCKED_TICK,
        Severity.WARNING if _waited(longest) > BLOCKED_WARNING else Severity.INFO,
        summary=say_counted(
            len(blocked),
            "One update of usage waited %(waited)s in its backend before it was run or"
            " written down (plan of %(plan)s): other jobs there delayed it.",
            "%(n)s updates of usage waited in their backend before they were run or written"
            " down, the longest %(waited)s (plan of %(plan)s): other jobs there delayed them.",
            waited=_waited(longest),
            plan=case.at(longest.plan_time),
        ),
        advice=say(
            "Look in the history for another job that runs long at that time; with a second"
            " backend such jobs no longer delay this one."
        ),
        seen_at=blocked[0].finished_at or blocked[0].plan_time,
        evidence={
            "count": len(blocked),
            "executions": [
                {**shown, "waited_seconds": round(_waited(row).total_seconds(), 1)}
                for row, shown in zip(blocked, rows_told(blocked), strict=False)
            ],
        },
    )
