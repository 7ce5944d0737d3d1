"""Two web replicas and one `runrollup` on one database, killed and started anew, for bin/audit.

People keep asking meanwhile, at a bounded pace. A client takes the other replica where one refuses
the connection, as a proxy in front does. Its name keeps pytest from collecting it by itself.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import os
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import dataclass
from time import monotonic

import psutil
import pytest
from django.conf import settings
from django.test import Client

from tests.faults.history import broken_rules
from tests.faults.replicas import JOB
from tests.faults.test_replicas import (
    assert_no_gap,
    contest,
    overlapping_attempts,
    settle,
    unfinished_successes,
)
from tests.faults.test_web_processes import serves
from tests.people import make_user
from tests.processes import PROJECT, free_port
from tests.scheduling import executions
from tests.waiting import HANG, until

__all__ = ["contest"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ROUNDS = 3
PEOPLE = 4
PAUSE = 0.1  # between two requests of a person
BETWEEN = 2.0  # seconds between a start and the next kill
PATHS = ("/", "/executions/", "/schedules/", "/rollup/")


@dataclass(frozen=True)
class Asked:
    """One request: which replica, from when to when, and the status or None if it broke."""

    replica: int
    began: float
    ended: float
    status: int | None


class Replica:
    """A command of ours with all its processes."""

    def __init__(self, log, environment, *arguments):
        self._options = {"cwd": PROJECT, "env": os.environ | environment, "stderr": log}
        self._arguments = arguments
        self.kills = []
        self.start()

    def start(self):
        self._process = subprocess.Popen([sys.executable, *self._arguments], **self._options)

    def kill(self):
        """``kill -9`` of the first process and of those that it started; all are gone then."""
        first = psutil.Process(self._process.pid)
        everybody = [first, *first.children(recursive=True)]
        began = monotonic()
        for process in everybody:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(everybody, timeout=HANG)
        self._process.wait(HANG)
        self.kills.append((began, monotonic()))


class People(threading.Thread):
    """One signed-in person who opens page after page, at either replica in turn."""

    def __init__(self, ports, cookie):
        super().__init__(daemon=True)
        self._ports, self._cookie = ports, cookie
        self.asked = []
        self.over = threading.Event()

    def run(self):
        for number, path in enumerate(itertools.cycle(PATHS)):
            if self.over.wait(PAUSE):
                return
            turn = number % len(self._ports)
            for replica in (turn, 1 - turn):
                if self._reaches(replica, path):
                    break

    def _reaches(self, replica, path):
        """Whether the replica took the connection; what came of it is noted."""
        connection = http.client.HTTPConnection("127.0.0.1", self._ports[replica], timeout=HANG)
        with closing(connection):
            try:
                connection.connect()
            except ConnectionRefusedError:
                return False
            began, status = monotonic(), None
            with contextlib.suppress(OSError, http.client.HTTPException):
                headers = {"Cookie": self._cookie, "Accept": "text/html"}
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                answer.read()
                status = answer.status
            self.asked.append(Asked(replica, began, monotonic(), status))
            return True


@pytest.fixture
def log(tmp_path):
    with (tmp_path / "replicas.log").open("w+") as file:
        yield file


def test_nothing_is_lost_while_each_replica_is_killed_and_started_in_turn(
    contest, log, slow, reach
):
    environment = {
        "ROLLUP_SCHEDULER": "on",
        "WEB_CONCURRENCY": "2",
        "CONTEST": "harm",
        "CONTEST_SLOWNESS": str(slow),
    }
    ports = [free_port(), free_port()]
    replicas = [
        Replica(
            *(log, environment, "-m", "gunicorn", "--config", "python:tests.faults.replicas"),
            *("--bind", f"127.0.0.1:{port}", "multica_admin.wsgi:application"),
        )
        for port in ports
    ]
    runner = Replica(log, environment, "-m", "tests.faults.replicas")
    everybody = [*replicas, runner]
    client = Client()
    client.force_login(make_user("vera"))
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    people = [People(ports, f"{session.key}={session.value}") for _ in range(PEOPLE)]
    try:
        until(lambda: all(map(serves, ports)) and executions(contest))
        for person in people:
            person.start()
        for victim in everybody * ROUNDS:
            threading.Event().wait(BETWEEN * slow)
            victim.kill()
            victim.start()
            until(lambda: all(map(serves, ports)))
        for person in people:
            person.over.set()
            person.join(HANG)
    finally:
        for one in everybody:
            one.kill()
    asked = [one for person in people for one in person.asked]
    broken = [one for one in asked if one.status is None]
    assert {one.status for one in asked} <= {200, None}
    assert len(asked) - len(broken) > 10 * len(everybody) * ROUNDS
    for one in broken:  # only what was under way when its replica was killed
        kills = replicas[one.replica].kills
        assert any(one.began <= gone and began <= one.ended for began, gone in kills), one
    assert len(broken) <= PEOPLE * len(replicas) * ROUNDS
    settle(contest, reach, slow)
    rows = [row for row in executions(contest) if row["job_name"] == JOB]
    assert_no_gap(rows)
    for row in rows:
        assert row["status"] == "SUCCESS" or row["attempt"] == row["max_attempts"]
    assert len({row["runner_id"] for row in rows}) > len(everybody)
    assert broken_rules(contest) == []
    assert overlapping_attempts(contest) == []
    assert unfinished_successes(contest) == []
