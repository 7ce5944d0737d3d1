"""Every error of a real PostgreSQL, and every failure to reach one, has a sentence of its own.

The errors are made by the server and by libpq themselves; only what is concluded is looked at.
"""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from dataclasses import replace

import psycopg
import pytest
from django.conf import settings
from psycopg import sql

from executions.database.connections import connect as open_connection
from executions.database.connections import cut
from executions.database.problems import diagnose, for_strangers
from multica_admin import embedded
from multica_admin.cluster import ClusterError
from tests import environment
from tests.faults.conftest import cluster_of_its_own
from tests.standby import standby_of

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def met(**elsewhere):
    """What happens when a connection is opened with these parameters."""
    parameters = {"host": str(environment.SOCKET), "dbname": "multica", "user": "multica"}
    with pytest.raises(psycopg.Error) as caught:
        open_connection(parameters | elsewhere, application_name="test errors")
    return caught.value


@pytest.fixture
def roles(cluster, connect):
    """Roles and databases that refuse a connection, each for another reason."""
    administrator = connect("postgres", database="postgres")
    for statement in (
        "CREATE ROLE no_room LOGIN CONNECTION LIMIT 0",
        "CREATE ROLE no_login",
        "CREATE DATABASE closed ALLOW_CONNECTIONS false",
        "CREATE DATABASE private",
        "REVOKE CONNECT ON DATABASE private FROM public",
    ):
        administrator.execute(statement)
    yield
    for statement in (
        "DROP DATABASE closed",
        "DROP DATABASE private",
        "DROP ROLE no_room",
        "DROP ROLE no_login",
    ):
        administrator.execute(statement)


# Each refusal at connect: what is asked, the code, and a part of the sentences that name the step.
REFUSALS = {
    "nothing listens": (
        {"host": "127.0.0.1", "port": "1"}, "no_server", "Nothing answers", "PostgreSQL runs there"
    ),
    "no such socket": (
        {"host": "/nonexistent"}, "no_server", "Nothing answers", "PostgreSQL runs there"
    ),
    "no such host": (
        {"host": "no-such-host.invalid"}, "no_host", "no-such-host.invalid", "host name"
    ),
    "wrong database": ({"dbname": "nowhere"}, "no_database", "nowhere", "name of the database"),
    "no such role": ({"user": "nobody_here"}, "not_let_in", "nobody_here", "role"),
    "a role that may not log in": ({"user": "no_login"}, "not_let_in", "no_login", "role"),
    "too many connections": (
        {"user": "no_room"}, "connections", "too many connections", "max_connections"
    ),
    "a closed database": ({"dbname": "closed"}, "closed_database", "closed", "ALLOW_CONNECTIONS"),
    "no right to connect": (
        {"dbname": "private"}, "no_connect_right", "private", "GRANT CONNECT"
    ),
    "an unknown setting": ({"options": "-c no.such=1 -c nosuch=1"}, "setting", "nosuch", "setting"),
    "a setting's bad value": ({"options": "-c work_mem=x"}, "setting", "work_mem", "setting"),
    "no server of that kind": (
        {"target_session_attrs": "standby"}, "server_kind", "standby", "target_session_attrs"
    ),
}  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSALS)
def test_each_refused_connection_has_its_own_sentence_and_step(roles, refusal):
    asked, code, what, todo = REFUSALS[refusal]
    problem = diagnose(met(**asked))
    assert problem.code == code
    assert what in str(problem.what)
    assert todo in str(problem.todo)
    assert "connection is bad" not in problem.sentence()
    assert "database answered" not in problem.sentence()
    assert ("PostgreSQL runs" in str(problem.todo)) == (code == "no_server")


