"""PURE: what an execution is at a moment, by its stored columns and its scope's newest plan."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from executions.scheduler.plans import Tried, is_retried


class ExecutionState(StrEnum):
    """What an execution is at a moment: the stored statuses and the two that are derived."""

    RUNNING = "RUNNING"
    STALE = "STALE"
    SUCCESS = "SUCCESS"
    RETRYING = "RETRYING"
    FAILED = "FAILED"


class Stored(Tried, Protocol):
    """An execution, in whichever form it was read."""

    @property
    def status(self) -> str: ...
    @property
    def stale_after(self) -> datetime | None: ...


def state_of(
    row: Stored, now: datetime, newest: datetime | None, oldest: datetime | None
) -> ExecutionState:
    """What an execution is at ``now``.

    ``newest`` is its scope's newest plan_time, None where that is not known; ``oldest`` is that of
    :func:`executions.scheduler.plans.oldest_open`. The same as SQL: ``pages/history/walks.py``.
    """
    if row.status == ExecutionState.RUNNING:
        is_stale = row.stale_after is not None and row.stale_after < now
        return ExecutionState.STALE if is_stale else ExecutionState.RUNNING
    if row.status == ExecutionState.SUCCESS:
        return ExecutionState.SUCCESS
    retried = newest is not None and is_retried(row, newest, oldest)
    return ExecutionState.RETRYING if retried else ExecutionState.FAILED
