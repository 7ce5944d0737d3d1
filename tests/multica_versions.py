"""Databases of Multica at points of its history, made from `tests/upstream.sql`.

That file has the tables of a current release. Each older point takes away what a newer release
added, and adds what it dropped. Only what the rollup and the dashboard need is there.
"""

from enum import StrEnum
from pathlib import Path

from executions.database.connections import Connection

_CURRENT = (Path(__file__).parent / "upstream.sql").read_text("utf-8")


class Point(StrEnum):
    """A release, or an upgrade that stopped on its way to one."""

    DAILY = "v0.3.4"
    STOPPED = "v0.3.5, stopped at migration 103"
    HOURLY = "v0.3.5"
    SCHEDULER = "v0.3.17"
    NEWEST = "newest"


# What queues keys is of no interest here, so the triggers do nothing.
_TRIGGERS = """
CREATE FUNCTION enqueue_nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER trg_tu_dirty_hourly BEFORE DELETE ON task_usage
    FOR EACH ROW {when} EXECUTE FUNCTION enqueue_nothing();
"""
_HEEDS_TEARDOWN = "WHEN (current_setting('multica.workspace_teardown', true) IS DISTINCT FROM 'on')"

# The functions from before the columns of costs and before the lock of a transaction.
_OLDER_FUNCTIONS = (
    ("usage.cache_write_tokens, usage.cost_usd_ticks,", "usage.cache_write_tokens,"),
    ("coalesce(sum(cost_usd_ticks), 0) AS ticks,", ""),
    ("cache_write_tokens, cost_usd_ticks,\n                                       task_count",
     "cache_write_tokens,\n                                       task_count"),
    ("cost_usd_ticks = excluded.cost_usd_ticks, ", ""),
    ("pg_try_advisory_xact_lock(4246)", "pg_try_advisory_lock(4246)"),
    ("    RETURN changed;\nEND $$;\n\nINSERT",
     "    PERFORM pg_advisory_unlock(4246);\n    RETURN changed;\nEND $$;\n\nINSERT"),
)  # fmt: skip
_WITHOUT_LATER_COLUMNS = """
ALTER TABLE task_usage DROP COLUMN cost_usd_ticks;
ALTER TABLE task_usage_hourly
    DROP COLUMN cost_usd_ticks, DROP COLUMN uncosted_input_tokens,
    DROP COLUMN uncosted_output_tokens, DROP COLUMN uncosted_cache_read_tokens,
    DROP COLUMN uncosted_cache_write_tokens;
ALTER TABLE agent_task_queue ALTER COLUMN runtime_id SET NOT NULL;
CREATE INDEX idx_sys_cron_executions_job
    ON sys_cron_executions (job_name, scope_kind, scope_id, plan_time DESC);
"""
_WITHOUT_SCHEDULER = "DROP TABLE sys_cron_executions;"
_WITHOUT_HOURLY = """
DROP FUNCTION rollup_task_usage_hourly();
DROP FUNCTION rollup_task_usage_hourly_window(timestamptz, timestamptz);
DROP FUNCTION task_usage_hour_bucket(timestamptz);
DROP TABLE task_usage_hourly, task_usage_hourly_dirty, task_usage_hourly_rollup_state;
"""
_DAILY = """
CREATE TABLE task_usage_daily (bucket_date date, workspace_id uuid, input_tokens bigint);
CREATE TABLE task_usage_dashboard_daily (bucket_date date, workspace_id uuid, input_tokens bigint);
CREATE TABLE task_usage_rollup_state (id smallint PRIMARY KEY, watermark_at timestamptz);
"""


def build(connection: Connection, point: Point) -> None:
    """Make the tables and functions of ``point`` in an empty database, with upstream's history."""
    connection.execute(statements_of(point))


def statements_of(point: Point) -> str:
    if point is Point.NEWEST:
        return _CURRENT + _TRIGGERS.format(when=_HEEDS_TEARDOWN)
    made = _CURRENT + _TRIGGERS.format(when="")
    for newer, older in _OLDER_FUNCTIONS:
        assert newer in made, newer
        made = made.replace(newer, older)
    made += _WITHOUT_LATER_COLUMNS
    if point is not Point.SCHEDULER:
        made += _WITHOUT_SCHEDULER
    if point is Point.DAILY:
        made += _WITHOUT_HOURLY
    if point in {Point.DAILY, Point.STOPPED}:
        made += _DAILY
    return made
