"""Rows of Multica's tables, made by name: ``ExecutionFactory(connection=owner, plan_time=...)``.

Our models refuse to write those tables, so a factory inserts through the given psycopg connection
and returns the row as a dict. ``build`` makes the columns without inserting them. Rows are
committed, like everything on Multica's side in these tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import factory
from psycopg import sql
from psycopg.types.json import Jsonb

from executions.database.connections import Connection

DELAY = timedelta(minutes=5)
LEASE = timedelta(minutes=30)
BACKEND = "7c1f2d9a-0000-4000-8000-00000000beef"  # Multica's runners name themselves by a UUID


def insert(connection: Connection, table: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    """Insert one row and return it as stored, defaults included."""
    row = connection.execute(_insert(table, columns), _adapted(columns)).fetchone()
    assert row is not None
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


def rfc3339(moment: datetime) -> str:
    """A time as results have it: UTC, whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


class MulticaFactory(factory.Factory):
    """Inserts into the table that ``Meta.model`` names. Needs ``connection=`` to create."""

    class Meta:
        abstract = True

    @classmethod
    def _build(cls, model_class: str, *args: Any, **columns: Any) -> dict[str, Any]:
        columns.pop("connection", None)
        return columns

    @classmethod
    def _create(cls, model_class: str, *args: Any, **columns: Any) -> dict[str, Any]:
        connection: Connection = columns.pop("connection")
        return insert(connection, model_class, columns)


class ExecutionFactory(MulticaFactory):
    """A SUCCESS on the first attempt, claimed on time; give at least ``plan_time``.

    Traits: ``retried``, ``failed`` (attempts left), ``exhausted``, ``running``, ``stale`` (its
    lease ended an hour after the plan). ``watermark_before`` and ``watermark_after`` go into the
    result; None leaves them out.
    """

    class Meta:
        model = "sys_cron_executions"

    class Params:
        retried = factory.Trait(attempt=2)
        failed = factory.Trait(
            status="FAILED",
            rows_affected=None,
            result={},
            error_code="handler_error",
            error_msg="canceling statement due to statement timeout",
        )
        exhausted = factory.Trait(failed=True, attempt=3)
        running = factory.Trait(
            status="RUNNING", finished_at=None, duration_ms=None, rows_affected=None, result={}
        )
        stale = factory.Trait(
            running=True, stale_after=factory.LazyAttribute(lambda row: row.plan_time + 2 * LEASE)
        )

    id = factory.LazyFunction(uuid4)
    job_name = "rollup_task_usage_hourly"
    scope_kind = "global"
    scope_id = "global"
    status = "SUCCESS"
    attempt = 1
    max_attempts = 3
    next_retry_at: datetime | None = None
    runner_id = BACKEND
    lease_token = factory.LazyFunction(uuid4)
    started_at = factory.LazyAttribute(lambda row: row.plan_time + DELAY + timedelta(seconds=1))
    heartbeat_at = factory.SelfAttribute("started_at")
    stale_after = factory.LazyAttribute(lambda row: row.heartbeat_at + LEASE)
    duration_ms = 120
    finished_at = factory.LazyAttribute(
        lambda row: row.started_at + timedelta(milliseconds=row.duration_ms)
    )
    rows_affected = 4
    result = factory.LazyAttribute(
        lambda row: rollup_result(row.started_at - 2 * DELAY, row.started_at - DELAY)
    )
    error_code: str | None = None
    error_msg: str | None = None


def rollup_result(before: datetime | None, after: datetime | None) -> dict[str, Any]:
    """The result of a run of the rollup; a watermark that is None is left out."""
    result: dict[str, Any] = {"advisory_lock_id": 4246}
    if before is not None:
        result["watermark_before"] = rfc3339(before)
    if after is not None:
        result["watermark_after"] = rfc3339(after)
    return result


class RollupStateFactory(MulticaFactory):
    """The one state row. Emptied tables have it already: delete it first, or use `put_state`."""

    class Meta:
        model = "task_usage_hourly_rollup_state"

    id = 1


def put_state(connection: Connection, **columns: Any) -> dict[str, Any]:
    connection.execute("DELETE FROM task_usage_hourly_rollup_state")
    return RollupStateFactory(connection=connection, **columns)


class WorkspaceFactory(MulticaFactory):
    class Meta:
        model = "workspace"

    id = factory.LazyFunction(uuid4)


class RuntimeFactory(MulticaFactory):
    class Meta:
        model = "agent_runtime"

    id = factory.LazyFunction(uuid4)


class AgentFactory(MulticaFactory):
    class Meta:
        model = "agent"

    id = factory.LazyFunction(uuid4)


class IssueFactory(MulticaFactory):
    class Meta:
        model = "issue"

    id = factory.LazyFunction(uuid4)
    project_id: UUID | None = None


class TaskFactory(MulticaFactory):
    class Meta:
        model = "agent_task_queue"

    id = factory.LazyFunction(uuid4)
    runtime_id: UUID | None = None
    issue_id: UUID | None = None


class TaskUsageFactory(MulticaFactory):
    """Usage of one task; give ``task_id``, and ``created_at`` for another time than now."""

    class Meta:
        model = "task_usage"

    provider = "anthropic"
    model = "claude-sonnet"
    input_tokens = 1_000
    output_tokens = 200
    cache_read_tokens = 0
    cache_write_tokens = 0


def usage(connection: Connection, created_at: datetime, **columns: Any) -> dict[str, Any]:
    """One usage row with everything that it needs: workspace, runtime, agent and task of its own.

    ``updated_at`` is ``created_at`` unless given. ``with_runtime=False`` leaves the task without a
    runtime. The row has ``agent_id`` besides its columns.
    """
    workspace = WorkspaceFactory(connection=connection)
    agent = AgentFactory(connection=connection, workspace_id=workspace["id"])
    runtime_id = None
    if columns.pop("with_runtime", True):
        runtime_id = RuntimeFactory(connection=connection, workspace_id=workspace["id"])["id"]
    task = TaskFactory(connection=connection, agent_id=agent["id"], runtime_id=runtime_id)
    columns = {"updated_at": created_at} | columns
    row = TaskUsageFactory(
        connection=connection, task_id=task["id"], created_at=created_at, **columns
    )
    return {**row, "agent_id": agent["id"]}
