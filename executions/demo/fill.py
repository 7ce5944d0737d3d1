"""Writes the made-up week into an empty embedded database, completely or not at all."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import uuid4

from django.conf import settings
from psycopg import Cursor, errors
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from executions.database.connections import Connection, connect
from executions.database.our_locks import OurLock
from executions.database.sql import load
from executions.demo.history import (
    WEEK,
    DemoExecution,
    Population,
    Usage,
    plans,
    usage,
    watermark_after,
    world,
)
from executions.demo.worlds import database_now
from executions.scheduler.jobs import ROLLUP

SQL = load("demo")
SCHEDULE_NAME = "rollup_task_usage_hourly"
# Two minutes past each plan, so that both the in-process runs and the schedule find work.
SCHEDULE = "2-59/5 * * * *"


def is_demo(connection: Connection) -> bool:
    """Whether the database behind ``connection`` holds the demo."""
    try:
        (row,) = connection.execute(SQL.exists, {"workspace": world().workspaces[0]})
    except errors.UndefinedTable:
        return False
    return bool(row["is_demo"])


def fill(connection: Connection, *, scheduled: bool = True) -> bool:
    """Write the demo into an unused database. Return False if the database is in use.

    If ``scheduled``, it has a redundant pg_cron job.

    ``connection`` belongs to the owner of Multica's tables. It is one transaction; concurrent calls
    are safe.
    """
    with connection.transaction():
        connection.execute(SQL.seed_lock, {"key": OurLock.SEED})
        (row,) = connection.execute(SQL.is_empty)
        if not row["empty"]:
            return False
        now = database_now(connection)
        inhabitants, made, used = world(), plans(now), list(usage(now))
        watermark = watermark_after(made)
        with connection.cursor() as cursor:
            _copy_world(cursor, inhabitants)
            _copy_plans(cursor, made)
            _copy_usage(cursor, inhabitants, [row for row in used if row.created_at < watermark])
            _settle(connection, now, watermark, made[-1])
            # Usage that no run has seen yet comes last, because a run sums a bucket's whole hour.
            _copy_usage(cursor, inhabitants, [row for row in used if row.created_at >= watermark])
        if scheduled:
            _schedule(connection)
        return True


def _schedule(connection: Connection) -> None:
    """Give the demo a redundant pg_cron job, once: it may be retired later."""
    (row,) = connection.execute(SQL.has_pg_cron)
    if row["has_pg_cron"]:
        connection.execute(SQL.schedule, {"name": SCHEDULE_NAME, "schedule": SCHEDULE})


def trickle_connection() -> Connection:
    return connect(settings.RUNNER_CONNINFO, application_name="multica-admin demo usage")


def _copy_world(cursor: Cursor[DictRow], inhabitants: Population) -> None:
    for statement, rows in (
        ("COPY workspace (id) FROM STDIN", [(one,) for one in inhabitants.workspaces]),
        ("COPY agent_runtime (id, workspace_id) FROM STDIN", inhabitants.runtimes),
        ("COPY agent (id, workspace_id) FROM STDIN", inhabitants.agents),
        ("COPY issue (id, workspace_id, project_id) FROM STDIN", inhabitants.issues),
    ):
        _copy(cursor, statement, rows)


def _copy(cursor: Cursor[DictRow], statement: str, rows: Iterable[Sequence[object]]) -> None:
    with cursor.copy(statement.encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _copy_usage(cursor: Cursor[DictRow], inhabitants: Population, rows: list[Usage]) -> None:
    tasks = [uuid4() for _ in rows]
    _copy(
        cursor,
        "COPY agent_task_queue (id, agent_id, runtime_id, issue_id) FROM STDIN",
        ((task, *inhabitants.of(row)) for task, row in zip(tasks, rows, strict=True)),
    )
    _copy(
        cursor,
        "COPY task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens,"
        " cache_write_tokens, cost_usd_ticks, created_at, updated_at) FROM STDIN",
        (
            (task, row.provider, row.model, *row.tokens, row.cost_usd_ticks, *[row.created_at] * 2)
            for task, row in zip(tasks, rows, strict=True)
        ),
    )


def _copy_plans(cursor: Cursor[DictRow], made: list[DemoExecution]) -> None:
    rows = (
        (plan.id, ROLLUP.name, plan.plan_time, plan.status, plan.attempt, ROLLUP.max_attempts,
         plan.runner_id, plan.lease_token, plan.started_at,
         plan.started_at + ROLLUP.stale_timeout, plan.started_at, plan.finished_at,
         plan.duration_ms, plan.rows_affected, Jsonb(plan.result), plan.error_code,
         plan.error_msg, plan.started_at, plan.finished_at)
        for plan in made
    )  # fmt: skip
    _copy(
        cursor,
        "COPY sys_cron_executions (id, job_name, plan_time, status, attempt, max_attempts,"
        " runner_id, lease_token, heartbeat_at, stale_after, started_at, finished_at, duration_ms,"
        " rows_affected, result, error_code, error_msg, created_at, updated_at) FROM STDIN",
        rows,
    )


def _settle(
    connection: Connection, now: datetime, watermark: datetime, last: DemoExecution
) -> None:
    connection.execute(
        SQL.set_watermark,
        {
            "watermark": watermark,
            "started_at": last.started_at,
            "finished_at": last.finished_at,
            "rows": last.rows_affected,
        },
    )
    connection.execute(SQL.build_buckets, {"since": now - WEEK, "until": watermark})
