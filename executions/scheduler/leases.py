"""Leases on plans: the only place where a running system writes ``sys_cron_executions``.

Every function sends one statement on a connection in autocommit, or two for a claim that meets a
stored plan. `plans.py` and `runner.py` decide when. Every write after the claim is guarded by the
row's id, the lease_token and RUNNING, so after a lost lease nothing can be written. Source:
docs/contract.md section 3.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any
from uuid import UUID

from executions.database.connections import Connection
from executions.database.sql import load
from executions.scheduler import bounds
from executions.scheduler.clock import elapsed
from executions.scheduler.spec import ErrorCode, JobSpec, Scope, Standing, Taken

SQL = load("leases")

STALE_MESSAGE = "The lease expired without a heartbeat; the runner died, hung or lost the database."


class ClaimOutcome(StrEnum):
    """The result of an attempt to claim a plan."""

    WON = "WON"
    RETRIED = "RETRIED"
    STOLEN = "STOLEN"
    CONFLICT = "CONFLICT"


class Finish(Enum):
    """The result of the terminal write: it is stored, or as far as we know nothing was written.

    Nothing is written if the lease was lost, or if the runner had to end first.
    """

    WRITTEN = "written"
    LEASE_LOST = "lease lost"
    GIVEN_UP = "given up"


@dataclass(frozen=True)
class Plan:
    """One plan of one job, as identified by the table's unique constraint."""

    spec: JobSpec
    scope: Scope
    plan_time: datetime

    def key(self) -> dict[str, object]:
        return {
            "job_name": self.spec.name,
            "scope_kind": self.scope.kind,
            "scope_id": self.scope.id,
            "plan_time": self.plan_time,
        }


@dataclass(frozen=True)
class Lease:
    """Ownership of a plan. ``expires`` is in seconds on the clock of `clock.py`.

    It counts from before the statement was sent, so it is never later than the database's
    ``stale_after``.
    """

    plan: Plan
    runner_id: str
    id: UUID
    token: UUID
    attempt: int
    expires: float

    def guard(self) -> dict[str, object]:
        return {"id": self.id, "lease_token": self.token}

    def log_fields(self) -> dict[str, object]:
        """The fields of every log line about this attempt."""
        return {
            "runner": self.runner_id,
            "job": self.plan.spec.name,
            "scope": str(self.plan.scope),
            "plan_time": rfc3339(self.plan.plan_time),
            "attempt": self.attempt,
        }


@dataclass(frozen=True)
class Claim:
    """The answer to a claim. A CONFLICT has no lease, but ``status`` and ``holder`` if known."""

    outcome: ClaimOutcome
    plan: Plan
    lease: Lease | None = None
    status: str | None = None
    holder: str | None = None


@dataclass(frozen=True)
class Success:
    """What a handler achieved. ``result`` is JSON text within its limit."""

    rows_affected: int | None
    result: str
    status: str = "SUCCESS"
    error_code: None = None


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed. The text is cut to its limit on creation."""

    error_code: ErrorCode
    error_msg: str
    status: str = "FAILED"

    def __post_init__(self) -> None:
        object.__setattr__(self, "error_msg", bounds.error_text(self.error_msg))


def read_standings(
    connection: Connection, spec: JobSpec, scopes: Sequence[Scope]
) -> list[Standing]:
    """Where the job stands in each of these scopes, in their order, with the database's time."""
    rows = connection.execute(
        SQL.standing,
        {
            "job_name": spec.name,
            "scope_kinds": [scope.kind for scope in scopes],
            "scope_ids": [scope.id for scope in scopes],
            "window": spec.schedule_delay + spec.catch_up_window,
            "reentry": spec.allow_stale_reentry,
            "most": spec.max_plans_per_tick or None,
        },
    )
    return [_standing(row) for row in rows]


def _standing(row: dict[str, Any]) -> Standing:
    free = row["newest"] is None or row["may_be_claimed"]
    taken = None if free else Taken(row["status"], row["runner_id"])
    return Standing(row["now"], row["newest"], row["retryable"], taken)


def foreseen_conflict(plan: Plan, standing: Standing) -> Claim | None:
    """The CONFLICT that the standing already proves; None if the claim must be tried."""
    if standing.taken is None or plan.plan_time != standing.newest:
        return None
    taken = standing.taken
    return Claim(ClaimOutcome.CONFLICT, plan, status=taken.status, holder=taken.holder)


