"""The dashboard restarts its embedded PostgreSQL after a kill, and never after its own end.

Real processes and real kills: of the server that the test's own dashboard started, by its id.
"""

from __future__ import annotations

import os
import signal
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from multica_admin import embedded, keeper
from multica_admin.cluster import Cluster
from multica_admin.keeper import ClusterKeeper, pause_before
from multica_admin.locks import locked
from tests.processes import free_port
from tests.sizes import sized
from tests.starting import EMPTY_START, after_a_first_start, start, started_before, var
from tests.waiting import HANG, until

__all__ = ["after_a_first_start", "start", "started_before", "var"]

AGAIN = "The embedded PostgreSQL runs again."
ENDED = "The embedded PostgreSQL has ended."


def server_of(var):
    path = embedded.data_directory(var) / "postmaster.pid"
    return int(path.read_text().split("\n", 1)[0])


def kill_server(var):
    number = server_of(var)
    os.kill(number, signal.SIGKILL)
    return number


def page(port, path):
    """The status and the text of any answer, for a browser with some session."""
    cookie = {"Cookie": f"multica_admin_session={'0' * 32}"}
    request = Request(f"http://127.0.0.1:{port}{path}", headers=cookie)
    try:
        with urlopen(request, timeout=HANG) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as refused:
        with refused:
            return refused.code, refused.read().decode()


def serves(port):
    return page(port, "/healthz")[0] == 200 and page(port, "/login/")[0] == 200


@pytest.fixture
def dashboard(start, started_before):
    """Starts one over the folder, with no demo; it serves when it returns."""

    def begin():
        port = free_port()
        process = start(*EMPTY_START, str(port), ROLLUP_SCHEDULER="off", WEB_CONCURRENCY="1")
        process.wait_for("Listening at")
        until(lambda: serves(port))
        return process, port

    return begin


def restart_held_up(var):
    """While it is held, no start of the embedded cluster proceeds."""
    return locked(embedded.data_directory(var).with_suffix(".lock"))


def test_a_killed_server_runs_again_and_until_then_the_page_speaks_of_it(dashboard, var):
    process, port = dashboard()
    with restart_held_up(var):
        first = kill_server(var)
        process.wait_for(ENDED)
        status, said = until(
            lambda: (got := page(port, "/login/")) and "embedded PostgreSQL" in got[1] and got
        )
        assert status == 503
        assert "bin/run starts it again by itself" in said
        assert str(var) not in said
        assert page(port, "/livez")[0] == 200
    process.wait_for(AGAIN)
    until(lambda: serves(port))
    assert server_of(var) != first

    # Once more, with a longer pause.
    kill_server(var)
    assert "2 s" in process.wait_for(ENDED)
    process.wait_for(AGAIN)
    until(lambda: serves(port))
    assert process.stop() == 0
    assert not embedded.cluster(var).is_running()


@pytest.mark.parametrize("number", sized([signal.SIGINT], [signal.SIGINT, signal.SIGTERM]))
def test_who_stops_the_dashboard_while_the_server_starts_again_leaves_no_server(
    dashboard, var, number
):
    process, _port = dashboard()
    with restart_held_up(var):
        kill_server(var)
        process.wait_for(ENDED)
        os.killpg(process.popen.pid, number)
    process.end(HANG)
    assert not embedded.cluster(var).is_running()


def test_of_two_dashboards_over_one_folder_one_starts_the_server_for_both(dashboard, var):
    (one, one_port), (other, other_port) = dashboard(), dashboard()
    kill_server(var)
    until(lambda: AGAIN in "\n".join((*one.errors, *other.errors)))
    until(lambda: serves(one_port) and serves(other_port))
    told = [line for line in (*one.errors, *other.errors) if AGAIN in line]
    assert len(told) == 1
    # Whichever dashboard started it, the other one continues when that one stops.
    assert one.stop() == 0
    assert serves(other_port)
    kill_server(var)
    until(lambda: len([line for line in other.errors if ENDED in line]) >= 1)
    until(lambda: serves(other_port))
    assert other.stop() == 0
    assert not embedded.cluster(var).is_running()


def test_a_folder_that_is_gone_is_never_replaced_by_an_empty_cluster(dashboard, var):
    process, _port = dashboard()
    data = embedded.data_directory(var)
    away = data.with_name("away")
    kill_server(var)
    data.rename(away)
    try:
        assert "is gone" in process.wait_for("does not start")
        assert not data.exists()
    finally:
        away.rename(data)
    process.wait_for(AGAIN)


def test_what_goes_wrong_while_it_looks_does_not_end_its_watch(tmp_path, caplog):
    folder = tmp_path / "not there yet"
    watch = ClusterKeeper(Cluster(folder / "postgres", next(embedded.find_binaries())))
    watch.start()
    try:
        until(lambda: "could not be looked at" in caplog.text)
        folder.mkdir()
        until(lambda: "is gone" in caplog.text)
    finally:
        watch.stop()
    assert not (folder / "postgres").exists()


def test_a_web_process_serves_although_the_servers_binaries_are_gone(settings, tmp_path, caplog):
    settings.EMBEDDED, settings.VAR_DIR = True, tmp_path
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("7")
    assert keeper.start() is None
    assert "made by PostgreSQL 7" in caplog.text


def test_the_pause_grows_to_a_limit():
    pauses = [pause_before(number) for number in range(200)]
    assert pauses[:4] == [1.0, 2.0, 4.0, 8.0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 30.0
