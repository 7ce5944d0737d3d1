"""The in-process runner: it starts and ends with its process, and records what it cut short."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote

import psutil
import pytest
from django.conf import settings
from django.test import Client

from executions.accounts import guessing
from executions.accounts.guessing import SIGN_IN
from executions.database.connections import connect as connect_to
from executions.models import Runner as Row
from executions.pages.history.filters import LONGEST, MOST_BYTES
from executions.scheduler import inprocess
from tests import environment
from tests.faults.proxy import Proxy
from tests.guesses import Guess, OverASocket
from tests.people import make_user
from tests.scheduling import age, execution, executions, lock_holders
from tests.sizes import few
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]


@contextmanager
def web(*arguments, **variables):
    """gunicorn as it is configured, with one process unless told otherwise; it and its port."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "gunicorn", "--config", "python:multica_admin.gunicorn",
        "--bind", f"127.0.0.1:{port}", *arguments, "multica_admin.wsgi:application",
    ]  # fmt: skip
    defaults = {"ROLLUP_SCHEDULER": "on", "WEB_CONCURRENCY": "1", "LOG_FORMAT": "text"}
    server = subprocess.Popen(
        command, cwd=ROOT, env=os.environ | defaults | variables, stderr=subprocess.DEVNULL
    )
    try:
        yield server, port
    finally:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(server.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        server.kill()
        server.wait()


@contextmanager
def rollup_held(connect):
    """Any rollup waits for its state row while it holds lock 4246."""
    rival = connect()
    with rival.transaction():
        rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
        yield


@pytest.fixture
def far():
    """A way to the database on which every message takes its time."""
    proxy = Proxy(environment.SOCKET)
    proxy.delay = 0.06
    yield proxy
    proxy.close()


def accepted(server, client):
    """Whether a process of the server has accepted that client's connection."""
    return any(
        connection.raddr == client.getsockname()
        for process in psutil.Process(server.pid).children()
        for connection in process.net_connections("tcp")
    )


def finished(connection):
    return [row for row in executions(connection) if row["status"] == "SUCCESS"]


def test_each_web_process_has_a_runner_and_its_row_ends_with_it(owner):
    with web(WEB_CONCURRENCY="2") as (server, _port):
        until(lambda: finished(owner) and Row.objects.filter(last_tick_at__isnull=False)[1:])
        server.send_signal(signal.SIGTERM)
        assert server.wait(HANG) == 0
    rows = list(Row.objects.all())
    assert {row.kind for row in rows} == {"web"}
    assert len({row.pid for row in rows}) == 2
    assert all(row.stopped_at for row in rows)
    ran = {row["runner_id"] for row in executions(owner)}
    assert ran <= {row.runner_id for row in rows}


def test_a_web_process_serves_while_its_runner_works_and_has_none_when_it_is_off(owner, connect):
    with rollup_held(connect), web() as (_server, port):
        lock_holders(owner, at_least=1)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=HANG) as answer:
            assert answer.status == 200
    owner.execute("TRUNCATE sys_cron_executions")
    with web(ROLLUP_SCHEDULER="off") as (_server, port):
        until(lambda: serves(port))
    assert executions(owner) == []