def sweep(connection: Connection, spec: JobSpec) -> list[dict[str, Any]]:
    """Close the job's abandoned executions as FAILED/stale_timeout, and return them.

    Retry time and token stay as they are, so that such a plan can be retried at once.
    """
    return connection.execute(
        SQL.sweep, {"job_name": spec.name, "message": STALE_MESSAGE}
    ).fetchall()


def claim(connection: Connection, plan: Plan, *, runner_id: str, new_id: UUID) -> Claim:
    """Try to own a plan: begin it, or take over a failed or stale one.

    ``new_id`` becomes the row's id if the plan is begun. If the answer to a claim was lost, send
    the same id again: a RUNNING row with that id was begun by the lost claim.
    """
    spec = plan.spec
    parameters = plan.key() | {
        "id": new_id,
        "max_attempts": spec.max_attempts,
        "runner_id": runner_id,
        "stale_timeout": spec.stale_timeout,
        "reentry": spec.allow_stale_reentry,
    }
    sent = elapsed()
    begun = connection.execute(SQL.claim, parameters).fetchone()
    if begun:
        expires = sent + spec.stale_timeout.total_seconds()
        lease = Lease(plan, runner_id, begun["id"], begun["lease_token"], 1, expires)
        return Claim(ClaimOutcome.WON, plan, lease)
    return _take_over(connection, plan, parameters, runner_id)


def _take_over(
    connection: Connection, plan: Plan, parameters: dict[str, object], runner_id: str
) -> Claim:
    sent = elapsed()
    row = connection.execute(SQL.take_over, parameters).fetchone()
    if row is None:  # the row was deleted after the insert met it
        return Claim(ClaimOutcome.CONFLICT, plan)
    if row["taken"]:
        outcome = ClaimOutcome.STOLEN if row["status"] == "RUNNING" else ClaimOutcome.RETRIED
        expires = sent + plan.spec.stale_timeout.total_seconds()
        lease = Lease(plan, runner_id, row["id"], row["taken"], row["taken_attempt"], expires)
        return Claim(outcome, plan, lease)
    begun_by_us = row["id"] == parameters["id"] and row["attempt"] == 1
    if begun_by_us and row["status"] == "RUNNING" and row["seconds_left"] > 0:
        expires = sent + row["seconds_left"]
        lease = Lease(plan, runner_id, row["id"], row["lease_token"], 1, expires)
        return Claim(ClaimOutcome.WON, plan, lease)
    return Claim(ClaimOutcome.CONFLICT, plan, status=row["status"], holder=row["runner_id"])


def begun(connection: Connection, plan: Plan, *, runner_id: str, new_id: UUID) -> Lease | None:
    """The lease of a claim whose answer was lost, if the claim was won and the lease lives.

    A claim that is still under way may win later, so None is not final.
    """
    sent = elapsed()
    row = connection.execute(SQL.begun, {"id": new_id}).fetchone()
    if row is None:
        return None
    return Lease(plan, runner_id, new_id, row["lease_token"], 1, sent + row["seconds_left"])


def heartbeat(connection: Connection, lease: Lease) -> bool:
    """Extend the lease by the stale timeout. Return False if the lease is lost."""
    parameters = lease.guard() | {"stale_timeout": lease.plan.spec.stale_timeout}
    return connection.execute(SQL.heartbeat, parameters).fetchone() is not None


def finish(
    connection: Connection, lease: Lease, outcome: Success | Failure, duration_ms: int
) -> Finish:
    """Write the outcome of the attempt, unless the lease was lost.

    It may be sent again after any failure: a write that was committed before its answer was lost
    counts as written. The job's own maximum decides whether attempts remain.
    """
    parameters = lease.guard() | {"duration_ms": duration_ms, "error_code": outcome.error_code}
    if isinstance(outcome, Success):
        query = SQL.succeed
        parameters |= {"rows_affected": outcome.rows_affected, "result": outcome.result}
    else:
        query = SQL.fail
        backoff = lease.plan.spec.backoff_after(lease.attempt)
        parameters |= {"error_msg": outcome.error_msg, "backoff": backoff}
    if connection.execute(query, parameters).fetchone():
        return Finish.WRITTEN
    landed = connection.execute(SQL.landed, parameters | {"status": outcome.status}).fetchone()
    return Finish.LEASE_LOST if landed is None else Finish.WRITTEN


def rfc3339(moment: datetime) -> str:
    """The moment in UTC, to the second, as in results, log lines and commands."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def uuid7(moment: datetime) -> UUID:
    """A UUIDv7 (RFC 9562 section 5.7) of that moment, to the millisecond. The rest is random."""
    milliseconds = int(moment.timestamp() * 1000)
    value = milliseconds << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
