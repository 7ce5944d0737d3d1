"""PURE: a finding, and the case that findings are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from functools import cached_property

from executions.health.facts import Facts, Ground, StateRow
from executions.health.facts.executions import ExecutionFact, Executions
from executions.health.ledger import Ledger, lay
from executions.scheduler.plans import newest_due
from executions.scheduler.spec import JobSpec
from executions.text.formatters import NOTHING
from executions.text.problem import Problem
from executions.text.sentences import Ago, At, Text

# The number of newest plans that count as "lately": docs/contract.md section 6.
LATELY = 12
HOUR = timedelta(hours=1)
# A sentence quotes at most this many characters of an error message.
BRIEF = 160
# Evidence lists at most this many rows. It always says how many there are.
MOST_LISTED = 12


class Severity(IntEnum):
    """How bad a finding is, in the order of the verdict."""

    INFO = 1
    WARNING = 2
    CRITICAL = 3

    @property
    def word(self) -> str:
        return self.name.lower()


class FindingCode(StrEnum):
    """The findings of docs/contract.md section 6, in its order."""

    SCHEDULER_NOT_INSTALLED = "scheduler_not_installed"
    NO_EXECUTIONS = "no_executions"
    LATEST_STALE = "latest_stale"
    STATE_ROW_MISSING = "state_row_missing"
    WATERMARK_FUTURE = "watermark_future"
    WATERMARK_LAG = "watermark_lag"
    WATERMARK_CATCHING_UP = "watermark_catching_up"
    LOCK_LOST = "lock_lost"
    LOCK_LEAKED = "lock_leaked"
    RUNNING_STALE = "running_stale"
    PLAN_GAP = "plan_gap"
    PLAN_ABANDONED = "plan_abandoned"
    EXHAUSTED_FAILURE = "exhausted_failure"
    MASKED_RETRIES = "masked_retries"
    OTHER_WRITER = "other_writer"
    BLOCKED_TICK = "blocked_tick"
    CLOCK_OR_FOREIGN_WRITER = "clock_or_foreign_writer"
    ROLLUP_DRIFT = "rollup_drift"
    TABLE_GROWTH = "table_growth"
    STANDBY = "standby"
    NOT_AVAILABLE = "not_available"


# Evidence is plain data: numbers, texts, times, and lists or mappings of those. It has times but no
# ages, because an age would be wrong a minute later.
Evidence = Mapping[str, object]


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, with its evidence and what to do.

    ``seen_at`` is the time of its newest evidence; None if no clock could be read. ``explains`` are
    the findings that are shown under this one and not separately.
    """

    code: FindingCode
    severity: Severity
    summary: Text
    advice: Text
    seen_at: datetime | None
    evidence: Evidence = field(default_factory=dict)
    explains: tuple[Finding, ...] = ()

    @property
    def key(self) -> str:
        """Tells it from the other findings, also after a refresh.

        Only ``not_available`` may be there more than once: each names what cannot be read.
        """
        what = self.evidence.get("what")
        names = what if isinstance(what, list) else []
        return "-".join((self.code, *names))

    def explaining(self, others: tuple[Finding, ...]) -> Finding:
        return replace(self, explains=(*self.explains, *others))


def with_explained(findings: Iterable[Finding]) -> Iterator[Finding]:
    """Each finding, followed by those that it explains."""
    for finding in findings:
        yield finding
        yield from with_explained(finding.explains)


def of_code(code: FindingCode, findings: Iterable[Finding]) -> Finding | None:
    """The first of the findings with that code."""
    return next((finding for finding in findings if finding.code is code), None)


@dataclass(frozen=True)
class Case:
    """The facts with their basics known, and their ledger: what findings judge."""

    facts: Facts
    ground: Ground
    executions: Executions
    state: StateRow | None
    ledger: Ledger

    @classmethod
    def of(cls, facts: Facts) -> Case | None:
        """The case; None if a basic could not be read."""
        ground, executions, state = facts.ground, facts.executions, facts.state
        if (
            isinstance(ground, Problem)
            or isinstance(executions, Problem)
            or isinstance(state, Problem)
        ):
            return None
        ledger = lay(executions, ground.now, facts.spec, unwatched=facts.known_unwatched)
        return cls(facts, ground, executions, state, ledger)

    @property
    def now(self) -> datetime:
        return self.ground.now

    @property
    def spec(self) -> JobSpec:
        return self.facts.spec

    @property
    def rows(self) -> tuple[ExecutionFact, ...]:
        """The executions of the window, newest plan first."""
        return self.executions.rows

    @cached_property
    def plans(self) -> tuple[ExecutionFact, ...]:
        """The rows that a scheduler can have written: none of their times is in the future."""
        return tuple(row for row in self.rows if not row.is_ahead(self.now))

    @property
    def lately(self) -> tuple[ExecutionFact, ...]:
        return self.plans[:LATELY]

    @property
    def newest(self) -> ExecutionFact | None:
        """The newest plan that has begun."""
        return self.plans[0] if self.plans else self.executions.earlier

    @cached_property
    def latest_success(self) -> ExecutionFact | None:
        return self.executions.latest_success(self.now)

    @property
    def succeeded_at(self) -> datetime | None:
        """When the latest certain success ended."""
        success = self.latest_success
        return success.proven_at(self.now) if success else None

    @property
    def newest_plan(self) -> datetime:
        """The newest plan_time that a runner could have begun by now."""
        return newest_due(self.spec, self.now)

    def within(self, moment: datetime | None, span: timedelta) -> bool:
        """Whether a moment is at most ``span`` before now."""
        return moment is not None and self.now - moment <= span

    def at(self, moment: datetime) -> At:
        return At(moment, self.now)

    def ago(self, moment: datetime) -> Ago:
        return Ago(moment, self.now)


Rule = Callable[[Case], Finding | None]


def brief(message: str | None) -> str:
    """An error's message or code for a sentence: one line, cut, without its full stop."""
    line = " ".join((message or NOTHING).split()).rstrip(".…")
    return line if len(line) <= BRIEF else f"{line[: BRIEF - 1]}…"


def rows_told(rows: tuple[ExecutionFact, ...] | list[ExecutionFact]) -> list[dict[str, object]]:
    """The newest of these executions as evidence, with enough to find and recognise each."""
    return [
        {
            "id": str(row.id),
            "plan_time": row.plan_time,
            "status": row.status,
            "attempt": row.attempt,
            "max_attempts": row.max_attempts,
            "runner_id": row.runner_id,
            "error_code": row.error_code,
            "error_msg": row.error_msg,
        }
        for row in rows[:MOST_LISTED]
    ]