def serves(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/livez", timeout=HANG) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture
def ask(db):
    """Asks a port for an address, signed in: the status and the text of the answer."""
    client = Client()
    client.force_login(make_user("vera"))
    session = client.cookies[settings.SESSION_COOKIE_NAME]

    def ask(port, address):
        headers = {"Cookie": f"{session.key}={session.value}", "Accept": "text/html"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{address}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=HANG) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as error:
            with error:
                return error.code, error.read().decode()

    return ask


def test_a_long_address_reaches_our_own_answer_and_not_the_servers(owner, ask):
    longest = ["x" * LONGEST, "é" * (MOST_BYTES // 2), "界" * (MOST_BYTES // 3)]
    with web(ROLLUP_SCHEDULER="off") as (_server, port):
        until(lambda: serves(port))
        for value in longest:
            assert ask(port, f"/executions/?runner={quote(value)}")[0] == 200
        status, page = ask(port, f"/executions/?runner={'x' * 5_000}")
    assert status == 400
    assert "The filter “runner” is" in page


def test_a_deploy_lets_the_run_in_hand_end(owner, connect):
    with web() as (server, _port):
        with rollup_held(connect):
            lock_holders(owner, at_least=1)
            server.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(1)
        assert server.wait(HANG) == 0
    assert execution(owner)["status"] == "SUCCESS"


def test_a_run_that_outlasts_the_graceful_deadline_is_cancelled_and_written_as_canceled(
    owner, connect, slow
):
    with rollup_held(connect), web("--graceful-timeout", f"{3 * slow:.0f}") as (server, _port):
        lock_holders(owner, at_least=1)
        server.send_signal(signal.SIGTERM)
        assert server.wait(HANG) == 0
        assert lock_holders(owner, at_most=0) == 0
        row = execution(owner)
        assert (row["status"], row["error_code"]) == ("FAILED", "canceled")
        assert (row["finished_at"] - row["started_at"]).total_seconds() > 1


def test_a_client_that_never_ends_does_not_take_the_time_to_write_canceled(
    owner, connect, far, slow
):
    """gunicorn waits for its connections until the grace is over; the runner must not."""
    with (
        rollup_held(connect),
        web("--graceful-timeout", f"{4 * slow:.0f}", RUNNER_DATABASE_URL=far.url) as (server, port),
    ):
        lock_holders(owner, at_least=1)
        with socket.create_connection(("127.0.0.1", port)) as unending:
            unending.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            until(lambda: accepted(server, unending))
            server.send_signal(signal.SIGTERM)
            server.wait(HANG)
        assert lock_holders(owner, at_most=0) == 0
        row = execution(owner)
        assert (row["status"], row["error_code"]) == ("FAILED", "canceled")
        assert (row["finished_at"] - row["started_at"]).total_seconds() > 2


@pytest.mark.parametrize("number", few([signal.SIGINT, signal.SIGQUIT], 1))
def test_an_interrupt_while_a_process_drains_still_waits_for_canceled_to_be_written(
    owner, connect, far, number
):
    far.delay = 0.3
    with rollup_held(connect), web(RUNNER_DATABASE_URL=far.url) as (server, _port):
        lock_holders(owner, at_least=1)
        (child,) = psutil.Process(server.pid).children()
        server.send_signal(signal.SIGTERM)
        until(lambda: not child.net_connections("tcp"))  # it serves no more and waits for the run
        child.send_signal(number)
        child.send_signal(number)
        server.wait(HANG)
        assert lock_holders(owner, at_most=0) == 0
        row = execution(owner)
        assert (row["status"], row["error_code"]) == ("FAILED", "canceled")


def test_an_interrupt_cancels_the_run_in_hand_at_once(owner, connect):
    with rollup_held(connect), web() as (server, _port):
        lock_holders(owner, at_least=1)
        server.send_signal(signal.SIGINT)
        server.wait(HANG)
        assert execution(owner)["error_code"] == "canceled"


def test_a_killed_web_process_frees_lock_4246_and_its_successor_takes_over(owner, connect):
    with web() as (server, _port):
        with rollup_held(connect):
            lock_holders(owner, at_least=1)
            (child,) = psutil.Process(server.pid).children()
            server.send_signal(signal.SIGSTOP)  # no successor before everything is seen
            child.kill()
            assert lock_holders(owner, at_most=0) == 0
        assert execution(owner)["status"] == "RUNNING"
        age(owner, timedelta(hours=1))
        server.send_signal(signal.SIGCONT)
        until(lambda: finished(owner))
    row = finished(owner)[-1]
    assert f"-{child.pid}-" not in row["runner_id"]


def test_the_runner_in_a_web_process_waits_for_a_database_that_is_away(owner):
    proxy = Proxy(environment.SOCKET)
    proxy.refuse()
    try:
        with web(RUNNER_DATABASE_URL=proxy.url) as (_server, port):
            assert proxy.refused.wait(HANG)
            until(lambda: serves(port))
            assert executions(owner) == []
            proxy.accept_again()
            until(lambda: finished(owner))
    finally:
        proxy.close()


def test_a_web_process_outlives_a_restart_of_the_database_with_a_run_in_hand(restartable):
    conninfo = restartable.conninfo("postgres")
    url = " ".join(f"{name}={value}" for name, value in conninfo.items())
    with web(RUNNER_DATABASE_URL=url) as (server, port):
        with contextlib.closing(connect_to(conninfo, application_name="rival")) as rival:
            rival.execute("BEGIN")
            rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
            with connect_to(conninfo, application_name="look") as look:
                lock_holders(look, at_least=1)
            restartable.stop(mode="immediate")
        restartable.start()
        with connect_to(conninfo, application_name="look") as look:
            until(lambda: execution(look)["status"] != "RUNNING")
            row = execution(look)
            assert (row["status"], row["error_code"]) == ("FAILED", "handler_error")
            assert row["next_retry_at"] is not None
            assert lock_holders(look, at_most=0) == 0
        assert serves(port)
        server.send_signal(signal.SIGTERM)
        assert server.wait(HANG) == 0


def test_without_a_runner_the_hooks_do_nothing(settings):
    settings.ROLLUP_SCHEDULER = False
    before = signal.getsignal(signal.SIGTERM)
    inprocess.start(grace_seconds=30)
    inprocess.cancel()
    inprocess.stop()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("proxies", ["", "127.0.0.1,unix"], ids=["not believed", "believed"])
def test_a_header_names_a_client_for_trusted_proxies_only_and_a_prefix_for_nobody(owner, proxies):
    """The client has no guess left, so a guess that counts as its own is refused."""
    path = environment.SOCKET.with_name(f"web {len(proxies)}")
    for number in range(SIGN_IN.per_address):
        guessing.begin(SIGN_IN, f"name {number}", "198.51.100.7")
    variables = {"ROLLUP_SCHEDULER": "off", "TRUSTED_PROXIES": proxies}
    with web("--bind", f"unix:{path}", **variables) as (_server, port):
        until(lambda: serves(port))
        for wire in (http.client.HTTPConnection("127.0.0.1", port), OverASocket(path)):
            with contextlib.closing(wire):
                guess = Guess(wire, "ada")
                expected = 429 if proxies else 200
                assert guess.send({"X-Forwarded-For": "192.0.2.1, 198.51.100.7"}) == expected
                assert guess.send({"X-Forwarded-For": "198.51.100.7, 192.0.2.1"}) == 200
        for name in ("SCRIPT_NAME", "Script-Name", "PATH_INFO"):
            changes_no_answer(port, name)


def changes_no_answer(port, name):
    for path in ("/livez", "/readyz", "/healthz", "/login/"):
        for value in ("/elsewhere", path, "/", "x"):
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}{path}", headers={name: value}
            )
            with urllib.request.urlopen(request, timeout=HANG) as answer:
                assert answer.status == 200
                assert "elsewhere" not in answer.read().decode()
