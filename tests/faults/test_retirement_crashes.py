"""kill -9 and a restart of the database at every point of the protocol.

Afterwards the job either exists and nothing says that it was retired, or it is gone and everything
says so; with everything in one database, and with our tables, pg_cron and Multica in one each.
`bin/audit crashes` tries every act at every point.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from executions.database.connections import Connection
from executions.database.connections import connect as open_connection
from executions.rollup.provision import provision
from multica_admin import embedded
from multica_admin.cluster import Cluster
from tests.conftest import postgresql_with_pg_cron
from tests.emptying import empty_multica
from tests.retiring import clean, jobs, lay_plans, schedule
from tests.rights import let_read
from tests.sizes import few, sized
from tests.waiting import until

POINTS = ["intended", "signed", "verified", "changed", "proved", "committed", "concluded"]
# Before the acting transaction, in its middle with the job changed, and after it: what is tried at
# each of these differs in kind. A removal by a process that is killed is tried at every point.
KINDS_OF_POINT = ["intended", "changed", "committed"]
SOME_POINTS = sized(KINDS_OF_POINT, POINTS)
# From these points on the acting transaction is committed.
ACTED = ["committed", "concluded"]
ROOT = Path(__file__).parents[2]
OURS = "executions_act, executions_retirement, executions_auditevent, auth_user"


@dataclass(frozen=True)
class Places:
    """The databases of our tables and of pg_cron; Multica's is ``multica``."""

    ours: str
    pg_cron: str


class Process:
    """The other process, asked one thing at a time."""

    def __init__(self, places: Places, cluster: Cluster) -> None:
        def url(user: str, database: str = "multica") -> str:
            return f"host={cluster.socket_directory} dbname={database} user={user}"

        environment = {
            "DJANGO_SETTINGS_MODULE": "multica_admin.settings",
            "SECRET_KEY": "only-for-tests",
            "VAR_DIR": str(cluster.data.parent / "var"),
            "LOG_FORMAT": "json",
            "PATH": os.environ["PATH"],
            "DATABASE_URL": url("multica_view"),
            "RUNNER_DATABASE_URL": url("multica"),
            "RETIRE_DATABASE_URL": url("postgres", places.pg_cron),
            "ADMIN_DATABASE_URL": url("multica_admin", places.ours),
        }
        subprocess.run(
            [sys.executable, "manage.py", "migrate", "--verbosity", "0"],
            cwd=ROOT, env=environment, check=True,
        )  # fmt: skip
        self.running = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.retiring_process"],
            cwd=ROOT, env=environment, text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert "ready" in self.answer()

    def answer(self) -> dict[str, Any]:
        assert self.running.stdout is not None
        line = self.running.stdout.readline()
        return dict(json.loads(line))

    def tell(self, **command: Any) -> dict[str, Any]:
        assert self.running.stdin is not None
        self.running.stdin.write(json.dumps(command) + "\n")
        return self.answer()

    def go_on(self) -> dict[str, Any]:
        assert self.running.stdin is not None
        self.running.stdin.write("\n")
        return self.answer()

    def end(self) -> None:
        self.running.kill()
        self.running.communicate()


PLACES = {
    "one database": Places("multica", "multica"),
    "three databases": Places("elsewhere", "postgres"),
}


# A pause and a put-back reach the databases as a removal does, which is tried in every place.
in_some_places = pytest.mark.parametrize("places", few(list(PLACES), 1), indirect=True)


@pytest.fixture(scope="module", params=PLACES)
def places(request: pytest.FixtureRequest) -> Places:
    return PLACES[request.param]


