"""From nothing to a served dashboard, as real processes; and every case in which it must refuse."""

from __future__ import annotations

import contextlib
import http.cookiejar
import os
import queue
import re
import resource
import shutil
import signal
import socket
import struct
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from multica_admin import embedded
from tests import environment
from tests.processes import PROJECT, Process, free_port
from tests.sizes import sized
from tests.waiting import HANG, until

PASSWORD = "correct horse battery"
QUICKSTART = ("manage.py", "quickstart", "--port")
# For tests that are not about the demo: making its week takes most of a start.
EMPTY_START = ("manage.py", "quickstart", "--no-demo", "--port")


@pytest.fixture
def var():
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-quickstart-"))
    folder.chmod(0o711)
    yield folder / "var"
    if (folder / "var" / "postgres").exists():
        embedded.cluster(folder / "var").stop(mode="immediate")
    shutil.rmtree(folder)


@pytest.fixture
def start(var):
    started = []

    def begin(*arguments, **env):
        process = Process(
            *arguments,
            env={"VAR_DIR": str(var), "MULTICA_ADMIN_PASSWORD": PASSWORD, **env},
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.stop()


@pytest.fixture
def empty(connect):
    """The name of an empty database for our own tables."""
    administrator = connect("postgres", database="postgres")
    administrator.execute("CREATE DATABASE ours OWNER multica_admin")
    yield "ours"
    administrator.execute("DROP DATABASE ours WITH (FORCE)")


class Browser:
    """A minimal browser: cookies and forms."""

    def __init__(self, port, host="127.0.0.1"):
        self.base = f"http://{host}:{port}"
        self.jar = http.cookiejar.CookieJar()
        handler = urllib.request.HTTPCookieProcessor(self.jar)
        self.opener = urllib.request.build_opener(handler)

    def get(self, path):
        with self.opener.open(self.base + path, timeout=HANG) as answer:
            return answer.read().decode()

    def sign_in(self):
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', self.get("/login/"))[1]
        form = {"csrfmiddlewaretoken": token, "username": "admin", "password": PASSWORD}
        data = urllib.parse.urlencode(form).encode()
        request = urllib.request.Request(self.base + "/login/", data)
        with self.opener.open(request, timeout=HANG) as answer:
            return answer.read().decode()


def own_successes(var):
    """SUCCESS rows that a runner of this installation won."""
    conninfo = embedded.conninfo(var, "postgres")
    with psycopg.connect(**conninfo, row_factory=dict_row) as connection:
        return connection.execute(
            "SELECT * FROM sys_cron_executions WHERE status = 'SUCCESS' AND runner_id IN"
            " (SELECT runner_id FROM multica_admin.executions_runner)"
        ).fetchall()


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
    page = Browser(port).sign_in()
    assert first["runner_id"] in page
    assert "Demo data" in page
    assert page.count("Success") > 10
    assert {path.name for path in var.iterdir() if open_to_others(path)} == set()
    assert logged_by_pg_cron(var) == ["off"]

    # Killed with -9 and started again: the cluster is found, nothing is made twice.
    process.kill_group()
    again = start(*QUICKSTART, str(port))
    again.wait_for("Listening at")
    assert not any("made-up week" in line or "Password" in line for line in again.seen)
    assert first["runner_id"] in Browser(port).sign_in()
    assert again.stop() == 0
    assert not embedded.cluster(var).answers()


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


def test_the_last_of_two_that_share_a_folder_stops_its_postgresql(start, var):
    ports = free_port(), free_port()
    both = [start(*EMPTY_START, str(port), WEB_CONCURRENCY="1") for port in ports]
    for process in both:
        process.wait_for("Listening at")
    assert both[0].stop() == 0
    assert "Overview" in Browser(ports[1]).sign_in()
    assert both[1].stop() == 0
    assert not embedded.cluster(var).answers()


def waiting_for_locks(connection, database):
    """The sessions of a database that wait for another one."""
    return connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
        [database],
    ).fetchall()


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


