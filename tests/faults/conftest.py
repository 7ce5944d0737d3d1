"""Shared by the fault tests."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from executions.database.connections import connect
from executions.rollup.provision import provision
from multica_admin.cluster import Cluster
from tests import environment
from tests.conftest import postgresql_with_pg_cron
from tests.faults.proxy import Proxy
from tests.scheduling import Reach, reach

__all__ = ["reach"]


@pytest.fixture
def proxy(cluster):
    between = Proxy(environment.SOCKET)
    yield between
    between.close()


@pytest.fixture
def proxied(proxy):
    opener = Reach({"host": proxy.host, "dbname": environment.DATABASE, "user": "multica"})
    yield opener
    opener.close()


@pytest.fixture
def restartable():
    """A cluster of the test's own, with pg_cron and the standalone side in ``postgres``."""
    with cluster_of_its_own() as cluster:
        yield cluster


@pytest.fixture
def with_background_workers():
    """The same, but pg_cron runs its jobs in background workers instead of over libpq."""
    with cluster_of_its_own(**{"cron.use_background_workers": "on"}) as cluster:
        yield cluster


@contextmanager
def cluster_of_its_own(**settings):
    folder = Path(tempfile.mkdtemp(prefix="multica-admin-restart-"))
    folder.chmod(0o711)
    options = {
        "fsync": "off",
        "shared_preload_libraries": "pg_cron",
        "cron.host": str(folder / "socket"),
        **settings,
    }
    cluster = Cluster(folder / "postgres", postgresql_with_pg_cron(), options)
    cluster.start()
    try:
        with connect(cluster.conninfo("postgres"), application_name="provision") as connection:
            provision(connection)
            connection.execute("CREATE EXTENSION pg_cron")
        yield cluster
    finally:
        cluster.stop(mode="immediate")
        shutil.rmtree(folder)
