"""One execution as a list shows it: with its state at this moment and whose runner it was."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from django.db.models import Case, F, QuerySet, Value, When
from django.db.models.functions import Left

from executions.models import Execution, Runner, Status
from executions.scheduler.spec import Scope
from executions.selectors.filters import GLOBAL, State
from executions.selectors.walks import newest_plan_time

ERROR_LINE = 200


@dataclass(frozen=True)
class Row:
    """``is_ours`` tells this installation's runners from Multica's own."""

    execution: Execution
    state: State
    is_ours: bool

    @property
    def scope(self) -> Scope:
        return Scope(self.execution.scope_kind, self.execution.scope_id)

    @property
    def is_global(self) -> bool:
        return self.scope == GLOBAL

    @property
    def error_line(self) -> str:
        return getattr(self.execution, "error_line", None) or ""


def rows_for_lists() -> QuerySet[Execution]:
    """Executions without their long columns, and with what tells their state."""
    return Execution.objects.annotate(
        error_line=Left("error_msg", ERROR_LINE),
        newest_plan=Case(
            When(status=Status.FAILED, attempt__lt=F("max_attempts"), then=newest_plan_time()),
            default=Value(None),
        ),
    ).defer("result", "error_msg", "lease_token")


def state_of(execution: Execution, now: datetime, newest_plan: datetime | None) -> State:
    """What an execution is at ``now``; ``newest_plan`` is its scope's newest plan_time.

    FAILED with attempts left is being retried only while no newer plan has begun: replicas return
    to the newest plan only (docs/contract.md section 3, "Catch-up").
    """
    if execution.status == Status.RUNNING:
        stale = execution.stale_after is not None and execution.stale_after < now
        return State.STALE if stale else State.RUNNING
    if execution.status == Status.SUCCESS:
        return State.SUCCESS
    left = execution.attempt < execution.max_attempts
    return State.RETRYING if left and execution.plan_time == newest_plan else State.FAILED


def ours_among(runner_ids: Iterable[str | None]) -> frozenset[str]:
    """Which of these runners are this installation's own."""
    asked = {runner_id for runner_id in runner_ids if runner_id}
    if not asked:
        return frozenset()
    return frozenset(Runner.objects.filter(runner_id__in=asked).values_list("runner_id", flat=True))


def as_rows(executions: list[Execution], now: datetime) -> list[Row]:
    """The rows of a list that was read with :func:`rows_for_lists`."""
    ours = ours_among(execution.runner_id for execution in executions)
    return [
        Row(
            execution,
            state_of(execution, now, getattr(execution, "newest_plan", None)),
            execution.runner_id in ours,
        )
        for execution in executions
    ]


def version_of(*facts: object) -> str:
    """A short mark that changes with any of these facts: the version of a live part's data."""
    return blake2b(repr(facts).encode(), digest_size=8).hexdigest()
