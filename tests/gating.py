"""A job and its plans in memory, and how the gates judge them."""

from __future__ import annotations

from datetime import timedelta

from executions.health.facts.pg_cron import Match
from executions.health.findings import Case, find
from executions.pgcron.job import Candidate, Job, Rights
from executions.pgcron.match import Judgement
from executions.retirement.gates import Aim, Check, GateCode, GateFacts, check
from tests.pictures import CADENCE, NOW, SECOND, executions, facts, plan_time

DELAY = timedelta(minutes=5)
JOB = Job(
    jobid=17,
    jobname="rollup_task_usage_hourly",
    schedule="*/5 * * * *",
    command="SELECT rollup_task_usage_hourly()",
    database="multica",
    owner="postgres",
    active=True,
)


RIGHTS = Rights("retirer", retire=True, deactivate=True, put_back=True)
EXACT = Judgement(Match.EXACT, ("rollup_task_usage_hourly",))


def candidate(**known) -> Candidate:
    whole = {
        "job": JOB,
        "judgement": EXACT,
        "rights": RIGHTS,
        "same_database": True,
        "in_flight": (),
    }
    return Candidate(**whole | known)


def judged(seen: Candidate | None = None, *, streak: int = 12, hidden=False, **known) -> Check:
    """The gates on a healthy install, but for what is given."""
    outside = {name: known.pop(name) for name in ("affirmed_by", "paused_at") if name in known}
    all_facts = facts(**known)
    case = Case.of(all_facts)
    return check(
        GateFacts(
            jobid=17,
            role="retirer",
            candidate=None if hidden else seen or candidate(),
            case=case,
            streak=streak,
            findings=tuple(find(all_facts, case)) if case else (),
            unreadable=all_facts.basics,
            **outside,
        )
    )


def refusing(checked: Check, aim: Aim = Aim.EXACT) -> set[str]:
    return {gate.code.value for gate in checked.refusals(aim)}


def alone(checked: Check, code: GateCode, aim: Aim = Aim.EXACT):
    assert refusing(checked, aim) == {code.value}
    return checked.gate(code)


IDLE = {"watermark_before": NOW, "watermark_after": NOW}


def idle(*ages: int):
    """Plans that succeeded without moving the watermark."""
    return executions({age: {"watermark_after": plan_time(age) - CADENCE + SECOND} for age in ages})
