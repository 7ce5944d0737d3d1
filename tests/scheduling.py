"""What the scheduler's tests share: connections as a runner opens them, and looks at the rows."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from executions.database.connections import Connection, connect, cut
from multica_admin.cluster import Cluster
from tests import environment
from tests.waiting import until

Opened = dict[str, list[Connection]]


class Reach:
    """Opens connections as a runner does, and keeps them by application name for tests.

    While ``away`` is set it refuses, like a database that cannot be reached.
    """

    def __init__(self, conninfo: dict[str, str]) -> None:
        self.conninfo = conninfo
        self.opened: Opened = {}
        self.away = threading.Event()

    def __call__(self, application_name: str) -> Connection:
        if self.away.is_set():
            raise psycopg.OperationalError("the database is away")
        connection = connect(self.conninfo, application_name=application_name)
        self.opened.setdefault(application_name, []).append(connection)
        return connection

    def lose(self) -> None:
        self.away.set()
        for connection in self._all():
            cut(connection)

    def close(self) -> None:
        for connection in self._all():
            connection.close()

    def _all(self) -> list[Connection]:
        return [connection for connections in self.opened.values() for connection in connections]


@pytest.fixture
def reach(cluster: Cluster) -> Iterator[Reach]:
    """Connections of a runner's, as the owner of Multica's tables."""
    opener = Reach(cluster.conninfo(environment.DATABASE, "multica"))
    yield opener
    opener.close()


def executions(connection: Connection) -> list[dict[str, Any]]:
    return connection.execute(
        "SELECT *, now() AS now FROM sys_cron_executions ORDER BY job_name, plan_time, scope_id"
    ).fetchall()


def execution(connection: Connection) -> dict[str, Any]:
    (row,) = executions(connection)
    return row


def age(connection: Connection, by: timedelta) -> None:
    """Let time pass: to the database's clock, moving stored times back is the same."""
    connection.execute(
        "UPDATE sys_cron_executions SET started_at = started_at - %(by)s,"
        " heartbeat_at = heartbeat_at - %(by)s, stale_after = stale_after - %(by)s,"
        " next_retry_at = next_retry_at - %(by)s, finished_at = finished_at - %(by)s",
        {"by": by},
    )


def usage(connection: Connection, *, hours: int) -> None:
    """One priced row of usage in each of the last ``hours`` full hours, all of one task."""
    connection.execute(
        "WITH w AS (INSERT INTO workspace (id) VALUES (gen_random_uuid()) RETURNING id),"
        " r AS (INSERT INTO agent_runtime (id, workspace_id)"
        " SELECT gen_random_uuid(), id FROM w RETURNING id),"
        " a AS (INSERT INTO agent (id, workspace_id)"
        " SELECT gen_random_uuid(), id FROM w RETURNING id),"
        " t AS (INSERT INTO agent_task_queue (id, agent_id, runtime_id)"
        " SELECT gen_random_uuid(), a.id, r.id FROM a, r RETURNING id)"
        " INSERT INTO task_usage (task_id, provider, model, input_tokens, created_at, updated_at)"
        " SELECT t.id, 'provider', 'model ' || hour, 100 + hour, moment.at, moment.at"
        " FROM t, generate_series(1, %(hours)s) AS hour,"
        " LATERAL (SELECT now() - hour * interval '1 hour' AS at) AS moment",
        {"hours": hours},
    )


def lock_holders(connection: Connection, *, at_least: int = 0, at_most: int | None = None) -> int:
    """Backends that hold lock 4246, once there are enough of them."""

    def as_many() -> tuple[int] | None:
        row = connection.execute(
            "SELECT count(*) AS count FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND (classid, objid, objsubid) = (0, 4246, 1)"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchone()
        assert row is not None
        count: int = row["count"]
        return (count,) if at_least <= count and (at_most is None or count <= at_most) else None

    (count,) = until(as_many) or (0,)
    return count
