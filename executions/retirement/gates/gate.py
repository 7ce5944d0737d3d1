"""PURE: what a gate is, which gates an act must pass, and how they sum up.

`job.py` and `plans.py` have the conditions; the package judges them all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from executions.health.facts.pg_cron import Match
from executions.health.findings import Case, Finding
from executions.pgcron.job import Candidate
from executions.text.problem import Problem
from executions.text.sentences import At, Sentence, Text, say, say_counted, together


class GateCode(StrEnum):
    """The gates, in the order in which pages show them."""

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
    """What to do to the job. Removing exact and legacy jobs needs different gates."""

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
    """What the gates judge. ``case`` is None, with its reasons, if a basic cannot be read.

    ``affirmed_by`` is the operator who recorded that this installation's own runner stays.
    ``paused_at`` is when a trial that went well paused the job. ``may_try`` says whether the page
    offers the trial now; `gates.check` finds that out.
    """

    jobid: int
    role: str
    candidate: Candidate | None
    case: Case | None
    streak: int
    findings: tuple[Finding, ...] = ()
    unreadable: tuple[Problem, ...] = ()
    affirmed_by: str | None = None
    paused_at: datetime | None = None
    may_try: bool = False


@dataclass(frozen=True)
class Gate:
    """One condition. ``remedy`` says what would make it pass, ``earliest`` when that can be.

    ``reason`` is the summary without that time, if the summary names the time itself: see
    `not_yet`. ``judged`` is False if the gate's facts cannot be read: the gate then does not pass,
    but has no cause to refuse.
    """

    code: GateCode
    passed: bool
    summary: Sentence
    evidence: Mapping[str, object] = field(default_factory=dict)
    remedy: Sentence | None = None
    earliest: datetime | None = None
    reason: Sentence | None = None
    judged: bool = True

    @property
    def says_when(self) -> bool:
        """Whether the summary names the earliest time itself."""
        return self.reason is not None


def not_yet(reason: Sentence, earliest: At | None) -> Sentence:
    """The sentence for something that may become possible: why not now, and when at the earliest.

    Without a time nobody can say when.
    """
    if earliest is None:
        return say("Not yet: %(reason)s", reason=reason)
    return say(
        "Not yet: %(reason)s At the earliest %(earliest)s.", reason=reason, earliest=earliest
    )


@dataclass(frozen=True)
class Check:
    """Every gate that concerns a job, and their sum.

    ``earliest`` is the earliest time at which the job can be removed; None if it can be now, or if
    nobody can say.
    """

    jobid: int
    match: Match | None
    gates: tuple[Gate, ...]
    active: bool = True
    belongs_elsewhere: bool = False

    @property
    def explained_only(self) -> bool:
        """Whether the operator must act: the job does more, or is not of this Multica."""
        does_more = any(gate.code is GateCode.COMMAND_MATCHES for gate in self.refusals(self.aim))
        return does_more or self.belongs_elsewhere

    @property
    def aim(self) -> Aim:
        return Aim.LEGACY if self.match is Match.LEGACY else Aim.EXACT

    def refusals(self, aim: Aim, besides: Iterable[GateCode] = ()) -> tuple[Gate, ...]:
        """The gates that refuse an aim, except those in ``besides``."""
        held = APPLIES[aim] - set(besides)
        return tuple(gate for gate in self.gates if gate.code in held and not gate.passed)

    @property
    def retirable(self) -> bool:
        return not self.refusals(self.aim)

    @property
    def undecided(self) -> bool:
        """Whether it is not removed only because facts that gates need cannot be read."""
        refusals = self.refusals(self.aim)
        return bool(refusals) and not any(gate.judged for gate in refusals)

    @property
    def trial(self) -> bool:
        """Whether the job may be paused first: an active exact job only."""
        return self.match is Match.EXACT and self.active and not self.refusals(Aim.TRIAL)

    @property
    def by_hand(self) -> bool:
        """Whether everything holds except, perhaps, this role's right to remove it."""
        return not self.refusals(self.aim, besides={GateCode.PRIVILEGED})

    @property
    def by_hand_only(self) -> Sentence | None:
        """What list, command and page say if this role lacks only the right; else None."""
        if self.retirable or not self.by_hand:
            return None
        return say(
            "It can be removed by hand: only this role may not do it, so the job's owner or a"
            " superuser must run the statement."
        )

    def headline(self, now: datetime) -> Text | None:
        """Why the job cannot be removed now and when it can at the earliest; None if it can.

        The first gate that refuses gives the reason. None too if nobody can tell.
        """
        refusing = self.refusals(self.aim)
        if not refusing or self.undecided:
            return None
        first, others = refusing[0], len(refusing) - 1
        earliest = At(self.earliest, now) if self.earliest else None
        more = say_counted(
            others, "%(n)s more condition does not hold.", "%(n)s more conditions do not hold."
        )
        return together(not_yet(first.reason or first.summary, earliest), more if others else None)

    @property
    def earliest(self) -> datetime | None:
        moments = [gate.earliest for gate in self.refusals(self.aim)]
        if not moments or None in moments:
            return None
        return max(moment for moment in moments if moment is not None)

    def gate(self, code: GateCode) -> Gate:
        return next(gate for gate in self.gates if gate.code is code)