def test_a_start_cut_off_before_its_roles_were_made_is_made_good_by_the_next(start, var):
    embedded.cluster(var).start()
    process = start(*EMPTY_START, str(free_port()), WEB_CONCURRENCY="1")
    process.wait_for("Listening at")


def test_a_single_command_leaves_no_server_behind(start, var):
    process = start("manage.py", "runrollup", "--once")
    assert process.end() == 2  # nothing was provisioned, which is told in one sentence
    assert not embedded.cluster(var).answers()


def test_ctrl_c_ends_everything_at_once_and_without_a_traceback(start, var):
    for _again in range(sized(1, 3)):
        process = start(*EMPTY_START, str(free_port()))
        for _both in range(2):
            process.wait_for("The runner starts")
        os.killpg(process.popen.pid, signal.SIGINT)
        assert process.end() == 0
        assert not any("Traceback" in line or "SIGKILL" in line for line in process.seen)
        assert not embedded.cluster(var).answers()


STOPS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


def assert_stopped(process, status, var):
    assert process.end() == status
    assert process.errors[-1] == "multica-admin: Stopped before it had started."
    assert not any("Traceback" in line for line in process.seen)
    assert not embedded.cluster(var).answers()


@pytest.mark.parametrize(("number", "status"), STOPS)
def test_stopped_while_it_makes_its_postgresql_it_leaves_nothing_half_made(
    start, var, number, status
):
    process = start(*QUICKSTART, str(free_port()))
    until((var / "postgres.new" / "PG_VERSION").exists)
    process.popen.send_signal(number)
    assert_stopped(process, status, var)
    assert not (var / "postgres.new").exists()
    assert not (var / "postgres").exists()


def call_once_postgresql_answers(caller, var):
    """The first call of a start that has its own PostgreSQL. Earlier calls are dropped."""
    while True:
        call = caller.calls.get(timeout=HANG)
        if embedded.cluster(var).answers():
            return call
        call.close()


@pytest.mark.parametrize(("number", "status"), STOPS)
def test_stopped_before_it_serves_it_stops_its_postgresql(start, var, caller, number, status):
    process = start(*QUICKSTART, str(free_port()), DATABASE_URL=caller.url)
    with call_once_postgresql_answers(caller, var):
        process.popen.send_signal(number)
        assert_stopped(process, status, var)


def test_stopped_before_it_serves_it_leaves_a_postgresql_that_another_uses(start, var, caller):
    other = start(*EMPTY_START, str(free_port()), WEB_CONCURRENCY="1")
    other.wait_for("Listening at")
    process = start(*EMPTY_START, str(free_port()), DATABASE_URL=caller.url)
    with call_once_postgresql_answers(caller, var):
        process.popen.send_signal(signal.SIGTERM)
        assert process.end() == 143
    assert embedded.cluster(var).answers()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_between_the_start_and_gunicorns_own_handlers_ends_it_as_any_later_one(
    start, var, number
):
    process = start(*EMPTY_START, str(free_port()))
    command = Path(f"/proc/{process.popen.pid}/cmdline")
    until(lambda: b"gunicorn" in command.read_bytes())
    process.popen.send_signal(number)
    assert process.end() == 0
    assert not any("Traceback" in line for line in process.seen)
    assert not embedded.cluster(var).answers()


def test_without_the_demo_there_is_nothing_made_up(start):
    port = free_port()
    process = start(*EMPTY_START, str(port), WEB_CONCURRENCY="1")
    process.wait_for("Listening at")
    page = Browser(port).sign_in()
    assert "Demo data" not in page
    process.stop()


