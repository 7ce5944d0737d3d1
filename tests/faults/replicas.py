"""Replica processes for the contests: `runrollup` and web processes with a job of the tests.

Run as a module it is `runrollup` with that job; as gunicorn's configuration it is the in-process
form. The job writes one row to the table ``ledger`` for each statement of a handler. Every
connection of a runner has the runner's id as its name, so that the history knows who wrote.
"""

from __future__ import annotations

import os
import secrets
import threading
from dataclasses import replace
from typing import Any

import django
import psycopg
from django.core.management import call_command
from psycopg.rows import DictRow

from executions.database.connections import Connection
from executions.scheduler import connecting
from executions.scheduler.jobs import JOBS
from executions.scheduler.leases import SQL
from executions.scheduler.spec import Context, JobSpec, Returned
from multica_admin.gunicorn import *  # noqa: F403  gunicorn reads every name of its configuration
from tests.short_jobs import every_plan, seconds

JOB = "contest"
STEPS = 6
LEASE = 1.5  # seconds on an idle machine
# A success takes this long to send, so that a runner that is stopped meanwhile still has it to
# send.
SECONDS_TO_SUCCEED = 0.3  # times SLOWNESS

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
    """A few writes with pauses between them, so that a process can be stopped inside.

    A later attempt takes longer, so that it is still running when the runner that lost the plan
    wakes up.
    """
    for step in range(STEPS):
        context.connection.execute(STEP, [context.plan_time, context.attempt, step, os.getpid()])
        context.cancelled.wait(0.04 if context.attempt == 1 else 0.08)
    return STEPS, {"pid": os.getpid()}


PEACE = every_plan(name=JOB, handler=work, catch_up_window=seconds(600))

# How many times slower than an idle machine this one is. The limits of the harm grow with it.
SLOWNESS = float(os.environ.get("CONTEST_SLOWNESS", "1"))


def harm(slowness: float) -> JobSpec:
    """The job for a contest with harm, at the pace of this machine.

    Like the rollup's, the run timeout is shorter than the stale timeout by more than a heartbeat.
    So the server itself ends the session of a stopped process before another runner may steal its
    lease.
    """
    return replace(
        PEACE,
        run_timeout=seconds(0.8 * slowness),
        stale_timeout=seconds(LEASE * slowness),
        heartbeat_interval=seconds(0.3 * slowness),
        max_attempts=5,
        retry_backoff=(seconds(0.2),),
    )


def chosen() -> JobSpec:
    return harm(SLOWNESS) if os.environ.get("CONTEST") == "harm" else PEACE


class SlowToSucceed(psycopg.Cursor[DictRow]):
    """Sends a success late, like a runner on a busy machine."""

    def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
        if query == SQL.succeed:
            threading.Event().wait(SECONDS_TO_SUCCEED * SLOWNESS)
        return super().execute(query, *arguments, **options)


def name_the_runner() -> str:
    """Give this process's runner an id of its own, use it to name its connections, and return it.

    The pid has the same place in it as in `new_runner_id`.
    """
    name = f"runner-{os.getpid()}-{secrets.token_hex(3)}"
    connect = connecting.connect_runner

    def connect_by_name(_application_name: str) -> Connection:
        connection = connect(name)
        connection.cursor_factory = SlowToSucceed
        return connection

    connecting.connect_runner = connect_by_name
    return name


def post_worker_init(worker: Any) -> None:
    name = name_the_runner()
    from executions.scheduler import inprocess  # noqa: PLC0415  Django is set up only now

    inprocess.new_runner_id = lambda: name
    inprocess.start(grace_seconds=worker.cfg.graceful_timeout, specs=[chosen()], tick_seconds=0.3)
    # As the product's own hook does. Otherwise the process would not wait for its current run.
    worker.inprocess = inprocess


def main() -> None:
    django.setup()
    JOBS.clear()
    JOBS[JOB] = chosen()
    call_command("runrollup", "--tick-interval", "0.3", "--runner-id", name_the_runner())


if __name__ == "__main__":
    main()
