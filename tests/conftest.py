"""Fixtures for every test: a private PostgreSQL with pg_cron, and connections to it.

Everything on Multica's side is really committed, because other connections must see it. The tables
are emptied when a test that used them ends.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.management import call_command
from django.db import connections
from django.test import override_settings
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.translation import deactivate
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from whitenoise import WhiteNoise

from executions.database.connections import Connection
from executions.database.connections import connect as open_connection
from executions.rollup.provision import provision
from multica_admin import embedded
from multica_admin.cluster import Binaries, Cluster
from tests import environment
from tests.emptying import Ours, empty_multica, forget_all
from tests.rights import let_read
from tests.sessions import Sessions
from tests.sizes import sized
from tests.waiting import slowness

# How long an example takes says something about the machine, not about us.
hypothesis_settings.register_profile(
    "any machine",
    deadline=None,
    max_examples=sized(60, 2000),
    suppress_health_check=[HealthCheck.too_slow],
)
hypothesis_settings.load_profile("any machine")


def postgresql_with_pg_cron() -> Binaries:
    found = next((one for one in embedded.find_binaries() if one.has_pg_cron), None)
    if found is None:
        pytest.exit("These tests need PostgreSQL 15 or newer with pg_cron: run bin/test.", 2)
    return found


# Tests of the first kind wait for processes and browsers most of the time. Those of the second
# compute. Those of the last are short.
KINDS = (("faults", "browser"), ("database", "web"), ("unit",))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mix files that wait with files that compute, so that each fills the pauses of the other.

    The short ones come last, or one process is left with a long file when the others have ended.
    """
    files = list(dict.fromkeys(item.path for item in items))
    place = {}
    for kind in KINDS:
        found = [file for folder in kind for file in files if file.parent.name == folder]
        begin = KINDS.index(kind) // 2  # the first two kinds lie side by side
        place |= {file: begin + index / len(found) for index, file in enumerate(found)}
    items.sort(key=lambda item: place[item.path])


def pytest_collection_finish() -> None:
    """Spare each collection of garbage the look at everything that the files of tests made."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


class QuickPasswordHasher(PBKDF2PasswordHasher):
    """Django's own hasher with one round, because it takes a quarter of a second otherwise."""

    iterations = 1


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Passwords of this process; the processes that tests start have Django's."""
    with override_settings(PASSWORD_HASHERS=["tests.conftest.QuickPasswordHasher"]):
        yield


@pytest.fixture(autouse=True)
def no_language_left() -> Iterator[None]:
    """A request leaves its language active in the thread of the test client."""
    yield
    deactivate()


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A private cluster whose database ``multica`` has pg_cron and our standalone Multica side."""
    private = Cluster(
        environment.DATA,
        postgresql_with_pg_cron(),
        {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "150",
            "max_wal_size": "128MB",
            # To truncate a table the server looks through all of them.
            "shared_buffers": "32MB",
            "max_prepared_transactions": "0",
            # In its folder, where nothing stays after a run that was killed.
            "dynamic_shared_memory_type": "mmap",
            "shared_preload_libraries": "pg_cron,pg_stat_statements",
            "cron.database_name": environment.DATABASE,
            "cron.host": str(environment.SOCKET),
        },
    )
    assert private.socket_directory == environment.SOCKET
    private.start()
    try:
        embedded.prepare(private)
        with open_connection(
            private.conninfo(environment.DATABASE, "multica"), application_name="provision"
        ) as connection:
            provision(connection)
            let_read(connection)
        yield private
    finally:
        connections.close_all()
        for alias in connections.settings:
            getattr(connections[alias], "close_pool", lambda: None)()
        private.stop(mode="immediate")


@pytest.fixture
def slow(cluster: Cluster) -> float:
    """How many times slower than an idle machine this one is now."""
    return slowness(cluster)


@pytest.fixture(scope="session")
def django_db_setup(cluster: Cluster, django_db_blocker: Any) -> None:
    """Our own tables, in the database that the settings name: the cluster is disposable."""
    with django_db_blocker.unblock():
        call_command("migrate", verbosity=0, interactive=False)
        with connections["default"].cursor() as cursor:
            # Tests with real transactions end by truncating every table of ours.
            cursor.execute(
                "ALTER TABLE executions_auditevent DISABLE TRIGGER audit_refuses_truncate"
            )
        call_command("collectstatic", verbosity=0, interactive=False)
        look_for_static_files_once()
        Ours().take_over()


def look_for_static_files_once() -> None:
    """Share what the first application found in a folder of static files with all later ones.

    A process has one application. Each test client makes its own, and each of those would look at
    several hundred files again.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    look = WhiteNoise.update_files_dictionary

    def look_once(application: Any, root: str, prefix: str) -> None:
        if (root, prefix) not in found:
            look(application, root, prefix)
            found[root, prefix] = dict(application.files)
        application.files |= found[root, prefix]

    WhiteNoise.update_files_dictionary = look_once


