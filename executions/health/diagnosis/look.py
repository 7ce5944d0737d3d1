"""PURE: the parts of a diagnosis, and the facts that it is made from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from uuid import UUID

from django.db.models import TextChoices
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.assessment import Assessment
from executions.health.explain import EXPLANATIONS
from executions.health.explain.explanation import Step
from executions.health.facts.usage import Sample, UsageFacts, WorkspaceUsage
from executions.health.findings import Case, Finding, FindingCode
from executions.health.findings.base import with_explained
from executions.health.findings.lateness import LAG
from executions.health.verdict import Level
from executions.text.problem import Problem
from executions.text.sentences import Ago, At, Sentence, Text, listed


class CauseCode(StrEnum):
    """Why usage shows zero, or that it does not. `causes.py` says which is tried first."""

    OTHER_SCHEMA = "other_schema"
    WRONG_DATABASE = "wrong_database"
    ROLLUP_NOT_INSTALLED = "rollup_not_installed"
    USAGE_NEVER_DUE = "usage_never_due"
    NO_RAW_USAGE = "no_raw_usage"
    TASKS_REPORTED_NONE = "tasks_reported_none"
    RUNTIME_DELETED = "runtime_deleted"
    TASKS_WITHOUT_RUNTIME = "tasks_without_runtime"
    WATERMARK_FUTURE = "watermark_future"
    STATE_ROW_MISSING = "state_row_missing"
    SCHEDULER_NOT_INSTALLED = "scheduler_not_installed"
    LOCK_LEAKED = "lock_leaked"
    CATCHING_UP = "catching_up"
    RUNS_FAIL = "runs_fail"
    SCHEDULER_SILENT = "scheduler_silent"
    LOCK_HELD = "lock_held"
    WATERMARK_STANDS = "watermark_stands"
    ONE_WORKSPACE = "one_workspace"
    BUCKETS_MISSING = "buckets_missing"
    TOO_RECENT = "too_recent"
    CANNOT_TELL = "cannot_tell"
    USAGE_IS_THERE = "usage_is_there"


class Answer(TextChoices):
    YES = "yes", _("Yes")
    NO = "no", _("No")
    UNKNOWN = "unknown", _("Cannot tell")


# The causes that a finding names have the title of its explanation.
_TITLES: Mapping[CauseCode, Promise] = {
    CauseCode.OTHER_SCHEMA: _("Multica's tables are out of reach"),
    CauseCode.WRONG_DATABASE: _("This is not the database that your Multica uses"),
    CauseCode.ROLLUP_NOT_INSTALLED: _("This Multica has no hourly rollup"),
    CauseCode.NO_RAW_USAGE: _("There is no usage yet"),
    CauseCode.USAGE_NEVER_DUE: _("Usage has times that never come"),
    CauseCode.TASKS_REPORTED_NONE: _("Tasks run and report no usage"),
    CauseCode.RUNTIME_DELETED: _("A runtime was deleted"),
    CauseCode.TASKS_WITHOUT_RUNTIME: _("The tasks have no runtime"),
    CauseCode.ONE_WORKSPACE: _("One workspace is missing"),
    CauseCode.BUCKETS_MISSING: _("The rollup passed usage by"),
    CauseCode.TOO_RECENT: _("Usage is only minutes old"),
    CauseCode.CANNOT_TELL: _("We cannot tell"),
    CauseCode.USAGE_IS_THERE: _("Usage is there"),
}


@dataclass(frozen=True)
class Reply:
    """The answer to a question. ``summary`` says what was seen, or why it cannot be told.

    ``sql`` is a statement that shows it; empty if a catalog or the connection tells it.
    """

    answer: Answer
    summary: Text
    evidence: Mapping[str, object] = field(default_factory=dict)
    sql: str = ""


@dataclass(frozen=True, kw_only=True)
class Question(Reply):
    """A question with its answer."""

    code: str
    text: Promise


@dataclass(frozen=True)
class Cause:
    """The one cause, and the one next step. ``finding`` is the one of the verdict that names it."""

    code: CauseCode
    summary: Text
    next_step: Text
    steps: tuple[Step, ...] = ()
    finding: Finding | None = None

    @property
    def title(self) -> Promise:
        return EXPLANATIONS[self.finding.code].title if self.finding else _TITLES[self.code]

    @property
    def is_there(self) -> bool:
        """Whether usage shows, or will within minutes by itself."""
        return self.code in {CauseCode.USAGE_IS_THERE, CauseCode.TOO_RECENT}

    @property
    def is_unknown(self) -> bool:
        return self.code is CauseCode.CANNOT_TELL


@dataclass(frozen=True)
class Diagnosis:
    cause: Cause
    questions: tuple[Question, ...]
    checked_at: datetime | None
    verdict: Level


@dataclass(frozen=True)
class Look:
    """The verdict's assessment and the facts about usage. ``case`` is there: basics are known."""

    assessment: Assessment
    usage: UsageFacts
    case: Case

    @property
    def now(self) -> datetime:
        return self.case.now

    @cached_property
    def found(self) -> Mapping[FindingCode, Finding]:
        """Every finding of the verdict by its code, folded ones too."""
        return {one.code: one for one in with_explained(self.assessment.verdict.findings)}

    def first_of(self, *codes: FindingCode) -> Finding | None:
        return next((self.found[code] for code in codes if code in self.found), None)

    @property
    def watermark(self) -> datetime | None:
        return self.case.state.watermark_at if self.case.state else None

    @property
    def stands(self) -> bool:
        """Whether the rollup is further behind than it may be, or cannot come on at all."""
        late = self.watermark is None or self.now - self.watermark > LAG.warning
        return late or FindingCode.LOCK_LEAKED in self.found

    @property
    def waits(self) -> bool:
        """Whether usage waits behind the watermark; true as well if that cannot be told."""
        latest = self.usage.latest
        return isinstance(latest, Problem) or latest.total("waiting") > 0 or self.watermark is None

    @property
    def samples(self) -> tuple[Sample, ...]:
        both = (self.usage.latest, self.usage.settled)
        return tuple(one for one in both if isinstance(one, Sample))

    @cached_property
    def workspaces(self) -> tuple[WorkspaceUsage, ...]:
        """Each workspace of both samples once, from the newer sample that has settled usage."""
        by_id: dict[UUID, WorkspaceUsage] = {}
        for sample in self.samples:
            for one in sample.named:
                known = by_id.get(one.workspace_id) if one.workspace_id else None
                if one.workspace_id and (known is None or known.settled == 0):
                    by_id[one.workspace_id] = one
        return tuple(by_id.values())

    @property
    def unread(self) -> Iterator[Problem]:
        """The reasons why the diagnosis cannot be sure that usage is there."""
        facts = (self.usage.newest_usage, self.usage.latest, self.usage.settled)
        return (fact for fact in facts if isinstance(fact, Problem))

    def at(self, moment: datetime) -> At:
        return At(moment, self.now)

    def ago(self, moment: datetime) -> Ago:
        return Ago(moment, self.now)

    def named(self, workspaces: Iterable[WorkspaceUsage]) -> Sentence:
        """The workspaces by name, else by id."""
        names = self.usage.names
        known = {} if isinstance(names, Problem) else names
        ids = [one.workspace_id for one in workspaces if one.workspace_id]
        return listed(known.get(one) or str(one) for one in ids)
