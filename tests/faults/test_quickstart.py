"""From nothing to a served dashboard, as real processes."""

from __future__ import annotations

import socket
import time
from contextlib import closing

import psycopg
import pytest
from psycopg.rows import dict_row

from multica_admin import embedded
from tests import environment
from tests.processes import free_port
from tests.starting import (
    EMPTY_START,
    QUICKSTART,
    Browser,
    after_a_first_start,
    empty,
    start,
    started_before,
    static_files_made,
    var,
    waiting_for_locks,
)
from tests.waiting import until

__all__ = [
    "after_a_first_start", "empty", "start", "started_before", "static_files_made", "var",
]  # fmt: skip


def own_successes(var):
    """SUCCESS rows that a runner of this installation won."""
    conninfo = embedded.conninfo(var, "postgres")
    with psycopg.connect(**conninfo, row_factory=dict_row) as connection:
        return connection.execute(
            "SELECT * FROM sys_cron_executions WHERE status = 'SUCCESS' AND runner_id IN"
            " (SELECT runner_id FROM multica_admin.executions_runner)"
        ).fetchall()


def overview_with(text, port):
    """The overview once it has the text: a process may keep a reading from just before."""
    browser = Browser(port)
    browser.sign_in()
    return until(lambda: (page := browser.get("/")) and text in page and page)


def stay_clear_of_the_schedule(slow):
    """The demo's pg_cron job fires two minutes past each plan and may take the first run's work."""
    seconds = (time.time() - 120) % 300
    if seconds > 300 - min(15 * slow, 150):
        time.sleep(301 - seconds)


def open_to_others(path):
    """Whether another user could read the file, or hold its lock and delay a start."""
    return path.is_file() and path.stat().st_mode & 0o077


def logged_by_pg_cron(var):
    """Whether pg_cron writes the commands of its jobs, which may hold passwords, into the log."""
    with psycopg.connect(**embedded.conninfo(var, "postgres")) as connection:
        return [row[0] for row in connection.execute("SHOW cron.log_statement")]


def test_from_nothing_to_a_signed_in_page_with_rows_of_its_own_runner(start, var, slow):
    stay_clear_of_the_schedule(slow)
    port = free_port()
    process = start(*QUICKSTART, str(port))
    process.wait_for("as a private cluster")
    process.wait_for("User name: admin")
    process.wait_for("Listening at")
    successes = until(lambda: own_successes(var))
    first = min(successes, key=lambda row: row["plan_time"])
    assert first["rows_affected"] > 0
    assert first["result"]["watermark_after"] > first["result"]["watermark_before"]
    page = overview_with(first["runner_id"], port)
    assert "Demo data" in page
    assert page.count("Success") > 10
    assert {path.name for path in var.iterdir() if open_to_others(path)} == set()
    assert logged_by_pg_cron(var) == ["off"]

    # Killed with -9 and started again: the cluster is found, nothing is made twice.
    process.kill_group()
    again = start(*QUICKSTART, str(port))
    again.wait_for("Listening at")
    assert not any("made-up week" in line or "Password" in line for line in again.seen)
    overview_with(first["runner_id"], port)
    assert again.stop() == 0
    assert not embedded.cluster(var).answers()


@pytest.mark.usefixtures("static_files_made")
def test_started_again_it_goes_on_with_what_it_had_and_brings_no_retired_schedule_back(start, var):
    port = free_port()
    first = start(*QUICKSTART, str(port), WEB_CONCURRENCY="1")
    first.wait_for("Listening at")
    with psycopg.connect(**embedded.conninfo(var, "multica"), autocommit=True) as connection:
        connection.execute("SELECT cron.unschedule('rollup_task_usage_hourly')")
    assert first.stop() == 0
    assert not embedded.cluster(var).answers()
    second = start(*QUICKSTART, str(port), WEB_CONCURRENCY="1")
    second.wait_for("Listening at")
    assert "Demo data" in Browser(port).sign_in()
    assert not any("Password" in line for line in second.seen)
    with psycopg.connect(**embedded.conninfo(var, "postgres")) as connection:
        assert connection.execute("SELECT count(*) FROM cron.job").fetchone() == (0,)


