"""pg_cron itself runs the job, in both of its ways, and the wizard tells whose run it is.

A rival holds the state row, which stops a run in its middle while the run holds lock 4246. Both
clusters wait for the same minute, unless it begins between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from executions.database.connections import Connection, connect
from executions.database.reading import fetch_on
from executions.pgcron.inventory import read_inventory
from executions.pgcron.job import Candidate
from executions.retirement.facts import PlanFacts, judge
from executions.retirement.gates.gate import GateCode
from executions.retirement.rules import current
from multica_admin.cluster import Cluster
from tests import environment
from tests.retiring import clean, schedule
from tests.waiting import HANG, until

EVERY_MINUTE = "* * * * *"
A_MINUTE_AND_SOME = 60 + HANG


@dataclass
class World:
    """A database with two jobs that differ only in when they run: every minute, and not now."""

    database: Connection
    background_workers: bool
    runs: int
    waits: int

    def candidate(self, jobid: int) -> Candidate:
        fetch = fetch_on(self.database)
        inventory = read_inventory(fetch, fetch)
        assert inventory.server is not None
        assert inventory.server.background_workers is self.background_workers
        found = inventory.candidate(jobid)
        assert found is not None
        return found

    def is_free(self, jobid: int) -> bool:
        """Whether the gate lets the job be retired."""
        check = judge(jobid, self.candidate(jobid), "postgres", PlanFacts(None), current())
        return check.gate(GateCode.NO_RUN_IN_FLIGHT).passed

    def held(self) -> list[int]:
        """The process that holds lock 4246, once the run details name it as a current run."""
        rows = self.database.execute(
            "SELECT pid FROM pg_locks JOIN cron.job_run_details ON job_pid = pid"
            " WHERE locktype = 'advisory' AND granted AND (classid, objid, objsubid) = (0, 4246, 1)"
            " AND status = 'running' AND jobid = %s",
            [self.runs],
        )
        return [row["pid"] for row in rows]

    def ended(self) -> list[str]:
        rows = self.database.execute(
            "SELECT status FROM cron.job_run_details WHERE jobid = %s AND end_time IS NOT NULL",
            [self.runs],
        )
        return [row["status"] for row in rows]


@contextmanager
def world(
    cluster: Cluster, database: str, owner: str, *, background_workers: bool
) -> Iterator[World]:
    with connect(cluster.conninfo(database), application_name="test") as superuser:
        try:
            runs = schedule(superuser, database=database, owner=owner, at=EVERY_MINUTE)
            waits = schedule(superuser, name="alike", database=database, owner=owner)
            yield World(superuser, background_workers, runs, waits)
        finally:
            clean(superuser)


@contextmanager
def rollup_held(cluster: Cluster, database: str) -> Iterator[None]:
    with (
        connect(cluster.conninfo(database), application_name="rival") as rival,
        rival.transaction(),
    ):
        rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
        yield


@pytest.mark.usefixtures("owner")
def test_a_run_of_pg_crons_own_holds_up_that_job_alone_until_it_has_ended(
    cluster, with_background_workers
):
    over_libpq = (cluster, environment.DATABASE, "multica")
    in_workers = (with_background_workers, "postgres", "postgres")
    with (
        world(*over_libpq, background_workers=False) as first,
        world(*in_workers, background_workers=True) as second,
    ):
        with rollup_held(*over_libpq[:2]), rollup_held(*in_workers[:2]):
            check_the_run_in_flight(first)
            check_the_run_in_flight(second)
        check_its_end(first)
        check_its_end(second)


def check_the_run_in_flight(world: World) -> None:
    until(world.held, hang=A_MINUTE_AND_SOME)
    seen = world.candidate(world.runs)
    (running,) = seen.in_flight
    assert ([running.pid], running.jobid) == (world.held(), world.runs)
    assert not world.is_free(world.runs)
    assert world.candidate(world.waits).in_flight == ()
    assert world.is_free(world.waits)
    # With cron.log_run off no details name it, and it counts all the same.
    assert replace(running, jobid=None).may_run(seen.job)


def check_its_end(world: World) -> None:
    until(world.ended)
    until(lambda: world.is_free(world.runs))
    assert set(world.ended()) == {"succeeded"}