@pytest.fixture(scope="module")
def private(places: Places) -> Iterator[Cluster]:
    """A cluster that may be restarted while other tests' is not."""
    with tempfile.TemporaryDirectory(prefix="multica-admin-crash-") as folder:
        Path(folder).chmod(0o711)
        data = Path(folder) / "postgres"
        cluster = Cluster(
            data,
            postgresql_with_pg_cron(),
            {
                "fsync": "off",
                "shared_preload_libraries": "pg_cron",
                "cron.database_name": places.pg_cron,
                "cron.host": str(Path(folder) / "socket"),
            },
        )
        cluster.start()
        try:
            # pg_cron is made below, where this server's is.
            bare = replace(cluster.binaries, has_pg_cron=False)
            embedded.prepare(replace(cluster, binaries=bare))
            with open_connection(
                cluster.conninfo("multica", "multica"), application_name="provision"
            ) as connection:
                provision(connection)
                let_read(connection)
            with superuser_of(cluster, "postgres") as connection:
                connection.execute("CREATE DATABASE elsewhere OWNER multica_admin")
            with superuser_of(cluster, places.pg_cron) as connection:
                connection.execute("CREATE EXTENSION pg_cron")
            yield cluster
        finally:
            cluster.stop(mode="immediate")


def superuser_of(cluster: Cluster, database: str = "multica") -> Connection:
    return open_connection(cluster.conninfo(database, "postgres"), application_name="test")


@pytest.fixture(scope="module")
def process(places: Places, private: Cluster) -> Iterator[Process]:
    process = Process(places, private)
    yield process
    process.end()


class World:
    """A confirmed retirement of a real job, and the process that acts on it."""

    def __init__(self, private: Cluster, process: Process, places: Places) -> None:
        self.private, self.process, self.places = private, process, places
        with superuser_of(private) as connection:
            lay_plans(connection)
        with superuser_of(private, places.pg_cron) as connection:
            self.jobid = schedule(connection)
        told = process.tell(do="confirm", jobid=self.jobid)
        self.retirement = told["retirement"]

    def act(self, kind: str = "remove", **how: str) -> dict[str, Any]:
        return self.process.tell(do="act", kind=kind, retirement=self.retirement, **how)

    def wait(self, point: str, kind: str = "remove") -> int:
        """Begin the act and stop there; the process id of who waits."""
        told = self.act(kind, wait_at=point)
        assert told["reached"] == point
        return int(told["pid"])

    def look(self) -> dict[str, Any]:
        return self.process.tell(do="look", retirement=self.retirement)

    def settled(self) -> dict[str, Any]:
        """Look until the dead process's backend has ended too, which takes a moment."""

        def known() -> dict[str, Any] | None:
            seen = self.look()
            return None if any(outcome is None for _kind, outcome in seen["acts"]) else seen

        return until(known) or {}

    def jobs(self) -> dict[int, dict[str, Any]]:
        with superuser_of(self.private, self.places.pg_cron) as connection:
            return jobs(connection)

    def restart_at(self, point: str, kind: str) -> dict[str, Any]:
        """Begin the act, restart the database at that point, and let the act continue."""
        self.wait(point, kind)
        self.private.stop(mode="immediate")
        self.private.start()
        return self.process.go_on()

    def is_told_truly(self, kind: str = "remove") -> bool:
        """Check that the record and the audit are true; return whether the act was done."""
        seen = self.settled()
        outcomes = [outcome for act, outcome in seen["acts"] if act == kind]
        audited = [outcome for act, outcome in seen["audit"] if act == kind]
        assert audited[0] == "intended"
        assert len(audited) == 2, "one intent, one outcome"
        assert audited[1] == outcomes[-1]
        return audited[1] == "done"


@pytest.fixture
def world(private: Cluster, process: Process, places: Places) -> Iterator[World]:
    yield World(private, process, places)
    with superuser_of(private, places.pg_cron) as connection:
        clean(connection)
    with superuser_of(private) as connection:
        empty_multica(connection)
    with superuser_of(private, places.ours) as connection:
        # The audit refuses that, until the owner of the table or a superuser removes the trigger.
        refuses = "TRIGGER audit_refuses_truncate"
        connection.execute(
            f"SET search_path = multica_admin;"
            f" ALTER TABLE executions_auditevent DISABLE {refuses};"
            f" TRUNCATE {OURS} CASCADE;"
            f" ALTER TABLE executions_auditevent ENABLE ALWAYS {refuses}"
        )


