"""Rows of Multica's tables, made by name: ``ExecutionFactory(connection=owner, plan_time=...)``.

Our models refuse to write those tables, so a factory inserts through the given psycopg connection
and returns the row as a dict. ``build`` makes the columns without inserting them. Rows are
committed, like everything on Multica's side in these tests. `executions/demo/rows.py` has what the
product makes too.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import factory

from executions.database.connections import Connection
from executions.demo.rows import (
    BACKEND,
    USAGE,
    execution,
    insert,
    insert_many,
    put_state,
    rollup_result,
    usage,
)

__all__ = ["BACKEND", "ExecutionFactory", "insert_many", "put_state", "rollup_result", "usage"]


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

    `executions.demo.rows.execution` has the defaults and the traits.
    """

    class Meta:
        model = "sys_cron_executions"

    @classmethod
    def _adjust_kwargs(cls, **columns: Any) -> dict[str, Any]:
        ways = {"connection": columns.pop("connection")} if "connection" in columns else {}
        return execution(**columns) | ways


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

    @classmethod
    def _adjust_kwargs(cls, **columns: Any) -> dict[str, Any]:
        return {**USAGE, **columns}
