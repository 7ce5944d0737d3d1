"""PURE: what a gate is, which gates an act must pass, and what they come to together.

The conditions themselves are in `job.py` and `plans.py`; the package judges them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from django.utils.translation import gettext_lazy as _

from executions.health.facts.not_available import NotAvailable
from executions.health.facts.pg_cron import Match
from executions.health.findings import Case, Finding
from executions.pgcron.job import Candidate
from executions.text.sentences import Sentence, say


class GateCode(StrEnum):
    """The gates, in the order in which they are shown."""

    VISIBLE = "visible"
    PRIVILEGED = "privileged"
    MAY_DEACTIVATE = "may_deactivate"
    LOADED = "loaded"
    SAME_DATABASE = "same_database"
    COMMAND_MATCHES = "command_matches"
    FUNCTION_ABSENT = "function_absent"
    SUCCESS_STREAK = "success_streak"
    BACKEND_RUNNER = "backend_runner"
    WATERMARK_ADVANCING = "watermark_advancing"
    NO_CRITICAL_FINDINGS = "no_critical_findings"
    NO_RUN_IN_FLIGHT = "no_run_in_flight"


class Aim(StrEnum):
    """What is to be done to the job. Removing an exact and a legacy job are judged differently."""

    EXACT = "exact"
    TRIAL = "trial"
    LEGACY = "legacy"


_ALWAYS = {
    GateCode.VISIBLE,
    GateCode.LOADED,
    GateCode.SAME_DATABASE,
    GateCode.COMMAND_MATCHES,
    GateCode.NO_RUN_IN_FLIGHT,
}
_EVIDENT = {GateCode.SUCCESS_STREAK, GateCode.BACKEND_RUNNER, GateCode.NO_CRITICAL_FINDINGS}
APPLIES: Mapping[Aim, frozenset[GateCode]] = {
    Aim.EXACT: frozenset({*_ALWAYS, *_EVIDENT, GateCode.PRIVILEGED, GateCode.WATERMARK_ADVANCING}),
    Aim.TRIAL: frozenset({*_ALWAYS, *_EVIDENT, GateCode.MAY_DEACTIVATE}),
    Aim.LEGACY: frozenset({*_ALWAYS, GateCode.PRIVILEGED, GateCode.FUNCTION_ABSENT}),
}


@dataclass(frozen=True)
class GateFacts:
    """What the gates judge. ``case`` is None, with its reasons, where a basic cannot be read.

    ``affirmed_by`` is who put on record that this installation's own runner stays; ``paused_at``
    is since when a trial that went well has the job deactivated. ``may_try`` is whether the page
    offers the trial now, which `gates.check` finds out.
    """

    jobid: int
    role: str
    candidate: Candidate | None
    case: Case | None
    streak: int
    findings: tuple[Finding, ...] = ()
    unreadable: tuple[NotAvailable, ...] = ()
    affirmed_by: str | None = None
    paused_at: datetime | None = None
    may_try: bool = False


@dataclass(frozen=True)
class Gate:
    """One condition. ``remedy`` says what would make it pass, ``earliest`` when that can be.

    ``says_when`` is whether the summary itself says the latter. ``judged`` is False if the facts
    that the gate needs cannot be read: it does not pass then, and does not refuse for a cause.
    """

    code: GateCode
    passed: bool
    summary: Sentence
    evidence: Mapping[str, object] = field(default_factory=dict)
    remedy: Sentence | None = None
    earliest: datetime | None = None
    says_when: bool = False
    judged: bool = True


@dataclass(frozen=True)
class Check:
    """Every gate that concerns a job, and what they come to.

    ``earliest`` is when the job can be removed at the earliest; None when it can be now, or when
    nobody can say.
    """

    jobid: int
    match: Match | None
    gates: tuple[Gate, ...]
    active: bool = True
    belongs_elsewhere: bool = False

    @property
    def explained_only(self) -> bool:
        """Whether the wizard leaves it to the operator: it does more, or is not of this Multica."""
        does_more = any(gate.code is GateCode.COMMAND_MATCHES for gate in self.refusals(self.aim))
        return does_more or self.belongs_elsewhere

    @property
    def aim(self) -> Aim:
        return Aim.LEGACY if self.match is Match.LEGACY else Aim.EXACT

    def refusals(self, aim: Aim, besides: Iterable[GateCode] = ()) -> tuple[Gate, ...]:
        """The gates that refuse an aim, but for those in ``besides``."""
        held = APPLIES[aim] - set(besides)
        return tuple(gate for gate in self.gates if gate.code in held and not gate.passed)

    @property
    def retirable(self) -> bool:
        return not self.refusals(self.aim)

    @property
    def trial(self) -> bool:
        """Whether the job may be paused first: an active exact job only."""
        return self.match is Match.EXACT and self.active and not self.refusals(Aim.TRIAL)

    @property
    def by_hand(self) -> bool:
        """Whether everything holds but, perhaps, this role's right to do it."""
        return not self.refusals(self.aim, besides={GateCode.PRIVILEGED})

    @property
    def by_hand_only(self) -> Sentence | None:
        """What list, command and page say where this role lacks only the right; else None."""
        if self.retirable or not self.by_hand:
            return None
        return say(
            _("It can be removed by hand: only this role may not do it, so the job's owner or a"
              " superuser must run the statement.")
        )  # fmt: skip

    @property
    def earliest(self) -> datetime | None:
        moments = [gate.earliest for gate in self.refusals(self.aim)]
        if not moments or None in moments:
            return None
        return max(moment for moment in moments if moment is not None)

    def gate(self, code: GateCode) -> Gate:
        return next(gate for gate in self.gates if gate.code is code)
