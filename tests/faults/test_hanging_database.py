"""A database whose processes all stand still while its connections stay open, or that refuses.

One dashboard serves every case: its pages read a cluster of their own here, and its own tables are
in the cluster of the tests. A server that hangs ends no statement, so only our deadlines count.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from django.conf import settings
from django.test import Client

from executions.database.connections import connect as connect_to
from tests.faults.conftest import cluster_of_its_own
from tests.faults.test_slow_clients import asked, read
from tests.faults.test_web_processes import serves, web
from tests.people import make_user
from tests.scheduling import executions
from tests.sizes import AT_FULL_SIZE, sized
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = ["/", "/executions/", "/runners/", "/errors/", "/jobs/", "/rollup/", "/rollup/zero/",
         "/schedules/", "/audit/"]  # fmt: skip
# How long one request may wait for a server that has just begun to hang, and any later request.
FIRST, LATER = 10.0, 6.0
# How long a database stays away.
AWAY = sized(3.0, 60.0)
# Of one process: threads that read, the runner with its heartbeat and handler, the retirements.
MOST_CONNECTIONS = 14


@pytest.fixture(scope="module")
def multicas():
    with cluster_of_its_own() as server:
        yield server


@pytest.fixture(scope="module")
def port(multicas, cluster, django_db_setup):
    conninfo = multicas.conninfo("postgres")
    url = " ".join(f"{name}={value}" for name, value in conninfo.items())
    urls = dict.fromkeys(("DATABASE_URL", "RUNNER_DATABASE_URL", "RETIRE_DATABASE_URL"), url)
    with web(**urls) as (_server, number):
        until(lambda: serves(number))
        yield number


@pytest.fixture
def signed_in(cluster):
    client = Client()
    client.force_login(make_user("vera"))
    session = client.cookies[settings.SESSION_COOKIE_NAME]
    return {"Cookie": f"{session.key}={session.value}", "Accept": "text/html"}


def processes(cluster):
    postmaster = psutil.Process(int((cluster.data / "postmaster.pid").read_text().split()[0]))
    return [postmaster, *postmaster.children(recursive=True)]


@contextmanager
def frozen(cluster):
    """No process of that server does anything; the connections stay open."""
    stopped = processes(cluster)
    for process in stopped:
        process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in reversed(stopped):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)


@contextmanager
def away(cluster):
    """Nothing listens there."""
    cluster.stop(mode="immediate")
    try:
        yield
    finally:
        cluster.start()


def clients(cluster):
    """How many connections of a client that server has."""
    return sum("client backend" in line or "[local]" in line for line in names(cluster))


def names(cluster):
    for process in processes(cluster):
        with contextlib.suppress(psutil.NoSuchProcess):
            yield " ".join(process.cmdline())


def everything_works(port, signed_in):
    return all(asked(port, path, signed_in)[0] == 200 for path in ["/readyz", "/healthz", *PAGES])


def ask_all(port, headers, within):
    """Ask every page at once, several times: each is answered in time; the statuses."""
    with ThreadPoolExecutor(len(PAGES)) as people:
        answers = list(people.map(lambda path: asked(port, path, headers), PAGES * 2))
    for path, (status, seconds) in zip(PAGES * 2, answers, strict=True):
        assert seconds < within, path
        assert status in {200, 503}, path
    return dict(zip(PAGES, [status for status, _seconds in answers], strict=False))


def alive_all_the_while(port, over, slow):
    while not over.wait(0.1):
        status, seconds = asked(port, "/livez")
        assert status == 200
        assert seconds < 1.0 * slow


@contextmanager
def alive(port, slow):
    """``/livez`` answers within a second all the while."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as asking:
        answers = asking.submit(alive_all_the_while, port, over, slow)
        try:
            yield
        finally:
            over.set()
        answers.result()


@pytest.mark.parametrize("trouble", sized([frozen], [frozen, away]))
def test_pages_outlive_multicas_database(owner, port, multicas, signed_in, slow, trouble):
    until(lambda: everything_works(port, signed_in))
    before = clients(multicas)
    with alive(port, slow), trouble(multicas):
        ask_all(port, signed_in, FIRST * slow)
        assert asked(port, "/healthz")[0] == 503
        assert asked(port, "/readyz")[0] == 200  # our own tables answer
        threading.Event().wait(AWAY)
        ask_all(port, signed_in, LATER * slow)
        assert asked(port, "/healthz")[0] == 503
        # A reading is shared for some seconds, and then the pages say how old the last one is.
        until(lambda: "What was last known is" in read(port, "/", signed_in))
        assert "What was last known is" in read(port, "/executions/", signed_in)
    until(lambda: everything_works(port, signed_in))
    if AT_FULL_SIZE:
        the_scheduler_returns(multicas)
    assert before <= MOST_CONNECTIONS
    # A session that we gave up ends once its server runs again and notices.
    until(lambda: clients(multicas) <= MOST_CONNECTIONS)


def the_scheduler_returns(multicas):
    """The runner of the same process, which asked while the server hung, runs a plan again."""
    with connect_to(multicas.conninfo("postgres"), application_name="test") as connection:
        connection.execute("TRUNCATE sys_cron_executions")  # so that a plan is due at once
        until(lambda: [row for row in executions(connection) if row["status"] == "SUCCESS"])


def test_probes_outlive_our_own_database(owner, port, cluster, signed_in, slow):
    until(lambda: everything_works(port, signed_in))
    with alive(port, slow), frozen(cluster):
        ask_all(port, signed_in, 2 * FIRST * slow)
        assert asked(port, "/healthz")[0] == asked(port, "/readyz")[0] == 503
        threading.Event().wait(AWAY)
        ask_all(port, signed_in, 2 * LATER * slow)
        assert asked(port, "/healthz")[0] == 503
    until(lambda: everything_works(port, signed_in))