@contextmanager
def answering(said: bytes):
    """A server on loopback that says one thing to each client, and nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                try:
                    client, _address = listener.accept()
                except OSError:
                    return
                with client:
                    client.recv(1000)
                    client.sendall(said)

        threading.Thread(target=serve, daemon=True).start()
        yield {"host": "127.0.0.1", "port": str(listener.getsockname()[1])}
        listener.shutdown(socket.SHUT_RDWR)


def test_what_is_no_postgresql_is_told_as_that():
    with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as place:
        problem = diagnose(met(**place))
    assert problem.code == "not_postgresql"
    assert "port" in str(problem.todo)


def test_an_encryption_that_the_server_does_not_have_is_told_as_that():
    with answering(b"N") as place:
        problem = diagnose(met(**place, sslmode="require"))
    assert problem.code == "tls"
    assert "sslmode" in str(problem.todo)


def refusal_in_another_language(sqlstate, message):
    fields = b"".join(
        kind + text.encode() + b"\0"
        for kind, text in (
            (b"S", "致命的エラー"), (b"V", "FATAL"), (b"C", sqlstate), (b"M", message)
        )
    )  # fmt: skip
    return b"E" + (len(fields) + 5).to_bytes(4, "big") + fields + b"\0"


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("3D000", "no_database"),
        ("28P01", "not_let_in"),
        ("28000", "not_let_in"),
        ("57P03", "not_ready"),
        ("53300", "connections"),
        ("XX000", "unknown"),
    ],
)
def test_a_refusal_is_told_whatever_language_the_server_speaks(sqlstate, code):
    """The SQLSTATE decides, not the words. libpq does not pass it to the driver."""
    with answering(refusal_in_another_language(sqlstate, "だめです")) as place:
        problem = diagnose(met(**place, sslmode="disable", gssencmode="disable"))
    assert problem.code == code
    assert "だめです" in str(problem.what)
    if code == "unknown":
        assert "XX000" in str(problem.what)


def test_a_wrong_password_is_told_as_one(tmp_path):
    with cluster_of_its_own(password_encryption="scram-sha-256") as private:
        with open_connection(private.conninfo("postgres"), application_name="t") as connection:
            connection.execute("CREATE ROLE ada LOGIN PASSWORD 'right'")
        rules = private.data / "pg_hba.conf"
        rules.write_text("local all postgres trust\nlocal all ada scram-sha-256\n")
        with open_connection(private.conninfo("postgres"), application_name="t") as connection:
            connection.execute("SELECT pg_reload_conf()")
        place = {"host": str(private.socket_directory), "dbname": "postgres", "user": "ada"}
        for password in ({"password": "wrong"}, {}):
            problem = diagnose(met(**place, passfile=str(tmp_path / "none"), **password))
            assert problem.code == "not_let_in", problem
            assert "password" in str(problem.todo)
            assert str(problem.what).count("connection") == 1, problem
            assert "fe_sendauth" not in str(problem.what)
        others = diagnose(met(**place | {"user": "bob"}))
        assert others.code == "not_let_in"
        assert "pg_hba.conf" in str(others.todo)


# What a statement can meet, and what it is told as.
STATEMENTS = {
    "unique": ("INSERT INTO ours VALUES (1), (1)", "taken"),
    "foreign key": ("INSERT INTO leads VALUES (7)", "conflict"),
    "check": ("INSERT INTO ours VALUES (-1)", "conflict"),
    "undefined table": ("SELECT FROM nothing_here", "schema"),
    "undefined column": ("SELECT nothing FROM ours", "schema"),
    "no right": ("SET ROLE multica_view; SELECT FROM ours", "rights"),
    "a value": ("SELECT 1 / 0", "value"),
    "disk full": ("DO $$ BEGIN RAISE disk_full; END $$", "resources"),
    "deadlock": ("DO $$ BEGIN RAISE deadlock_detected; END $$", "busy"),
    "serialization": ("DO $$ BEGIN RAISE serialization_failure; END $$", "busy"),
    "read only": ("BEGIN READ ONLY; CREATE TABLE x ()", "read_only"),
    "damage": ("DO $$ BEGIN RAISE data_corrupted; END $$", "damaged"),
    "ended": ("DO $$ BEGIN RAISE admin_shutdown; END $$", "ended"),
    "unknown": ("DO $$ BEGIN RAISE SQLSTATE 'ZX123' USING MESSAGE = 'odd'; END $$", "unknown"),
}


@pytest.mark.parametrize("name", STATEMENTS)
def test_each_error_of_a_statement_is_told_by_its_sqlstate(connect, owner, name):
    statement, code = STATEMENTS[name]
    connection = connect("postgres", database="multica")
    connection.execute("CREATE TEMP TABLE ours (id int PRIMARY KEY CHECK (id > 0))")
    connection.execute("CREATE TEMP TABLE leads (id int REFERENCES ours)")
    connection.execute("SET lc_messages = 'C'")
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement)
    problem = diagnose(caught.value)
    assert problem.code == code
    assert "PostgreSQL runs" not in str(problem.todo)
    if code == "unknown":
        assert "unknown" in problem.title.lower() or "not know" in str(problem.what)
        assert "ZX123" in str(problem.what)
        assert "odd" in str(problem.what)


def test_a_connection_that_breaks_is_told_as_broken(connect, owner):
    connection = connect("multica")
    owner.execute("SELECT 1")
    connect("postgres").execute("SELECT pg_terminate_backend(%s)", [connection.info.backend_pid])
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT 1")
    assert diagnose(caught.value).code == "ended"
    with pytest.raises(psycopg.Error) as caught:
        connection.execute("SELECT 1")
    assert diagnose(caught.value).code == "lost"


@pytest.mark.parametrize(
    "named", [{}, {"DATABASE_URL": {"host": "elsewhere"}}], ids=["all", "ours"]
)
def test_a_connection_to_the_embedded_server_that_breaks_is_told_as_that(
    monkeypatch, tmp_path, named
):
    """A broken connection names no address: it is the embedded server's if nothing else broke."""
    monkeypatch.setattr(settings, "EMBEDDED", True)
    monkeypatch.setattr(settings, "NAMED_DATABASES", named)
    with cluster_of_its_own() as private:
        data = [private.data]
        monkeypatch.setattr(embedded, "data_directory", lambda _var: data[0])
        with open_connection(private.conninfo("postgres"), application_name="t") as connection:
            cut(connection)
            with pytest.raises(psycopg.Error) as caught:
                connection.execute("SELECT 1")
        # With another database beside it, nobody can tell while the embedded server runs.
        running = diagnose(caught.value)
        assert running.code == ("lost" if named else "embedded_lost")
        data[0] = tmp_path / "postgres"
        stopped = diagnose(caught.value)
    assert stopped.code == "embedded_lost"
    assert "bin/run starts it again by itself" in str(stopped.todo)
    assert for_strangers(stopped) is stopped
    monkeypatch.setattr(settings, "EMBEDDED", False)
    assert diagnose(caught.value).code == "lost"


