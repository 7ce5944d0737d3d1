"""The outcome for a scope in a tick, for the commands that print it and for the log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from executions.scheduler.leases import Claim, ClaimOutcome, Finish, Lease, Success
from executions.scheduler.run import Ended
from executions.scheduler.spec import Scope


@dataclass(frozen=True)
class TickReport:
    """The outcome for one scope in one tick.

    Without an ``outcome`` nothing was due or, with an ``error_msg``, nobody can tell. ``status`` is
    the row's as far as it is known: for a CONFLICT it is the other runner's; None if this runner
    lost its lease.
    """

    job: str
    scope: Scope
    plan_time: datetime | None = None
    outcome: ClaimOutcome | None = None
    status: str | None = None
    rows: int | None = None
    duration_ms: int | None = None
    attempt: int | None = None
    error_code: str | None = None
    error_msg: str | None = None
    holder: str | None = None

    @classmethod
    def of_conflict(cls, claim: Claim) -> TickReport:
        plan = claim.plan
        return cls(
            plan.spec.name,
            plan.scope,
            plan.plan_time,
            claim.outcome,
            status=claim.status,
            holder=claim.holder,
        )

    @classmethod
    def of_run(
        cls, outcome: ClaimOutcome, lease: Lease, ended: Ended, written: Finish
    ) -> TickReport:
        """For a plan that this runner won and ran, with what could be written of its outcome."""
        result = ended.outcome
        return cls(
            lease.plan.spec.name,
            lease.plan.scope,
            lease.plan.plan_time,
            outcome,
            status=result.status if written is Finish.WRITTEN else None,
            rows=result.rows_affected if isinstance(result, Success) else None,
            duration_ms=ended.duration_ms,
            attempt=lease.attempt,
            error_code=result.error_code,
            error_msg=None if isinstance(result, Success) else result.error_msg,
        )

    def log_fields(self) -> dict[str, object]:
        return {
            "status": self.status,
            "rows": self.rows,
            "duration_ms": self.duration_ms,
            "error_code": self.error_code,
            "error": self.error_msg,
        }
