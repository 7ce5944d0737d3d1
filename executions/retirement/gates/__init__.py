"""PURE: the gates of a retirement. Facts in; out comes for each gate whether it passes, and why.

docs/interfaces.md, ``checkretirement``, lists every condition and the kinds of act it applies to.
Nothing here reads a database or a clock, so the same facts always give the same answer: on the
page, in ``manage.py checkretirement`` and inside the transaction that removes a job.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from executions.health.facts.pg_cron import Match
from executions.health.findings import Case
from executions.pgcron.job import Candidate
from executions.retirement.gates import job, plans
from executions.retirement.gates.gate import APPLIES, Aim, Check, Gate, GateCode, GateFacts

__all__ = ["APPLIES", "Aim", "Check", "Gate", "GateCode", "GateFacts", "check"]

_OF_THE_JOB: Mapping[GateCode, Callable[[GateFacts, Candidate], Gate]] = {
    GateCode.PRIVILEGED: job.privileged,
    GateCode.MAY_DEACTIVATE: job.may_deactivate,
    GateCode.LOADED: job.loaded,
    GateCode.SAME_DATABASE: job.same_database,
    GateCode.COMMAND_MATCHES: job.command_matches,
    GateCode.FUNCTION_ABSENT: job.function_absent,
    GateCode.NO_RUN_IN_FLIGHT: job.no_run_in_flight,
}
_OF_THE_PLANS: Mapping[GateCode, Callable[[GateFacts, Case], Gate]] = {
    GateCode.SUCCESS_STREAK: plans.success_streak,
    GateCode.BACKEND_RUNNER: plans.backend_runner,
    GateCode.WATERMARK_ADVANCING: plans.watermark_advancing,
    GateCode.NO_CRITICAL_FINDINGS: plans.no_critical_findings,
}


def check(facts: GateFacts) -> Check:
    """Judge every gate that concerns the job.

    The advice depends on whether the trial is offered, so if it is, the gates are judged once more.
    """
    judged = _judge(facts)
    return _judge(replace(facts, may_try=True)) if judged.trial else judged


def _gate(code: GateCode, facts: GateFacts) -> Gate:
    """A gate whose job or plans cannot be read does not pass, and says so."""
    if code is GateCode.VISIBLE:
        return job.visible(facts)
    if of_the_job := _OF_THE_JOB.get(code):
        return of_the_job(facts, facts.candidate) if facts.candidate else job.unseen(code, facts)
    case = facts.case
    return _OF_THE_PLANS[code](facts, case) if case else plans.unreadable(code, facts)


def _judge(facts: GateFacts) -> Check:
    candidate = facts.candidate
    match = candidate.match if candidate else None
    aims = (Aim.LEGACY,) if match is Match.LEGACY else (Aim.EXACT, Aim.TRIAL)
    concerned = frozenset[GateCode]().union(*(APPLIES[aim] for aim in aims))
    return Check(
        facts.jobid,
        match,
        tuple(_gate(code, facts) for code in GateCode if code in concerned),
        active=candidate is not None and candidate.job.active,
        belongs_elsewhere=candidate is not None
        and candidate.same_database is False
        and not candidate.standby,
    )
