"""What `provision` creates: the tables, indexes, functions and triggers of the contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from executions.database.connections import Connection
from executions.rollup.provision import (
    TABLES,
)
from tests.database.rollup_world import number

Connect = Callable[..., Connection]

# docs/contract.md sections 2 and 4. A question mark is a column that may be null.
COLUMNS = {
    "workspace": "id uuid",
    "agent_runtime": "id uuid, workspace_id uuid",
    "agent": "id uuid, workspace_id uuid",
    "issue": "id uuid, workspace_id uuid, project_id uuid?",
    "agent_task_queue": "id uuid, agent_id uuid, runtime_id uuid?, issue_id uuid?",
    "task_usage": "id uuid, task_id uuid, provider text, model text, input_tokens bigint,"
    " output_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,"
    " cost_usd_ticks bigint?, created_at timestamptz, updated_at timestamptz?",
    "task_usage_hourly": "bucket_hour timestamptz, workspace_id uuid, runtime_id uuid,"
    " agent_id uuid, project_id uuid?, provider text, model text, input_tokens bigint,"
    " output_tokens bigint, cache_read_tokens bigint, cache_write_tokens bigint,"
    " cost_usd_ticks bigint, uncosted_input_tokens bigint?, uncosted_output_tokens bigint?,"
    " uncosted_cache_read_tokens bigint?, uncosted_cache_write_tokens bigint?,"
    " task_count bigint, event_count bigint, updated_at timestamptz",
    "task_usage_hourly_rollup_state": "id smallint, watermark_at timestamptz,"
    " last_run_started_at timestamptz?, last_run_finished_at timestamptz?,"
    " last_run_rows bigint?, last_error text?",
    "task_usage_hourly_dirty": "bucket_hour timestamptz, workspace_id uuid, runtime_id uuid,"
    " agent_id uuid, project_id uuid?, provider text, model text, enqueued_at timestamptz",
    "sys_cron_executions": "id uuid, job_name text, scope_kind text, scope_id text,"
    " plan_time timestamptz, status text, attempt integer, max_attempts integer,"
    " next_retry_at timestamptz?, runner_id text?, lease_token uuid, heartbeat_at timestamptz?,"
    " stale_after timestamptz?, started_at timestamptz?, finished_at timestamptz?,"
    " duration_ms integer?, rows_affected bigint?, result jsonb, error_code text?,"
    " error_msg text?, created_at timestamptz, updated_at timestamptz",
}

# Every index, and its name if it is a constraint.
INDEXES = {
    "task_usage_hourly": {
        "uq_task_usage_hourly_key": "UNIQUE (bucket_hour, workspace_id, runtime_id, agent_id,"
        " project_id, provider, model) NULLS NOT DISTINCT",
    },
    "sys_cron_executions": {
        "sys_cron_executions_pkey": "UNIQUE (id)",
        "uq_sys_cron_execution": "UNIQUE (job_name, scope_kind, scope_id, plan_time)",
        "idx_sys_cron_exec_failed_recent": "(job_name, plan_time DESC)"
        " WHERE (status = 'FAILED'::text)",
        "idx_sys_cron_exec_running_stale": "(stale_after) WHERE (status = 'RUNNING'::text)",
        "idx_sys_cron_exec_finished": "(finished_at)"
        " WHERE (status = ANY (ARRAY['SUCCESS'::text, 'FAILED'::text]))",
    },
}

FUNCTIONS = {
    "task_usage_hour_bucket(timestamptz) -> timestamptz",
    "rollup_task_usage_hourly_window(timestamptz, timestamptz) -> bigint",
    "rollup_task_usage_hourly() -> bigint",
    "prune_task_usage_hourly_dirty(interval) -> bigint",
    "task_usage_hourly_rollup_lag_seconds() -> double precision",
}


@pytest.mark.parametrize("table", TABLES)
def test_a_table_has_the_columns_of_the_contract(owner: Connection, table: str) -> None:
    query = """
        SELECT string_agg(format('%%s %%s%%s', attname, format_type(atttypid, atttypmod),
                                 CASE WHEN attnotnull THEN '' ELSE '?' END), ', ' ORDER BY attnum)
          FROM pg_attribute
         WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
    """
    columns = number(owner, query, [table])
    assert columns.replace("timestamp with time zone", "timestamptz") == COLUMNS[table]


@pytest.mark.parametrize("table", sorted(INDEXES))
def test_a_table_has_the_indexes_of_a_real_install_and_no_others(
    owner: Connection, table: str
) -> None:
    rows = owner.execute("SELECT * FROM pg_indexes WHERE tablename = %s", [table])
    found = {
        row["indexname"]: ("UNIQUE " if " UNIQUE " in row["indexdef"] else "")
        + row["indexdef"].split(" USING btree ")[1]
        for row in rows
    }
    assert found == INDEXES[table]


def test_constraints_have_the_names_and_conditions_of_the_contract(owner: Connection) -> None:
    query = """
        SELECT conname, pg_get_constraintdef(oid) AS condition
          FROM pg_constraint
         WHERE conrelid IN ('sys_cron_executions'::regclass, 'task_usage_hourly_dirty'::regclass)
           AND contype IN ('c', 'u')
    """
    assert {row["conname"]: row["condition"] for row in owner.execute(query)} == {
        "uq_sys_cron_execution": "UNIQUE (job_name, scope_kind, scope_id, plan_time)",
        "chk_sys_cron_status": "CHECK ((status = ANY"
        " (ARRAY['RUNNING'::text, 'SUCCESS'::text, 'FAILED'::text])))",
        "chk_sys_cron_attempt": "CHECK (((attempt >= 1) AND (max_attempts >= attempt)))",
        "chk_sys_cron_duration": "CHECK (((duration_ms IS NULL) OR (duration_ms >= 0)))",
        "uq_task_usage_hourly_dirty_key": "UNIQUE NULLS NOT DISTINCT (bucket_hour, workspace_id,"
        " runtime_id, agent_id, project_id, provider, model)",
    }


def test_functions_have_the_names_and_signatures_of_the_contract(owner: Connection) -> None:
    query = """
        SELECT format('%s(%s) -> %s', proname, oidvectortypes(proargtypes), prorettype::regtype)
               AS signature
          FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace AND prorettype <> 'trigger'::regtype
           AND proname LIKE '%task_usage%'
    """
    found = {row["signature"] for row in owner.execute(query)}
    assert {one.replace("timestamp with time zone", "timestamptz") for one in found} == FUNCTIONS


def test_four_triggers_fill_the_queue(owner: Connection) -> None:
    query = """
        SELECT tgrelid::regclass::text AS name FROM pg_trigger
         WHERE NOT tgisinternal AND tgname LIKE 'trg_%'
    """
    tables = sorted(row["name"] for row in owner.execute(query))
    assert tables == ["agent_task_queue", "issue", "issue", "task_usage"]


def test_an_execution_gets_the_defaults_of_the_contract(owner: Connection) -> None:
    row = owner.execute(
        "INSERT INTO sys_cron_executions (job_name, plan_time, status, lease_token)"
        " VALUES ('any', now(), 'RUNNING', gen_random_uuid()) RETURNING *"
    ).fetchone()
    assert row is not None
    assert (row["scope_kind"], row["scope_id"]) == ("global", "global")
    assert (row["attempt"], row["max_attempts"], row["result"]) == (1, 3, {})
    assert None not in (row["id"], row["created_at"], row["updated_at"])
