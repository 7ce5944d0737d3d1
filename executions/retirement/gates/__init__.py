"""PURE: the gates of a retirement. Facts in; for each gate passed or refused, and why.

Every condition and which kind of act it holds for is in docs/interfaces.md, ``checkretirement``.
Nothing here reads a database or a clock, so the same facts always give the same answer: on the
page, in ``manage.py checkretirement`` and inside the transaction that removes a job.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from executions.health.facts import Match
from executions.retirement.gates import job, plans
from executions.retirement.gates.gate import (
    APPLIES,
    Aim,
    Check,
    Code,
    Gate,
    GateFacts,
)

__all__ = ["APPLIES", "Aim", "Check", "Code", "Gate", "GateFacts", "check"]

_JUDGES: Mapping[Code, Callable[[GateFacts], Gate]] = {
    Code.VISIBLE: job.visible,
    Code.PRIVILEGED: job.privileged,
    Code.MAY_DEACTIVATE: job.may_deactivate,
    Code.LOADED: job.loaded,
    Code.SAME_DATABASE: job.same_database,
    Code.COMMAND_MATCHES: job.command_matches,
    Code.FUNCTION_ABSENT: job.function_absent,
    Code.SUCCESS_STREAK: plans.success_streak,
    Code.BACKEND_RUNNER: plans.backend_runner,
    Code.WATERMARK_ADVANCING: plans.watermark_advancing,
    Code.NO_CRITICAL_FINDINGS: plans.no_critical_findings,
    Code.NO_RUN_IN_FLIGHT: job.no_run_in_flight,
}


def check(facts: GateFacts) -> Check:
    """Judge every gate that concerns the job.

    What is advised depends on whether the trial is offered, so they are judged once more if it is.
    """
    judged = _judge(facts)
    return _judge(replace(facts, may_try=True)) if judged.trial else judged


def _judge(facts: GateFacts) -> Check:
    candidate = facts.candidate
    match = candidate.match if candidate else None
    aims = (Aim.LEGACY,) if match is Match.LEGACY else (Aim.EXACT, Aim.TRIAL)
    concerned = frozenset[Code]().union(*(APPLIES[aim] for aim in aims))
    return Check(
        facts.jobid,
        match,
        tuple(_JUDGES[code](facts) for code in Code if code in concerned),
        active=candidate is not None and candidate.job.active,
        belongs_elsewhere=candidate is not None
        and candidate.same_database is False
        and not candidate.standby,
    )