def test_the_last_of_two_that_share_a_folder_stops_its_postgresql(start, started_before, var):
    ports = free_port(), free_port()
    both = [start(*EMPTY_START, str(port), WEB_CONCURRENCY="1") for port in ports]
    for process in both:
        process.wait_for("Listening at")
    assert both[0].stop() == 0
    assert "Overview" in Browser(ports[1]).sign_in()
    assert both[1].stop() == 0
    assert not embedded.cluster(var).answers()


def test_two_first_starts_that_share_only_our_own_tables_make_one_first_user(
    empty, start, var, connect
):
    urls = {
        "DATABASE_URL": environment.url("multica_view"),
        "ADMIN_DATABASE_URL": environment.url("multica_admin", empty),
        "WEB_CONCURRENCY": "1",
    }
    assert start("manage.py", "migrate", "--verbosity", "0", **urls).end() == 0
    administrator, watching = connect("postgres", database=empty), connect("postgres")
    with administrator.transaction():
        # A start that has seen that there is no user yet gets no further.
        administrator.execute("LOCK TABLE multica_admin.auth_user IN SHARE MODE")
        both = [
            start(*QUICKSTART, str(free_port()), **urls, VAR_DIR=str(var.with_name(name)))
            for name in ("one", "other")
        ]
        until(lambda: len(waiting_for_locks(watching, empty)) == 2)
    for process in both:
        process.wait_for("Listening at")
    said = [line for process in both for line in process.seen if "User name: admin" in line]
    assert len(said) == 1


@pytest.mark.usefixtures("static_files_made")
def test_a_start_cut_off_before_its_roles_were_made_is_made_good_by_the_next(start, var):
    embedded.cluster(var).start()
    process = start(*EMPTY_START, str(free_port()), WEB_CONCURRENCY="1")
    process.wait_for("Listening at")


def test_a_single_command_leaves_no_server_behind(start, var):
    process = start("manage.py", "runrollup", "--once")
    assert process.end() == 2  # nothing was provisioned, which is told in one sentence
    assert not embedded.cluster(var).answers()


def test_without_the_demo_there_is_nothing_made_up(start, started_before):
    port = free_port()
    process = start(*EMPTY_START, str(port), WEB_CONCURRENCY="1")
    process.wait_for("Listening at")
    page = Browser(port).sign_in()
    assert "Demo data" not in page
    process.stop()


def test_the_address_that_is_printed_answers(start, started_before, cluster):
    port = free_port()
    env = {"DATABASE_URL": environment.url("multica_view"), "WEB_CONCURRENCY": "1"}
    process = start(*QUICKSTART, str(port), "--host", "127.0.0.2", **env)
    assert process.wait_for("Multica Admin: ") == f"Multica Admin: http://127.0.0.2:{port}"
    process.wait_for("Listening at")
    assert "csrfmiddlewaretoken" in Browser(port, "127.0.0.2").get("/login/")


def test_on_a_unix_socket_it_says_what_a_proxy_needs_and_leaves_no_socket(
    start, started_before, var, cluster
):
    path = var.parent / "web.sock"
    env = {"DATABASE_URL": environment.url("multica_view"), "WEB_CONCURRENCY": "1"}
    process = start("manage.py", "quickstart", **env, HOST=f"unix:{path}")
    assert f"on {path}, for a proxy; set PUBLIC_URL" in process.wait_for("Multica Admin: ")
    process.wait_for("Listening at")
    with closing(socket.socket(socket.AF_UNIX)) as client:
        client.connect(str(path))
        client.sendall(b"GET /login/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert client.makefile("rb").read().startswith(b"HTTP/1.1 200 OK\r\n")
    assert process.stop() == 0
    assert not path.exists()


def test_on_every_address_it_says_what_others_need(start, started_before, cluster):
    port = free_port()
    env = {"DATABASE_URL": environment.url("multica_view"), "WEB_CONCURRENCY": "1"}
    process = start(*QUICKSTART, str(port), **env, HOST="0.0.0.0")
    line = process.wait_for("Multica Admin: ")
    assert f"http://localhost:{port} on this machine" in line
    assert "set PUBLIC_URL" in line
    process.wait_for("Listening at")
    assert "csrfmiddlewaretoken" in Browser(port, "localhost").get("/login/")
