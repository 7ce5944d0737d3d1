"""Replica processes for the contests: `runrollup` and web processes with a job of the tests' own.

Run as a module it is `runrollup` with that job; named as gunicorn's configuration it gives the
in-process form. The job works on the table ``ledger``, one row for each statement of a handler.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import django
from django.core.management import call_command

from executions.scheduler.jobs import JOBS
from executions.scheduler.spec import Context, JobSpec, Returned
from multica_admin.gunicorn import *  # noqa: F403  gunicorn reads every name of its configuration
from tests.short_jobs import every_plan, seconds

JOB = "contest"
STEPS = 6

LEDGER = """
CREATE TABLE ledger (
    plan_time timestamptz NOT NULL,
    attempt   integer NOT NULL,
    step      integer NOT NULL,
    pid       integer NOT NULL,
    at        timestamptz NOT NULL DEFAULT clock_timestamp()
)
"""
STEP = "INSERT INTO ledger (plan_time, attempt, step, pid) VALUES (%s, %s, %s, %s)"


def work(context: Context) -> Returned:
    """A few writes with pauses between them, so that a process can be stopped inside."""
    for step in range(STEPS):
        context.connection.execute(STEP, [context.plan_time, context.attempt, step, os.getpid()])
        context.cancelled.wait(0.04)
    return STEPS, {"pid": os.getpid()}


PEACE = every_plan(name=JOB, handler=work, catch_up_window=seconds(600))

# The run timeout is shorter than the stale timeout by more than a heartbeat, as the rollup's is:
# so the server itself ends the session of a stopped process before anybody may steal its lease.
HARM = replace(
    PEACE,
    run_timeout=seconds(0.8),
    stale_timeout=seconds(1.5),
    heartbeat_interval=seconds(0.3),
    max_attempts=5,
    retry_backoff=(seconds(0.2),),
)


def chosen() -> JobSpec:
    return HARM if os.environ.get("CONTEST") == "harm" else PEACE


def post_worker_init(worker: Any) -> None:
    from executions.scheduler import inprocess  # noqa: PLC0415  Django is set up only now

    inprocess.start(grace_seconds=worker.cfg.graceful_timeout, specs=[chosen()], tick_seconds=0.3)


def main() -> None:
    django.setup()
    JOBS.clear()
    JOBS[JOB] = chosen()
    call_command("runrollup", "--tick-interval", "0.3")


if __name__ == "__main__":
    main()
