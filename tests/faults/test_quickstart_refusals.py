"""Every case in which a start must refuse: in one line, before anything is made."""

from __future__ import annotations

import resource
import shutil
import socket
import struct
import threading

import pytest

from tests import environment
from tests.processes import PROJECT, Process, free_port
from tests.sizes import few
from tests.starting import (
    QUICKSTART,
    after_a_first_start,
    empty,
    refusal,
    start,
    started_before,
    var,
)
from tests.waiting import HANG

__all__ = ["after_a_first_start", "empty", "start", "started_before", "var"]


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


def test_a_malformed_database_url_is_refused(start, var):
    line = refusal(start(*QUICKSTART, str(free_port()), DATABASE_URL="postgres//nowhere"))
    assert "DATABASE_URL" in line
    assert not var.exists()


@pytest.mark.parametrize("env", few([{"APP_ENV": "staging"}, {"PORT": "0"}, {"HOST": "a..b"}], 1))
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


def test_a_bad_setting_is_refused_in_the_language_of_the_terminal(start):
    refused = start(*QUICKSTART, str(free_port()), APP_ENV="staging", LANG="zh_CN.UTF-8")
    told = "APP_ENV 的值是 'staging'；它必须是以下之一：production / development。"
    assert refusal(refused) == f"multica-admin: {told}"


@pytest.mark.parametrize("port", few(["eighty", "0", "65536"], 1))
def test_a_port_that_is_none_is_refused(start, port):
    assert "PORT" in refusal(start(*QUICKSTART, port))


def test_a_port_in_use_is_refused_before_anything_is_made(start, var):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refusal(start(*QUICKSTART, str(port)))
    assert f"Port {port}" in line
    assert not var.exists()


def test_a_port_that_is_taken_during_the_preparation_is_refused_in_one_line(
    empty, start, started_before, caller
):
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


def test_the_port_is_kept_from_the_moment_that_its_address_is_told(empty, start, started_before):
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
    few(
        [
            ("WEB_CONCURRENCY", "0"),
            ("MULTICA_ADMIN_PASSWORD_FILE", "/nonexistent"),
            ("HOST", "no-such-host.invalid"),
            ("RETIRE_DATABASE_URL", "postgresql://u@db/other"),
            ("RUNNER_DATABASE_URL", "postgresql://u@db/other"),
            ("WEB_CONCURRENCY", "many"),
            ("TRUSTED_PROXIES", "banana"),
            ("HOST", "a..b"),
            ("PORT", "1" * 5000),
        ],
        4,
    ),
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
    "name",
    few(["DATABASE_URL", "ADMIN_DATABASE_URL", "RUNNER_DATABASE_URL", "RETIRE_DATABASE_URL"], 1),
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
    few(
        [
            "statement_timeout=abc",
            "client_encoding=latin99",
            "role=nobody_of_that_name",
            "timezone=Mars",
        ],
        2,
    ),
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
