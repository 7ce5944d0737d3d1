"""Retirements by rules of seconds. A backend's runner runs a plan every second and a half, or as
rarely as this machine needs to run each plan in time.

The job, pg_cron, the rollup and the scheduler are the real ones; only the settings are injected.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections

from executions.database.connections import Connection, connect
from executions.retirement import rules
from executions.retirement.rules import Rules
from executions.retirement.tick import retirement_tick
from executions.scheduler.jobs import ROLLUP, roll_up_task_usage
from executions.scheduler.plans import newest_due
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import CatchUp, Context, Returned
from multica_admin.cluster import Cluster
from tests import environment
from tests.retiring import add_plan, now
from tests.waiting import HANG, slowness

STREAK = 4
# The next look follows within tenths of a second instead of seconds.
LOOK = timedelta(milliseconds=100)


class Backend:
    """A backend's runner, with the plans that it has run before. It can be made to fail."""

    def __init__(self, cluster: Cluster) -> None:
        self._conninfo = cluster.conninfo(environment.DATABASE, "multica")
        self.broken = threading.Event()
        # A slow machine gets proportionally longer for each plan.
        cadence = slowness(cluster) * timedelta(seconds=1.5)
        self._needs_job: int | None = None
        self.spec = replace(
            ROLLUP,
            handler=self._handle,
            cadence=cadence,
            schedule_delay=timedelta(),
            catch_up=CatchUp.EVERY_PLAN,
            catch_up_window=40 * cadence,
            max_plans_per_tick=100,
            max_attempts=1,
            retry_backoff=(),
        )
        self._runner = JobRunner([self.spec], self._connect, runner_id="go-backend-1")
        self._thread = threading.Thread(target=self._runner.run, args=[0.25], daemon=True)

    def _connect(self, application_name: str) -> Connection:
        return connect(self._conninfo, application_name=application_name)

    def need(self, jobid: int) -> None:
        """Fail from the moment at which that pg_cron job is paused or removed."""
        self._needs_job = jobid

    def _handle(self, context: Context) -> Returned:
        if self.broken.is_set() or not self._has_what_it_needs(context.connection):
            raise RuntimeError("the backend is broken")
        return roll_up_task_usage(context)

    def _has_what_it_needs(self, connection: Connection) -> bool:
        if self._needs_job is None:
            return True
        query = "SELECT FROM cron.job WHERE jobid = %s AND active"
        return connection.execute(query, [self._needs_job]).rowcount == 1

    def lay_history(self, owner: Connection) -> None:
        """Write the plans up to now, each with its effect on the watermark."""
        moment = now(owner)
        newest = newest_due(self.spec, moment)
        lag, cadence = timedelta(minutes=5), self.spec.cadence
        for back in reversed(range(STREAK + 2)):
            plan = newest - back * cadence
            add_plan(owner, plan, before=plan - lag - cadence, after=plan - lag, started_at=plan)

    @contextmanager
    def running(self, owner: Connection) -> Iterator[Backend]:
        self.lay_history(owner)
        self._thread.start()
        try:
            yield self
        finally:
            self._runner.drain()
            self._thread.join(HANG)


@pytest.fixture
def short_rules(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rules]:
    """Puts the rules of seconds into force for the pages; returns them."""

    def put_into_force(backend: Backend, **others: Any) -> Rules:
        settings = {"look_every": LOOK, "try_again_every": LOOK} | others
        made = Rules(backend.spec, STREAK, **settings)
        monkeypatch.setattr(rules, "current", lambda: made)
        return made

    return put_into_force


@contextmanager
def ticking(found: Rules) -> Iterator[None]:
    """The background work of a web process, by these rules and four times a second."""
    told = threading.Event()

    def run() -> None:
        while not told.is_set():
            retirement_tick(found)
            told.wait(0.25)
        connections.close_all()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        told.set()
        thread.join(HANG)


@pytest.fixture
def backend(cluster: Cluster, owner: Connection) -> Iterator[Backend]:
    with Backend(cluster).running(owner) as found:
        yield found


__all__ = ["Backend", "backend", "short_rules", "ticking"]
