"""Runners that a test drives tick by tick, and rows that others have left for them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from uuid import uuid4

from executions.scheduler import leases
from executions.scheduler.leases import Failure, Plan
from executions.scheduler.plans import floor
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import ErrorCode, Scope
from tests.waiting import HANG

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MAIN = "multica-admin runner"
HANDLER = "multica-admin test_job"
EVERYWHERE = Scope()


@contextmanager
def ticking(runner):
    """A tick in a thread of its own; gives its future."""
    with ThreadPoolExecutor(1) as pool, runner:
        yield pool.submit(runner.tick)


def ours(reach, *specs, **options):
    return JobRunner(specs, reach, runner_id="ours", **options)


def one_tick(reach, *specs):
    with ours(reach, *specs) as runner:
        return runner.tick()


def bucket(connection, cadence=DAY):
    return floor(connection.execute("SELECT now() AS now").fetchone()["now"], cadence)


def begin(connection, spec, plan_time, runner_id="other", scope=EVERYWHERE):
    plan = Plan(spec, scope, plan_time)
    return leases.claim(connection, plan, runner_id=runner_id, new_id=uuid4()).lease


def fail(connection, spec, plan_time):
    lease = begin(connection, spec, plan_time)
    leases.finish(connection, lease, Failure(ErrorCode.HANDLER_ERROR, "no luck"), 1)


def no_thread_beats():
    """Whether every heartbeat of this process has ended, or does in time."""
    for thread in threading.enumerate():
        if thread.name == "heartbeat":
            thread.join(HANG)
    return "heartbeat" not in [thread.name for thread in threading.enumerate()]