@pytest.mark.parametrize("said_by", ["HOST", "--host"])
def test_the_address_that_is_printed_answers(start, cluster, said_by):
    port = free_port()
    command, env = [*QUICKSTART, str(port)], {"DATABASE_URL": environment.url("multica_view")}
    if said_by == "HOST":
        env["HOST"] = "127.0.0.2"
    else:
        command += ["--host", "127.0.0.2"]
    process = start(*command, **env)
    assert process.wait_for("Multica Admin: ") == f"Multica Admin: http://127.0.0.2:{port}"
    process.wait_for("Listening at")
    assert "csrfmiddlewaretoken" in Browser(port, "127.0.0.2").get("/login/")


def test_on_every_address_it_says_what_others_need(start, cluster):
    port = free_port()
    process = start(
        *QUICKSTART, str(port), DATABASE_URL=environment.url("multica_view"), HOST="0.0.0.0"
    )
    line = process.wait_for("Multica Admin: ")
    assert f"http://localhost:{port} on this machine" in line
    assert "set PUBLIC_URL" in line
    process.wait_for("Listening at")
    assert "csrfmiddlewaretoken" in Browser(port, "localhost").get("/login/")


class OldServer(threading.Thread):
    """A server that greets like PostgreSQL 14, is no pooler, and does nothing more."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            try:
                client, _address = self.listener.accept()
            except OSError:
                return
            with client:
                self._greet(client)

    def _greet(self, client):
        def message(kind, body):
            return kind + struct.pack("!i", len(body) + 4) + body

        while client.recv(1024)[4:8] != struct.pack("!i", 196_608):
            client.sendall(b"N")  # no TLS, no GSS
        parameters = {b"server_version": b"14.9", b"client_encoding": b"UTF8"}
        greeting = message(b"R", struct.pack("!i", 0))
        for name, value in parameters.items():
            greeting += message(b"S", name + b"\0" + value + b"\0")
        client.sendall(greeting + message(b"Z", b"I"))
        columns = struct.pack("!h", 2)
        for name, type_oid, length in ((b"pid", 23, 4), (b"held", 16, 1)):
            columns += name + b"\0" + struct.pack("!ihihih", 0, 0, type_oid, length, -1, 0)
        # The process number is libpq's own, where the greeting has none.
        values = struct.pack("!hi1si1s", 2, 1, b"0", 1, b"t")
        answer = message(b"1", b"") + message(b"2", b"")
        answer += message(b"T", columns) + message(b"D", values)
        while (sent := client.recv(4096)) and sent[:1] in b"PQ":
            rows = answer if sent[:1] == b"P" else b""
            client.sendall(rows + message(b"C", b"SELECT 1\0") + message(b"Z", b"I"))


def refusal(process):
    """The one line on standard error with which it refused; nothing else was said but "Using"."""
    assert process.end() == 2
    (line,) = process.errors
    assert line.startswith("multica-admin: ")
    assert all(other.startswith("Using ") for other in process.seen if other != line)
    return line


def test_a_malformed_database_url_is_refused(start, var):
    line = refusal(start(*QUICKSTART, str(free_port()), DATABASE_URL="postgres//nowhere"))
    assert "DATABASE_URL" in line
    assert not var.exists()


@pytest.mark.parametrize("env", [{"APP_ENV": "staging"}, {"PORT": "0"}, {"HOST": "a..b"}])
def test_a_look_whether_it_can_start_refuses_as_the_start_does(start, var, env):
    refusal(start("manage.py", "quickstart", "--check", **{"PORT": str(free_port()), **env}))
    assert not var.exists()


def test_a_look_whether_it_can_start_makes_nothing(start, var):
    process = start(*QUICKSTART, str(free_port()), "--check")
    assert process.end() == 0
    assert process.seen == []
    assert not var.exists()


def test_the_machine_is_changed_only_for_a_start_that_nothing_refuses():
    script = (PROJECT / "bin" / "run").read_text("utf-8")
    assert script.index("quickstart --check") < script.index("install_pg_cron")


def test_an_unknown_environment_is_refused(start):
    line = refusal(start(*QUICKSTART, str(free_port()), APP_ENV="staging"))
    assert "APP_ENV" in line
    assert "development" in line


@pytest.mark.parametrize("port", ["0", "eighty", "65536"])
def test_a_port_that_is_none_is_refused(start, port):
    assert "PORT" in refusal(start(*QUICKSTART, port))


def test_a_port_in_use_is_refused_before_anything_is_made(start, var):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(start(*QUICKSTART, str(port)))
    assert f"Port {port}" in line
    assert not var.exists()


class Caller(threading.Thread):
    """A server that never answers. It tells when a client connects, and lets go when told."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"postgresql://u@127.0.0.1:{self.listener.getsockname()[1]}/multica"
        self.calls = queue.Queue()
        self._lets_go = False

    def run(self):
        while True:
            try:
                self.calls.put(self.listener.accept()[0])
            except OSError:
                return
            if self._lets_go:
                self.let_everybody_go()

    def let_everybody_go(self):
        """Close every connection that nobody has taken, from now on at once."""
        self._lets_go = True
        with contextlib.suppress(queue.Empty):
            while True:
                self.calls.get_nowait().close()


