"""A crowd before the real product, for bin/audit: gunicorn with two processes, for a minute.

One viewer watches, then two hundred and a thousand, at the pages' own pace. All of them open the
page within one interval. PostgreSQL's own log counts its statements. It takes six minutes, and its
name keeps pytest from collecting it by itself.
"""

from __future__ import annotations

import gzip
import http.client
import re
import sys
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
CROWDS = (200, 1000)
THREADS = 8
# Seconds within which 95 of 100 requests are answered on two idle cores, first loads included.
P95 = 0.3
ROLES = ("multica_view", "multica_admin")
PROCESSES = 2
# The most readings of each process in a minute, however many people watch.
READINGS = PROCESSES * (SECONDS / PACE + 1)
LOOKS = PROCESSES * (SECONDS / LOOK_SECONDS + 1)
# The session, the user, and whether the connection still lives.
STATEMENTS_OF_A_LOOK = 3
# This many may still meet the other process for the first time, which costs a look.
NEWCOMERS = 0.1  # of all viewers
VERSION = re.compile(rb'data-live data-live-seconds="[0-9]+" data-version="(\w+)"')
STATEMENT = re.compile(r"(?m)^(\w+) LOG:  (?:statement|execute [^:]*): (?!BEGIN|COMMIT|SET)")


@pytest.fixture
def asked(superuser, cluster):
    """Counts the statements of each of the dashboard's roles during the block."""
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
        self.seconds = []

    def refresh(self, viewer):
        self._ask(viewer, {"HX-Request": "true", "X-Data-Version": self._versions[viewer]})

    def _ask(self, viewer, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=HANG)
        sent = {"Cookie": viewer, "Accept": "text/html", "Accept-Encoding": "gzip", **headers}
        connection.request("GET", "/", headers=sent)
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        self.answers[answer.status] += 1
        if not headers:
            body = gzip.decompress(body)
            self._versions[viewer] = VERSION.search(body)[1].decode()
        else:
            self._versions[viewer] = answer.headers["X-Data-Version"]

    def refresh_all(self):
        with ThreadPoolExecutor(THREADS) as threads:
            list(threads.map(self.refresh, list(self._versions)))

    def arrive(self):
        """Each viewer opens the page within one interval."""
        self._all(lambda viewer: self._ask(viewer, {}), PACE)

    def watch(self):
        self._all(self.refresh, SECONDS)

    def _all(self, ask, seconds):
        viewers, end = list(self._versions), time.monotonic() + seconds
        with ThreadPoolExecutor(THREADS) as threads:
            shares = [viewers[at::THREADS] for at in range(THREADS)]
            list(threads.map(lambda share: self._some(ask, share, end), shares))

    def _some(self, ask, viewers, end):
        while viewers and (began := time.monotonic()) < end:
            for number, viewer in enumerate(viewers):
                turn = began + PACE * number / len(viewers)
                time.sleep(max(0.0, turn - time.monotonic()))
                ask(viewer)
                # From when it wanted to ask: an answer that is late delays the next one too.
                self.seconds.append(time.monotonic() - turn)
            time.sleep(max(0.0, min(began + PACE, end) - time.monotonic()))

    def centile(self, hundredths):
        return sorted(self.seconds)[len(self.seconds) * hundredths // 100]

    def __str__(self):
        times = ", ".join(f"p{one} {1000 * self.centile(one):.0f} ms" for one in (50, 95, 99))
        return f"{len(self._versions)} viewers: {len(self.seconds)} requests, {times}"


@pytest.mark.parametrize("count", CROWDS)
def test_a_crowd_is_served_soon_and_asks_what_one_viewer_asks(owner, asked, slow, capsys, count):
    scenarios.healthy(owner)
    viewers = cookies(count)
    one_reading = asked(snapshots.take)["multica_view"]
    with web(WEB_CONCURRENCY=str(PROCESSES), ROLLUP_SCHEDULER="off") as (_server, port):
        until(lambda: serves(port))
        one, all_of_them = Crowd(port, viewers[:1]), Crowd(port, viewers)
        one.refresh_all()
        idle = asked(lambda: time.sleep(PACE))
        alone = asked(one.watch)
        all_of_them.arrive()
        # Both processes meet everybody, as they would within minutes.
        for _round in range(12):
            all_of_them.refresh_all()
        together = asked(all_of_them.watch)
    with capsys.disabled():
        sys.stdout.write(f"\n{all_of_them}\n")
    assert set(all_of_them.answers) <= {200, 204}
    assert len(all_of_them.seconds) >= count * (1 + SECONDS / PACE)
    for watched in (alone, together):
        assert 0 < watched["multica_view"] <= one_reading * READINGS
        of_people = watched["multica_admin"] - idle["multica_admin"] * SECONDS / PACE
        most = STATEMENTS_OF_A_LOOK * (LOOKS + 2 * NEWCOMERS * count)
        assert of_people <= most, (idle, alone, together)
    assert all_of_them.centile(95) <= P95 * slow, all_of_them
