"""PostgreSQL servers of a test's own, for what would disturb other tests, such as the launcher."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executions.database.connections import Connection
from executions.database.connections import connect as open_connection
from multica_admin.cluster import Cluster
from tests.conftest import postgresql_with_pg_cron

PLAIN = {"fsync": "off", "cron.database_name": "postgres"}


@contextmanager
def private_server() -> Iterator[Cluster]:
    """A running server that loads pg_cron, whose objects belong in the database postgres."""
    with tempfile.TemporaryDirectory(prefix="multica-admin-server-") as folder:
        # as root the server runs as another user, who must be able to pass
        Path(folder).chmod(0o711)
        settings = {**PLAIN, "shared_preload_libraries": "pg_cron"}
        cluster = Cluster(Path(folder) / "postgres", postgresql_with_pg_cron(), settings)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop(mode="immediate")


@contextmanager
def connected(cluster: Cluster) -> Iterator[Connection]:
    """The superuser in the database postgres."""
    connection = open_connection(cluster.conninfo("postgres"), application_name="test")
    try:
        yield connection
    finally:
        connection.close()
