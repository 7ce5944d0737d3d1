"""PURE: the statements that several explanations show. All but the last read as the dashboard."""

from django.utils.translation import gettext_lazy as _

from executions.health.explain.explanation import ExplainedStatement, LeastRole
from executions.health.remedies import ALL_JOBS

LATEST_RUNS = ExplainedStatement(
    _("The latest 20 runs, newest first"),
    """SELECT plan_time, status, attempt, rows_affected, finished_at, error_code, error_msg,
       result ->> 'watermark_after' AS watermark_after
  FROM sys_cron_executions
 WHERE job_name = 'rollup_task_usage_hourly'
   AND scope_kind = 'global' AND scope_id = 'global'
 ORDER BY plan_time DESC
 LIMIT 20;""",
)
FAILED_RUNS = ExplainedStatement(
    _("The failed runs among the latest day of plans"),
    """SELECT plan_time, attempt, max_attempts, finished_at, error_code, error_msg
  FROM (SELECT plan_time, status, attempt, max_attempts, finished_at, error_code,
               error_msg
          FROM sys_cron_executions
         WHERE job_name = 'rollup_task_usage_hourly'
           AND scope_kind = 'global' AND scope_id = 'global'
         ORDER BY plan_time DESC
         LIMIT 288) AS latest
 WHERE status = 'FAILED';""",
)
RETRIED_RUNS = ExplainedStatement(
    _("The runs of the latest day that needed more than one attempt"),
    """SELECT plan_time, attempt, runner_id, started_at, finished_at
  FROM (SELECT plan_time, status, attempt, runner_id, started_at, finished_at
          FROM sys_cron_executions
         WHERE job_name = 'rollup_task_usage_hourly'
           AND scope_kind = 'global' AND scope_id = 'global'
         ORDER BY plan_time DESC
         LIMIT 288) AS latest
 WHERE status = 'SUCCESS' AND attempt > 1;""",
)
OPEN_RUNS = ExplainedStatement(
    _("Every run that has not ended, and when its lease ends"),
    """SELECT job_name, plan_time, runner_id, heartbeat_at, stale_after,
       stale_after < now() AS stale
  FROM sys_cron_executions
 WHERE status = 'RUNNING'
 ORDER BY stale_after;""",
)
GAPS = ExplainedStatement(
    _("Neighbouring plans of the latest day that are more than five minutes apart"),
    """SELECT *
  FROM (SELECT lag(plan_time) OVER (ORDER BY plan_time) AS after_plan, plan_time AS next_plan
          FROM (SELECT plan_time FROM sys_cron_executions
                 WHERE job_name = 'rollup_task_usage_hourly'
                   AND scope_kind = 'global' AND scope_id = 'global'
                 ORDER BY plan_time DESC
                 LIMIT 288) AS latest) AS neighbours
 WHERE next_plan - after_plan > interval '5 minutes'
 ORDER BY next_plan DESC;""",
)
WAITS = ExplainedStatement(
    _("The runs of the latest day that were held for longer than they worked"),
    """SELECT plan_time, runner_id, finished_at - started_at AS held,
       duration_ms * interval '1 millisecond' AS worked
  FROM (SELECT plan_time, runner_id, started_at, finished_at, duration_ms
          FROM sys_cron_executions
         WHERE job_name = 'rollup_task_usage_hourly'
           AND scope_kind = 'global' AND scope_id = 'global'
         ORDER BY plan_time DESC
         LIMIT 288) AS latest
 WHERE finished_at - started_at
       > duration_ms * interval '1 millisecond' + interval '30 seconds';""",
)
OTHER_JOBS_THEN = ExplainedStatement(
    _("Runs of other jobs that took more than a minute"),
    """SELECT job_name, scope_id, plan_time, runner_id, started_at, duration_ms
  FROM (SELECT job_name, scope_id, plan_time, runner_id, started_at, duration_ms
          FROM sys_cron_executions
         WHERE status IN ('SUCCESS', 'FAILED')
         ORDER BY finished_at DESC
         LIMIT 1000) AS latest
 WHERE duration_ms > 60000
 ORDER BY started_at DESC;""",
)
JUMPS = ExplainedStatement(
    _("Where each of the latest 13 runs left the watermark, and where the next one found it"),
    """SELECT plan_time, result ->> 'watermark_before' AS found_at,
       lag(result ->> 'watermark_after') OVER (ORDER BY plan_time) AS left_at
  FROM (SELECT plan_time, result FROM sys_cron_executions
         WHERE job_name = 'rollup_task_usage_hourly'
           AND scope_kind = 'global' AND scope_id = 'global' AND status = 'SUCCESS'
         ORDER BY plan_time DESC
         LIMIT 13) AS latest
 ORDER BY plan_time DESC;""",
)
ODD_TIMES = ExplainedStatement(
    _("The runs of the latest day whose times cannot be"),
    """SELECT plan_time, started_at, finished_at, runner_id
  FROM (SELECT plan_time, started_at, finished_at, runner_id
          FROM sys_cron_executions
         WHERE job_name = 'rollup_task_usage_hourly'
           AND scope_kind = 'global' AND scope_id = 'global'
         ORDER BY plan_time DESC
         LIMIT 288) AS latest
 WHERE started_at < plan_time OR finished_at < started_at
    OR plan_time > now() OR started_at > now() OR finished_at > now();""",
)
WATERMARK = ExplainedStatement(
    _("The watermark, its lag, and the age of the last run"),
    """SELECT watermark_at, now() - watermark_at AS lag,
       now() - last_run_finished_at AS last_run_age
  FROM task_usage_hourly_rollup_state;""",
)
HOLDERS = ExplainedStatement(
    _("Who holds advisory lock 4246 in this database, or waits for it"),
    """SELECT pid, granted, application_name, usename, state, state_change
  FROM pg_locks JOIN pg_stat_activity USING (pid)
 WHERE locktype = 'advisory' AND classid = 0 AND objid = 4246 AND objsubid = 1
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database());""",
)
SESSIONS = ExplainedStatement(
    _("Who is connected to this database: Multica's backend should be among them"),
    """SELECT pid, usename, application_name, client_addr, backend_start, state
  FROM pg_stat_activity
 WHERE datname = current_database()
 ORDER BY backend_start;""",
)
NEWEST_USAGE = ExplainedStatement(
    _("The newest raw usage: if it is recent, Multica records usage"),
    "SELECT max(created_at) AS newest_usage FROM task_usage;",
)
JOBS = ExplainedStatement(
    _("Every job of pg_cron, in the database where pg_cron is installed"),
    ALL_JOBS,
    LeastRole.ADMINISTRATOR,
)