@pytest.fixture
def caller():
    silent = Caller()
    silent.start()
    yield silent
    silent.listener.shutdown(socket.SHUT_RDWR)
    silent.join(HANG)
    silent.listener.close()
    silent.let_everybody_go()  # a start may have called again


def test_a_port_that_is_taken_during_the_preparation_is_refused_in_one_line(empty, start, caller):
    port = free_port()
    process = start(
        *QUICKSTART, str(port),
        DATABASE_URL=caller.url, ADMIN_DATABASE_URL=environment.url("multica_admin", empty),
    )  # fmt: skip
    looking = caller.calls.get(timeout=HANG)
    with socket.create_server(("127.0.0.1", port)):
        looking.close()
        caller.let_everybody_go()
        assert process.end() == 2
    assert f"Port {port}" in process.errors[-1]
    assert not any("gunicorn" in line or "Multica Admin: " in line for line in process.seen)


def test_the_port_is_kept_from_the_moment_that_its_address_is_told(empty, start):
    port = free_port()
    process = start(
        *QUICKSTART, str(port),
        ADMIN_DATABASE_URL=environment.url("multica_admin", empty),
        DATABASE_URL=environment.url("multica_view"),
    )  # fmt: skip
    process.wait_for("Multica Admin: ")
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))
    process.wait_for(f"Listening at: http://127.0.0.1:{port}")


def test_a_var_that_cannot_be_written_is_refused(start):
    line = refusal(start(*QUICKSTART, str(free_port()), VAR_DIR="/sys/multica-admin"))
    assert "/sys/multica-admin" in line


def test_a_full_var_is_refused_and_leaves_no_half_made_cluster(var):
    var.mkdir(mode=0o711)
    process = Process(
        *QUICKSTART,
        str(free_port()),
        env={"VAR_DIR": str(var), "SECRET_KEY": "known"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536)),
    )
    line = refusal(process)
    assert str(var) in line
    assert not (var / "postgres").exists()
    assert not (var / "postgres.new").exists()


def full(var, **env):
    """A start whose files may hold nothing, as on a full disk."""
    return Process(
        *QUICKSTART,
        str(free_port()),
        env={"VAR_DIR": str(var), "DATABASE_URL": environment.url("multica_view"), **env},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )


def test_a_full_var_leaves_no_empty_key(empty, var):
    urls = {"ADMIN_DATABASE_URL": environment.url("multica_admin", empty)}
    assert "SECRET_KEY is not set" in refusal(full(var, **urls))
    assert [path.name for path in var.iterdir()] == ["quickstart.lock"]


