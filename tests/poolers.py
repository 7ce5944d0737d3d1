"""A real PgBouncer before the tests' own PostgreSQL: started, asked for its URL, and stopped."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
import pytest
from django.db import connections
from psycopg.conninfo import make_conninfo

from multica_admin.cluster import Cluster
from multica_admin.databases import Conninfo, reader_alias
from tests import environment
from tests.processes import free_port
from tests.scheduling import until

Mode = Literal["session", "transaction"]
ROLES = ("multica", "multica_view", "multica_admin", "postgres")


@dataclass(frozen=True)
class Pooler:
    """A running PgBouncer. It lends one server session to all clients of a role and database."""

    port: int

    def conninfo(self, role: str, database: str = environment.DATABASE) -> Conninfo:
        return {"host": "127.0.0.1", "port": str(self.port), "dbname": database, "user": role}

    def url(self, role: str) -> str:
        return make_conninfo(**self.conninfo(role))


StartPooler = Callable[..., Pooler]


@contextmanager
def pgbouncer(cluster: Cluster, mode: Mode, *, ignores_options: bool = False) -> Iterator[Pooler]:
    """A PgBouncer before the cluster, as the cluster's own user, because it refuses root."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.exit("These tests need PgBouncer: run bin/test, which installs it.", 2)
    owner = pwd.getpwuid(cluster.data.stat().st_uid)
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-pgbouncer-"))
    try:
        port = free_port()
        (folder / "users").write_text("".join(f'"{role}" ""\n' for role in ROLES))
        lines = [
            "[databases]",
            f"* = host={cluster.socket_directory}",
            "[pgbouncer]",
            "listen_addr = 127.0.0.1",
            f"listen_port = {port}",
            "unix_socket_dir =",
            "auth_type = trust",
            f"auth_file = {folder / 'users'}",
            f"pool_mode = {mode}",
            *(["ignore_startup_parameters = options"] if ignores_options else []),
        ]
        (folder / "pgbouncer.ini").write_text("\n".join(lines) + "\n")
        for path in (folder, *folder.iterdir()):
            os.chown(path, owner.pw_uid, owner.pw_gid)
        who = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [found, str(folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **({} if os.geteuid() else who),
            )
        try:
            pooler = Pooler(port)
            until(lambda: _answers(pooler, process, folder / "log"))
            yield pooler
        finally:
            process.kill()
            process.wait(60)
    finally:
        shutil.rmtree(folder)


def _answers(pooler: Pooler, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        psycopg.connect(**pooler.conninfo("multica")).close()
    except psycopg.OperationalError:
        return False
    return True


@pytest.fixture
def pooler(cluster: Cluster) -> Iterator[StartPooler]:
    """Starts PgBouncers that are stopped when the test ends."""
    with ExitStack() as until_the_end:
        yield lambda mode, **options: until_the_end.enter_context(
            pgbouncer(cluster, mode, **options)
        )


@pytest.fixture
def dashboard_through(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., None]]:
    """Lets Django's alias ``multica`` read through a pooler until the test ends."""
    alias = connections["multica"]

    def go_through(between: Pooler, **parameters: str) -> None:
        alias.close()
        alias.close_pool()
        made = reader_alias({**between.conninfo("multica_view"), **parameters})
        monkeypatch.setattr(alias, "settings_dict", alias.settings_dict | made)

    yield go_through
    alias.close()
    alias.close_pool()