@pytest.fixture(scope="module", autouse=True)
def nothing_left(django_db_blocker: Any) -> Iterator[None]:
    """Remove what the processes of a file wrote into our tables, for the tests of the next file.

    Every dashboard and runner writes the verdict. Tests without ``django_db`` remove nothing, and
    a process of a whole file ends after the last test.
    """
    yield
    if Ours.of_this_run is not None:
        with django_db_blocker.unblock():
            Ours.of_this_run.delete_rows()


@pytest.fixture(scope="session")
def sessions(cluster: Cluster) -> Iterator[Sessions]:
    sessions = Sessions(cluster)
    with sessions.noted():
        yield sessions
    sessions.close()


@pytest.fixture
def connect(cluster: Cluster, sessions: Sessions) -> Iterator[Callable[..., Connection]]:
    """Opens connections as any role; all are closed when the test ends.

    Nothing that an earlier test has closed is still there when this one begins.
    """
    sessions.wait_for_the_closed()
    opened: list[Connection] = []

    def open_one(role: str = "multica", **options: Any) -> Connection:
        conninfo = cluster.conninfo(options.pop("database", environment.DATABASE), role)
        connection = open_connection(conninfo, application_name=f"test {role}", **options)
        opened.append(connection)
        return connection

    yield open_one
    for connection in opened:
        connection.close()


@pytest.fixture
def owner(connect: Callable[..., Connection]) -> Iterator[Connection]:
    """The owner of Multica's tables; what the test left in them is removed at its end."""
    connection = connect("multica")
    yield connection
    if connection.closed:
        connection = connect("multica")
    empty_multica(connection)


@pytest.fixture
def superuser(connect: Callable[..., Connection], owner: Connection) -> Connection:
    return connect("postgres")


@pytest.fixture
def upstream(cluster: Cluster, connect: Callable[..., Connection]) -> Iterator[Connection]:
    """A database with Multica's own tables under a role of its own; ``multica_view`` reads it."""
    administrator = connect("postgres", database="postgres")
    administrator.execute("DROP DATABASE IF EXISTS upstream WITH (FORCE)")
    administrator.execute("DROP ROLE IF EXISTS upstream_owner")
    administrator.execute("CREATE ROLE upstream_owner LOGIN")
    administrator.execute("CREATE DATABASE upstream OWNER upstream_owner")
    connection = connect("upstream_owner", database="upstream")
    connection.execute((Path(__file__).parent / "upstream.sql").read_text("utf-8"))
    let_read(connection)
    yield connection
    connection.close()
    administrator.execute("DROP DATABASE upstream WITH (FORCE)")
    administrator.execute("DROP ROLE upstream_owner")


# Addresses that answer something else than a page, and pages for people who are signed out.
NO_PAGES = {
    "audit_csv",
    "export_csv",
    "export_jsonl",
    "healthz",
    "livez",
    "readyz",
    "status",
    "metrics",
    "set_language",
}
NO_PAGES |= {
    "login",
    "logout",
    "logout_everywhere",
    "confirm",
    "password_change",
    "verdict",
    "retire_upload",
}


@pytest.fixture
def every_page() -> list[str]:
    """The address of every page that needs no argument. A new page is included automatically."""
    return [reverse(name) for name in _names(get_resolver()) if name not in NO_PAGES]


def _names(resolver: URLResolver) -> Iterator[str]:
    for pattern in resolver.url_patterns:
        if isinstance(pattern, URLPattern):
            if pattern.name and not pattern.pattern.converters:
                yield pattern.name
        elif not pattern.namespace:
            yield from _names(pattern)


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    forget_all()
