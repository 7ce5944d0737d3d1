"""PURE: an execution's state at a moment, from its columns and its scope's newest plan."""

from datetime import datetime
from enum import StrEnum
from typing import Protocol

from executions.scheduler.plans import Tried, is_retried


class ExecutionState(StrEnum):
    """The state of an execution at a moment: the stored statuses and two derived ones."""

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
    """The state of an execution at ``now``.

    ``newest`` is its scope's newest plan_time; None if it is not known. ``oldest`` is that of
    :func:`executions.scheduler.plans.oldest_open`. ``pages/history/walks.py`` has the same rule in
    SQL.
    """
    if row.status == ExecutionState.RUNNING:
        is_stale = row.stale_after is not None and row.stale_after < now
        return ExecutionState.STALE if is_stale else ExecutionState.RUNNING
    if row.status == ExecutionState.SUCCESS:
        return ExecutionState.SUCCESS
    retried = newest is not None and is_retried(row, newest, oldest)
    return ExecutionState.RETRYING if retried else ExecutionState.FAILED
