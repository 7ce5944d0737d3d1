"""PURE: when the rollup will have caught up, and the next plan to expect."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.findings.base import Case
from executions.health.findings.lateness import LAG, silence
from executions.health.findings.watermark import catch_up, catches_up, is_in_the_future
from executions.text.beyond import is_beyond
from executions.text.sentences import Sentence, say, say_counted


@dataclass(frozen=True)
class NextPlan:
    """The next plan that a runner will begin: its plan_time, and when it is due."""

    plan_time: datetime
    due_at: datetime


def next_plan(case: Case) -> NextPlan | None:
    """The next plan; None if this Multica has no scheduler and so no plans."""
    if not case.ground.has_executions:
        return None
    plan_time = case.newest_plan + case.spec.cadence
    return NextPlan(plan_time, plan_time + case.spec.schedule_delay)


def caught_up(case: Case) -> Sentence:
    """When usage will be up to date, as far as the runs of the last day tell."""
    watermark = case.state.watermark_at if case.state else None
    if watermark is None or is_beyond(watermark):
        return say(_CANNOT)
    if is_in_the_future(case):
        return say(
            "At %(watermark)s: until time has caught up with the watermark, runs do nothing.",
            watermark=case.at(watermark),
        )
    if case.now - watermark <= LAG.warning:
        return say("It is up to date: there is nothing to catch up with.")
    if (why := _why_not(case)) is not None:
        return say(why)
    plans, done_at = catch_up(case, watermark)
    if plans == 1:
        return say("About %(done)s: with the next plan that succeeds.", done=case.at(done_at))
    return say_counted(
        plans,
        "About %(done)s: %(n)s plan, a day each.",
        "About %(done)s: %(n)s plans, a day each.",
        done=case.at(done_at),
    )


_CANNOT = _("Nobody can tell, because the watermark is not known.")


def _why_not(case: Case) -> Promise | None:
    """Why the watermark does not come nearer; None if it does."""
    if silence(case) is not None or case.latest_success is None:
        return _("Nobody can tell, because no run succeeds now. It goes on with the next success.")
    success = case.latest_success
    if not catches_up(case) and not success.moved:
        return _(
            "Nobody can tell: runs succeed, but the latest of them did not move the watermark."
        )
    return None
