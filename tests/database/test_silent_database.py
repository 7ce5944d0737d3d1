"""A database that accepts connections, or has accepted one, and says nothing.

A web process has few threads. A request that waits for a silent database occupies one of them.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import psycopg
import pytest
from django.db import OperationalError, connections

from executions.database import still_answering
from executions.database.connections import let_wait, retire_connection, retire_reader
from executions.database.problems import diagnose
from executions.database.reading import fetch_for_dashboard
from executions.database.schema import time_limit
from executions.database.still_answering import given_up_if_silent
from executions.scheduler.connecting import connect_runner
from multica_admin.databases import reader_alias
from tests import environment
from tests.commands import run_command
from tests.factories import ExecutionFactory
from tests.faults.conftest import proxy
from tests.waiting import until

__all__ = ["proxy"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SOCKET = ".s.PGSQL.5432"


@contextmanager
def silent_server():
    """The folder of a socket that accepts every connection and answers none."""
    with tempfile.TemporaryDirectory(prefix="multica-admin-silent-") as folder:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{folder}/{SOCKET}")
        listener.listen(100)
        with listener:
            yield Path(folder)


@pytest.fixture
def silent(cluster, monkeypatch):
    """The alias ``multica`` leads to a silent server; its folder."""
    alias = connections["multica"]
    alias.close()
    alias.close_pool()
    with silent_server() as folder:
        conninfo = cluster.conninfo("multica", "multica_view") | {"host": str(folder)}
        named = {"default": connections["default"].settings_dict, "multica": reader_alias(conninfo)}
        there = connections.configure_settings(named)["multica"]
        monkeypatch.setattr(alias, "settings_dict", alias.settings_dict | there)
        yield folder
        alias.close()
        alias.close_pool()


def refused():
    """The problem that a read of the dashboard's meets."""
    with pytest.raises(OperationalError) as caught:
        fetch_for_dashboard("SELECT 1 AS one", {})
    return diagnose(caught.value)


def test_only_the_first_request_waits_long_for_a_silent_database(silent):
    longest = connections["multica"].settings_dict["OPTIONS"]["pool"]["timeout"]
    began = monotonic()
    first = refused()
    assert monotonic() - began >= longest
    assert first.code == "no_server"
    began = monotonic()
    for _ in range(3):
        assert refused().code == "no_server"
    assert monotonic() - began < 2 * longest


def test_who_waits_only_briefly_still_finds_the_database_when_it_is_back(silent):
    refused()
    (silent / SOCKET).unlink()
    (silent / SOCKET).symlink_to(environment.SOCKET / SOCKET)

    def answers():
        try:
            return fetch_for_dashboard("SELECT 1 AS one", {})
        except OperationalError:
            return None

    assert until(answers) == [{"one": 1}]
    pool = connections["multica"].pool
    assert pool.timeout == connections["multica"].settings_dict["OPTIONS"]["pool"]["timeout"]


def close_all():
    for alias in connections:
        connections[alias].close()
    connections["multica"].close_pool()


@pytest.fixture
def only_one():
    """Each alias opens its first connection, and none outlives the test."""
    close_all()
    yield
    close_all()


@contextmanager
def stopped(alias):
    """The server process of the alias's connection does nothing at all."""
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize("alias", ["default", "multica"])
def test_a_server_that_falls_silent_amid_a_connection_is_given_up(owner, only_one, alias):
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
    raw = connections[alias].connection
    limit = int(connections[alias].settings_dict["SESSION"]["statement_timeout"]) / 1000
    assert limit < raw.silent_after < 3 * limit
    with stopped(alias):
        raw.silent_after = 0.5
        with pytest.raises(OperationalError, match="has said nothing") as caught:
            connections[alias].cursor().execute("SELECT 1")
        assert diagnose(caught.value).code == "lost"
        assert not connections[alias].is_usable()
    connections[alias].close()
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


@pytest.fixture
def soon_unanswered(monkeypatch):
    monkeypatch.setattr(still_answering, "LOOK_SECONDS", 0.1)
    monkeypatch.setattr(still_answering, "ANSWER_SECONDS", 2)
    monkeypatch.setattr(still_answering, "MOST_UNANSWERED", 1)


@pytest.mark.parametrize(
    ("command", "statement", "said"),
    [
        ("backfill_task_usage_hourly", "pg_advisory", "Nothing was changed"),
        ("pruneexecutions", "DELETE FROM", "Nothing was removed"),
        ("provision", "pg_advisory", "said nothing"),
    ],
)
def test_a_command_whose_server_hangs_ends_with_a_sentence(
    owner, proxy, settings, soon_unanswered, command, statement, said
):
    settings.RUNNER_CONNINFO = settings.RUNNER_CONNINFO | {"host": proxy.host}
    ExecutionFactory(connection=owner, plan_time=datetime(2020, 1, 1, tzinfo=UTC))
    proxy.swallow_from(statement)
    done = run_command(command)
    assert done.status == 1
    assert "said nothing" in done.refused
    assert said in done.refused
    assert not proxy.passing.is_set()


def test_a_long_statement_of_a_server_that_answers_is_left_alone(owner, soon_unanswered):
    with (
        closing(connect_runner("test")) as connection,
        given_up_if_silent(connection),
    ):
        assert connection.execute("SELECT pg_sleep(1)").fetchone()


def test_a_silent_connection_of_the_pool_is_replaced_when_a_request_takes_it(owner, only_one):
    fetch_for_dashboard("SELECT 1 AS one", {})
    connections["multica"].connection.silent_after = 0.5
    with stopped("multica"):
        connections["multica"].close()  # back to the pool, as at the end of a request
        assert fetch_for_dashboard("SELECT 1 AS one", {}) == [{"one": 1}]
        assert connections["multica"].connection.silent_after != 0.5


def test_what_may_take_its_time_waits_as_long_as_it_takes(owner):
    with time_limit(0):
        connections["default"].ensure_connection()
        assert connections["default"].connection.silent_after is None


@pytest.mark.parametrize("open_one", [connect_runner, retire_connection, retire_reader])
def test_a_plain_connection_gives_up_a_server_that_falls_silent(owner, open_one):
    with closing(open_one("multica-admin test")) as connection:
        assert 0 < connection.silent_after < 60
        pid = connection.info.backend_pid
        os.kill(pid, signal.SIGSTOP)
        try:
            let_wait(connection, 0.5)
            with pytest.raises(psycopg.OperationalError, match="has said nothing"):
                connection.execute("SELECT 1")
            assert connection.closed
        finally:
            os.kill(pid, signal.SIGCONT)
