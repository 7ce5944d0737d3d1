"""Shared by the fault tests."""

from __future__ import annotations

import contextlib
import queue
import shutil
import socket
import tempfile
import threading
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
from tests.waiting import HANG

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
        """Close every connection that no process has accepted. From now on, close each at once."""
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
