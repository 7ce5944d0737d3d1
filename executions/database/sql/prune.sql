-- Removes old executions, batch by batch, along the index on finished_at. The newest row of each
-- scope stays, so that planning and lag never lose their anchor.

-- name: count_batch
-- How many of the next old executions could be removed, and where the batch ended.
WITH old AS MATERIALIZED (
    SELECT id, job_name, scope_kind, scope_id, plan_time, finished_at
      FROM sys_cron_executions
     WHERE status IN ('SUCCESS', 'FAILED') AND status = %(status)s
       AND finished_at >= %(after)s AND finished_at < %(before)s
       AND (finished_at, id) > (%(after)s, %(after_id)s)
     ORDER BY finished_at, id
     LIMIT %(most)s
), removable AS (
    SELECT FROM old
     WHERE EXISTS (SELECT FROM sys_cron_executions AS newer
                    WHERE newer.job_name = old.job_name AND newer.scope_kind = old.scope_kind
                      AND newer.scope_id = old.scope_id AND newer.plan_time > old.plan_time)
)
SELECT (SELECT count(*) FROM removable) AS rows, last.finished_at AS after, last.id AS after_id
  FROM (SELECT finished_at, id FROM old ORDER BY finished_at DESC, id DESC LIMIT 1) AS last

-- name: remove_batch
-- Remove the next old executions and return where the batch ended. Skip rows that another session
-- writes.
WITH old AS MATERIALIZED (
    SELECT id, job_name, scope_kind, scope_id, plan_time, finished_at
      FROM sys_cron_executions
     WHERE status IN ('SUCCESS', 'FAILED') AND status = %(status)s
       AND finished_at >= %(after)s AND finished_at < %(before)s
       AND (finished_at, id) > (%(after)s, %(after_id)s)
     ORDER BY finished_at, id
     LIMIT %(most)s
       FOR UPDATE SKIP LOCKED
), removed AS (
    DELETE FROM sys_cron_executions AS execution
     USING old
     WHERE execution.id = old.id
       AND EXISTS (SELECT FROM sys_cron_executions AS newer
                    WHERE newer.job_name = old.job_name AND newer.scope_kind = old.scope_kind
                      AND newer.scope_id = old.scope_id AND newer.plan_time > old.plan_time)
    RETURNING 1
)
SELECT (SELECT count(*) FROM removed) AS rows, last.finished_at AS after, last.id AS after_id
  FROM (SELECT finished_at, id FROM old ORDER BY finished_at DESC, id DESC LIMIT 1) AS last

-- name: bound_batch
-- A batch keeps its rows locked as long as it runs, so it must not run long.
SELECT set_config('statement_timeout', '60s', false),
       set_config('lock_timeout', '5s', false),
       set_config('client_connection_check_interval', '1s', false)

-- name: before
-- The moment before which an execution is old, by the database's clock.
SELECT now() - %(age)s::interval AS before