def test_a_standby_that_lets_nobody_in_is_not_only_to_be_waited_for():
    with cluster_of_its_own() as primary, standby_of(primary) as follower:
        follower.stop()
        closed = replace(follower, settings={**follower.settings, "hot_standby": "off"})
        with pytest.raises(ClusterError):  # nobody is let in, so preparing it fails
            closed.start(lambda one: psycopg.connect(**one.conninfo("postgres")).close())
        problem = diagnose(met(**follower.conninfo("postgres")))
    assert problem.code == "not_ready"
    assert "hot_standby = off" in str(problem.todo)
    assert "primary" in str(problem.todo)


def test_a_lock_that_was_waited_for_names_the_table_and_who_holds_it(connect, owner):
    holder = connect("multica")
    waiting = connect("multica_view")
    waiting.execute("SET lock_timeout = '50ms'")
    with holder.transaction():
        holder.execute("LOCK TABLE sys_cron_executions")
        with pytest.raises(psycopg.Error) as caught:
            waiting.execute("SELECT FROM sys_cron_executions")
        problem = diagnose(caught.value)
    assert problem.code == "locked"
    assert "Somebody has locked sys_cron_executions" in str(problem.what)
    assert str(holder.info.backend_pid) in str(problem.todo)


def test_the_step_names_the_variable_whose_database_it_is(monkeypatch):
    named = {
        "DATABASE_URL": settings.MULTICA_CONNINFO,
        "ADMIN_DATABASE_URL": {**settings.ADMIN_CONNINFO, "host": "/nonexistent"},
    }
    monkeypatch.setattr(settings, "NAMED_DATABASES", named)
    ours = diagnose(met(host="/nonexistent", user="multica_admin"))
    assert "ADMIN_DATABASE_URL" in str(ours.todo)
    theirs = diagnose(met(dbname="nowhere"))
    assert " DATABASE_URL" in str(theirs.todo)


def test_a_table_of_that_schema_is_quoted_with_nothing_of_the_statement(connect, owner):
    with pytest.raises(psycopg.Error) as caught:
        connect().execute(sql.SQL("SELECT secret_word FROM workspace"))
    assert "LINE" not in diagnose(caught.value).sentence()
