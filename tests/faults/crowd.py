"""A crowd before the real product, for bin/audit: gunicorn with two processes, for a minute.

One viewer watches, then two hundred, at the pages' own pace. PostgreSQL's own log counts its
statements. It takes three minutes, and its name keeps pytest from collecting it by itself.
"""

from __future__ import annotations

import http.client
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connections
from django.test import Client

from executions.accounts.watchers import LOOK_SECONDS
from executions.health import snapshots
from tests import scenarios
from tests.faults.test_web_processes import serves, web
from tests.people import make_user
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SECONDS = 60
PACE = 15
VIEWERS = 200
THREADS = 8
ROLES = ("multica_view", "multica_admin")
PROCESSES = 2
# The most readings of each process in a minute, however many people watch.
READINGS = PROCESSES * (SECONDS / PACE + 1)
LOOKS = PROCESSES * (SECONDS / LOOK_SECONDS + 1)
# The session, the user, and whether the connection still lives.
STATEMENTS_OF_A_LOOK = 3
# This many may still meet the other process for the first time, which costs a look.
NEWCOMERS = VIEWERS // 10
STATEMENT = re.compile(r"(?m)^(\w+) LOG:  (?:statement|execute [^:]*): (?!BEGIN|COMMIT|SET)")


@pytest.fixture
def asked(superuser, cluster):
    """Counts the statements of each of the dashboard's roles while something goes on."""
    superuser.execute("ALTER SYSTEM SET log_line_prefix = '%u '")
    superuser.execute("SELECT pg_reload_conf()")
    for role in ROLES:
        superuser.execute(f"ALTER ROLE {role} SET log_statement = 'all'")
    connections["multica"].close_pool()

    def during(act):
        since = cluster.log.stat().st_size
        act()
        with cluster.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(since)
            return Counter(STATEMENT.findall(log.read()))

    yield during
    connections["multica"].close_pool()
    for role in ROLES:
        superuser.execute(f"ALTER ROLE {role} RESET log_statement")
    superuser.execute("ALTER SYSTEM RESET log_line_prefix")
    superuser.execute("SELECT pg_reload_conf()")


def cookies(count):
    user = make_user("crowd")
    clients = [Client() for _number in range(count)]
    for client in clients:
        client.force_login(user)
    name = settings.SESSION_COOKIE_NAME
    return [f"{name}={client.cookies[name].value}" for client in clients]


class Crowd:
    """Browsers with the overview open, each refreshing at its own time of the pace."""

    def __init__(self, port, viewers):
        self._port = port
        self._versions = dict.fromkeys(viewers, "")
        self.answers = Counter()

    def refresh(self, viewer):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HANG)
        headers = {"Cookie": viewer, "HX-Request": "true"}
        if self._versions[viewer]:
            headers["X-Data-Version"] = self._versions[viewer]
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        self.answers[answer.status] += 1
        self._versions[viewer] = answer.headers.get("X-Data-Version", "")

    def refresh_all(self):
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(self.refresh, list(self._versions)))

    def watch(self):
        viewers, end = list(self._versions), time.monotonic() + SECONDS
        with ThreadPoolExecutor(THREADS) as threads:
            shares = [viewers[at::THREADS] for at in range(THREADS)]
            list(threads.map(lambda share: self._some(share, end), shares))

    def _some(self, viewers, end):
        while viewers and (began := time.monotonic()) < end:
            for number, viewer in enumerate(viewers):
                turn = began + PACE * number / len(viewers)
                time.sleep(max(0.0, turn - time.monotonic()))
                self.refresh(viewer)
            time.sleep(max(0.0, min(began + PACE, end) - time.monotonic()))


def test_two_hundred_viewers_for_a_minute_ask_what_one_asks(owner, asked):
    scenarios.healthy(owner)
    viewers = cookies(VIEWERS)
    one_reading = asked(snapshots.take)["multica_view"]
    with web(WEB_CONCURRENCY=str(PROCESSES), ROLLUP_SCHEDULER="off") as (_server, port):
        until(lambda: serves(port))
        one, all_of_them = Crowd(port, viewers[:1]), Crowd(port, viewers)
        # Both processes meet everybody, as they would within minutes.
        for _round in range(12):
            all_of_them.refresh_all()
        idle = asked(lambda: time.sleep(PACE))
        alone = asked(one.watch)
        together = asked(all_of_them.watch)
    assert set(all_of_them.answers) <= {200, 204}
    assert sum(all_of_them.answers.values()) >= VIEWERS * SECONDS / PACE
    for watched in (alone, together):
        assert 0 < watched["multica_view"] <= one_reading * READINGS
        of_people = watched["multica_admin"] - idle["multica_admin"] * SECONDS / PACE
        assert of_people <= STATEMENTS_OF_A_LOOK * (LOOKS + 2 * NEWCOMERS), (idle, alone, together)
