-- Which changes of Multica's releases the catalogs show. Every role may read these catalogs, so no
-- right is needed: docs/contract.md section 1.

-- name: marks
-- One row. Sources of functions and definitions of indexes tell the changes that leave no table.
-- The index that v0.4.25 drops exists only beside sys_cron_executions.
WITH installed AS (
    SELECT to_regclass('task_usage') AS usage,
           to_regclass('task_usage_hourly') AS hourly,
           to_regclass('sys_cron_executions') AS executions,
           to_regclass('agent_task_queue') AS tasks,
           to_regclass('task_usage_daily') AS daily,
           to_regclass('task_usage_dashboard_daily') AS dashboard_daily
),
source AS (
    SELECT prosrc
      FROM pg_proc
     WHERE oid = to_regprocedure('rollup_task_usage_hourly()')
)
SELECT usage IS NOT NULL AS usage,
       daily IS NOT NULL OR dashboard_daily IS NOT NULL AS daily,
       hourly IS NOT NULL AS hourly,
       executions IS NOT NULL AS scheduler,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = hourly AND attname = 'cost_usd_ticks' AND NOT attisdropped)
           AS costs,
       EXISTS (SELECT FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid
                WHERE tgrelid IN (tasks, usage) AND NOT tgisinternal
                  AND concat(pg_get_triggerdef(pg_trigger.oid), prosrc)
                      ~ 'multica.workspace_teardown') AS teardown,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = tasks AND attname = 'runtime_id' AND NOT attisdropped
                  AND NOT attnotnull) AS runtimes,
       (SELECT prosrc ~ 'pg_try_advisory_xact_lock' FROM source) AS lock,
       CASE WHEN executions IS NOT NULL THEN NOT EXISTS (
            SELECT FROM pg_index
             WHERE indrelid = executions AND NOT indisunique AND indpred IS NULL
               AND pg_get_indexdef(indexrelid) ~ '\(job_name, scope_kind, scope_id, plan_time DESC\)')
       END AS index
  FROM installed
