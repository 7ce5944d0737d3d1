"""The statements on a lease, as the tests send them."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from executions.scheduler import leases
from executions.scheduler.leases import Failure, Lease, Success
from executions.scheduler.spec import ErrorCode

HOUR = timedelta(hours=1)
DONE = Success(7, '{"a":1}')
BROKEN = Failure(ErrorCode.HANDLER_ERROR, "no luck")


def database_now(connection):
    return connection.execute("SELECT now()").fetchone()["now"]


def claim(connection, plan, runner_id="first", new_id=None):
    return leases.claim(connection, plan, runner_id=runner_id, new_id=new_id or uuid4())


def take_over(connection, plan):
    """The second statement of a claim alone, as after an insert that met a stored plan."""
    parameters = plan.key() | {"id": uuid4(), "runner_id": "second", "reentry": True}
    parameters["stale_timeout"] = plan.spec.stale_timeout
    return leases._take_over(connection, plan, parameters, "second")


def won(connection, plan, runner_id="first") -> Lease:
    lease = claim(connection, plan, runner_id).lease
    assert lease is not None
    return lease
