"""Rows of Multica's tables, for the demo's scenarios and the tests.

Our models refuse to write those tables, so a row goes through a psycopg connection of their owner.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg import sql
from psycopg.types.json import Jsonb

from executions.database.connections import Connection
from executions.scheduler.jobs import ROLLUP, rollup_result

DELAY = ROLLUP.schedule_delay
LEASE = ROLLUP.stale_timeout
BACKEND = "7c1f2d9a-0000-4000-8000-00000000beef"  # Multica's runners name themselves by a UUID

# What differs from a SUCCESS on the first attempt.
_FAILED: Mapping[str, object] = {
    "status": "FAILED",
    "rows_affected": None,
    "result": {},
    "error_code": "handler_error",
    "error_msg": "canceling statement due to statement timeout",
}
_RUNNING: Mapping[str, object] = {
    "status": "RUNNING",
    "finished_at": None,
    "duration_ms": None,
    "rows_affected": None,
    "result": {},
}
TRAITS: Mapping[str, Mapping[str, object]] = {
    "retried": {"attempt": 2},
    "failed": _FAILED,
    "exhausted": {**_FAILED, "attempt": 3},
    "running": _RUNNING,
    "stale": _RUNNING,
}


def insert(connection: Connection, table: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Insert one row and return it as stored, defaults included."""
    (row,) = connection.execute(_insert(table, columns), _adapted(columns))
    return row


def insert_many(connection: Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows of the same columns, in one go."""
    given = list(rows)
    if given:
        with connection.cursor() as cursor:
            cursor.executemany(_insert(table, given[0]), [_adapted(row) for row in given])


def _insert(table: str, columns: Mapping[str, Any]) -> sql.Composed:
    return sql.SQL("INSERT INTO {} ({}) VALUES ({}) RETURNING *").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(map(sql.Placeholder, columns)),
    )


def _adapted(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: Jsonb(value) if isinstance(value, dict | list) else value
        for name, value in columns.items()
    }


def execution(**given: Any) -> dict[str, Any]:
    """The columns of one execution: a SUCCESS on the first attempt, claimed on time.

    ``plan_time`` must be given. Of the traits in `TRAITS`, ``failed`` has attempts left, and the
    lease of ``stale`` ended an hour after the plan.
    """
    traits = {name for name in TRAITS if given.pop(name, False)}
    columns: dict[str, Any] = {
        "id": uuid4(),
        "job_name": ROLLUP.name,
        "scope_kind": "global",
        "scope_id": "global",
        "status": "SUCCESS",
        "attempt": 1,
        "max_attempts": 3,
        "next_retry_at": None,
        "runner_id": BACKEND,
        "lease_token": uuid4(),
        "duration_ms": 120,
        "rows_affected": 4,
        "error_code": None,
        "error_msg": None,
    }
    for name in traits:
        columns |= TRAITS[name]
    columns |= given
    if "started_at" not in columns:
        columns["started_at"] = columns["plan_time"] + DELAY + timedelta(seconds=1)
    started = columns["started_at"]
    columns.setdefault("heartbeat_at", started)
    if "stale_after" not in columns:
        begun = columns["plan_time"] + LEASE if "stale" in traits else columns["heartbeat_at"]
        columns["stale_after"] = begun + LEASE
    if "finished_at" not in columns:
        columns["finished_at"] = started + timedelta(milliseconds=columns["duration_ms"])
    if "result" not in columns:
        columns["result"] = rollup_result(started - 2 * DELAY, started - DELAY)
    return columns


def put_state(connection: Connection, **columns: Any) -> dict[str, Any]:
    """Replace the one state row."""
    connection.execute("DELETE FROM task_usage_hourly_rollup_state")
    return insert(connection, "task_usage_hourly_rollup_state", {"id": 1} | columns)


def usage(connection: Connection, created_at: datetime, **columns: Any) -> dict[str, Any]:
    """One usage row with everything that it needs: workspace, runtime, agent and task of its own.

    ``updated_at`` is ``created_at`` unless given. ``with_runtime=False`` leaves the task without a
    runtime. The row has ``agent_id`` besides its columns.
    """
    workspace, agent, task = uuid4(), uuid4(), uuid4()
    runtime: UUID | None = uuid4() if columns.pop("with_runtime", True) else None
    insert(connection, "workspace", {"id": workspace})
    insert(connection, "agent", {"id": agent, "workspace_id": workspace})
    if runtime:
        insert(connection, "agent_runtime", {"id": runtime, "workspace_id": workspace})
    insert(
        connection,
        "agent_task_queue",
        {"id": task, "agent_id": agent, "runtime_id": runtime, "issue_id": None},
    )
    row = {"task_id": task, "created_at": created_at, "updated_at": created_at}
    return insert(connection, "task_usage", {**row, **USAGE, **columns}) | {"agent_id": agent}


# The columns of a usage row that no test or scenario is about.
USAGE: Mapping[str, object] = {
    "provider": "anthropic",
    "model": "claude-sonnet",
    "input_tokens": 1_000,
    "output_tokens": 200,
    "cache_read_tokens": 0,
    "cache_write_tokens": 0,
}