def check_removal(world: World, point: str) -> None:
    gone = world.jobid not in world.jobs()
    assert world.is_told_truly() is gone
    assert gone is (point in ACTED)
    assert world.look()["state"] == ("watching" if gone else "confirmed")


@pytest.mark.parametrize("point", POINTS)
def test_after_kill_9_the_record_says_what_is_so(world, point):
    assert world.act(die_at=point) == {"killed": signal.SIGKILL}
    check_removal(world, point)


@pytest.mark.parametrize("point", SOME_POINTS)
def test_after_a_restart_of_the_database_the_record_says_what_is_so(world, point):
    world.restart_at(point, "remove")
    gone = world.jobid not in world.jobs()
    assert world.is_told_truly() is gone
    if point in {"signed", "verified", "changed", "proved"}:
        assert not gone
    if point in ACTED:
        assert gone


@pytest.mark.parametrize("point", ["signed", "changed", "committed"])
def test_after_both_at_once_the_record_says_what_is_so(world, point):
    """The server goes down while the process waits, and the process is killed before it is back."""
    waiting = world.wait(point)
    world.private.stop(mode="immediate")
    os.kill(waiting, signal.SIGKILL)
    assert world.process.answer() == {"killed": signal.SIGKILL}
    world.private.start()
    check_removal(world, point)


@in_some_places
@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_pause_and_its_end_survive_kill_9(world, point):
    world.act("pause", die_at=point)
    paused = not world.jobs()[world.jobid]["active"]
    assert world.is_told_truly("pause") is paused is (point in ACTED)
    if not paused:
        assert world.act("pause")["told"] == "done"
    world.act("activate", die_at=point)
    active = world.jobs()[world.jobid]["active"]
    assert world.is_told_truly("activate") is active is (point in ACTED)
    assert world.look()["state"] == ("trial_ended" if active else "trial")


@in_some_places
@pytest.mark.parametrize("point", SOME_POINTS)
def test_a_pause_and_its_end_survive_a_restart_of_the_database(world, point):
    world.restart_at(point, "pause")
    paused = not world.jobs()[world.jobid]["active"]
    assert world.is_told_truly("pause") is paused
    if not paused:
        assert world.act("pause")["told"] == "done"
    world.restart_at(point, "activate")
    active = world.jobs()[world.jobid]["active"]
    assert world.is_told_truly("activate") is active
    assert world.look()["state"] == ("trial_ended" if active else "trial")


@in_some_places
@pytest.mark.parametrize("point", SOME_POINTS)
def test_putting_back_survives_a_restart_of_the_database(world, point):
    before = world.jobs()[world.jobid]
    assert world.act()["told"] == "done"
    world.restart_at(point, "put_back")
    after = world.jobs()
    assert world.is_told_truly("put_back") is bool(after)
    if not after:
        assert world.act("put_back")["told"] == "done"
    [(jobid, row)] = world.jobs().items()
    assert world.look()["put_back_jobid"] == jobid
    assert {**row, "jobid": None} == {**before, "jobid": None}


@in_some_places
@pytest.mark.parametrize("point", SOME_POINTS)
def test_putting_back_survives_kill_9_and_never_schedules_twice(world, point):
    before = world.jobs()[world.jobid]
    assert world.act()["told"] == "done"
    world.act("put_back", die_at=point)
    after = world.jobs()
    assert world.is_told_truly("put_back") is bool(after) is (point in ACTED)
    if not after:
        assert world.act("put_back")["told"] == "done"
    [(jobid, row)] = world.jobs().items()
    assert world.look()["put_back_jobid"] == jobid
    assert {**row, "jobid": None} == {**before, "jobid": None}


def test_nobody_settles_what_is_still_being_done(world):
    """While the acting transaction is open, looking leaves it alone; then it goes on to its end."""
    other = Process(world.places, world.private)
    try:
        world.wait("changed")
        seen = other.tell(do="look", retirement=world.retirement)
        assert seen["acts"] == [["remove", None]]
        assert world.process.go_on() == {"told": "done"}
    finally:
        other.end()
    assert world.is_told_truly()