def test_a_full_var_is_refused_before_tables_are_made_elsewhere(empty, var, connect):
    urls = {"ADMIN_DATABASE_URL": environment.url("multica_admin", empty)}
    assert str(var / "static") in refusal(full(var, SECRET_KEY="known", **urls))
    schema = connect("postgres", database=empty).execute(
        "SELECT to_regnamespace('multica_admin') AS made"
    )
    assert schema.fetchone() == {"made": None}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB_CONCURRENCY", "0"),
        ("WEB_CONCURRENCY", "many"),
        ("TRUSTED_PROXIES", "banana"),
        ("MULTICA_ADMIN_PASSWORD_FILE", "/nonexistent"),
        ("HOST", "a..b"),
        ("HOST", "no-such-host.invalid"),
        ("PORT", "1" * 5000),
        ("RUNNER_DATABASE_URL", "postgresql://u@db/other"),
        ("RETIRE_DATABASE_URL", "postgresql://u@db/other"),
    ],
)
def test_a_bad_value_is_refused_by_name_before_anything_is_made(start, var, name, value):
    process = start(
        "manage.py",
        "quickstart",
        **{"PORT": str(free_port()), "MULTICA_ADMIN_PASSWORD": "", name: value},
    )
    line = refusal(process)
    assert name.removesuffix("_FILE") in line
    assert not var.exists()


@pytest.mark.parametrize("content", ["", "fifteen\n"])
def test_data_of_no_known_version_is_refused(start, var, content):
    (var / "postgres").mkdir(parents=True)
    (var / "postgres" / "PG_VERSION").write_text(content)
    line = refusal(start(*QUICKSTART, str(free_port())))
    assert "PG_VERSION" in line
    shutil.rmtree(var / "postgres")


@pytest.fixture
def old_url():
    old = OldServer()
    old.start()
    yield f"postgresql://u@127.0.0.1:{old.port}/multica"
    old.listener.close()


@pytest.mark.parametrize(
    "name", ["DATABASE_URL", "ADMIN_DATABASE_URL", "RUNNER_DATABASE_URL", "RETIRE_DATABASE_URL"]
)
def test_a_postgresql_older_than_15_is_refused_by_name_before_anything_is_made(
    start, var, cluster, old_url, name
):
    urls = {"DATABASE_URL": environment.url("multica_view"), name: old_url}
    line = refusal(start(*QUICKSTART, str(free_port()), **urls))
    assert f"{name} leads to PostgreSQL 14, but 15 or newer is needed" in line
    assert not var.exists()


@pytest.mark.parametrize("command", [["provision"], ["runrollup", "--once"]])
def test_a_command_refuses_an_older_postgresql_before_anything_is_made(
    start, var, old_url, command
):
    line = refusal(start("manage.py", *command, DATABASE_URL=old_url))
    assert "PostgreSQL 14" in line
    assert "15 or newer" in line
    assert not var.exists()


@pytest.mark.parametrize(
    "setting",
    [
        "statement_timeout=abc",
        "timezone=Mars",
        "role=nobody_of_that_name",
        "client_encoding=latin99",
    ],
)
def test_a_setting_that_the_server_refuses_is_refused(start, var, cluster, setting):
    url = f"postgresql:///{environment.DATABASE}?host={environment.SOCKET}&user=multica_view"
    line = refusal(
        start(
            *QUICKSTART, str(free_port()), DATABASE_URL=f"{url}&{setting}"
        )
    )  # fmt: skip
    assert "DATABASE_URL has a parameter that the server refuses" in line
    assert setting.partition("=")[2] in line
    assert not var.exists()


def test_a_database_for_our_own_tables_that_is_away_is_refused_in_one_line(start, cluster, var):
    line = refusal(
        start(
            *QUICKSTART, str(free_port()),
            DATABASE_URL=environment.url("multica_view", "nowhere"),
            ADMIN_DATABASE_URL=environment.url("multica_admin", "nowhere"),
        )
    )  # fmt: skip
    assert "ADMIN_DATABASE_URL" in line
    assert 'database "nowhere" does not exist' in line
    assert not var.exists()
