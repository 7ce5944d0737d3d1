-- Every statement of a backfill, sent on the one connection that it holds for its whole walk. Each
-- is a transaction of its own: docs/contract.md section 4, "Backfill".

-- name: extent
-- The first and the last time at which a usage row was changed, each from an index. Times outside
-- the calendar are left out, and so is its last month, because no month follows it.
SELECT now() AS now,
       least((SELECT min(updated_at) FROM task_usage
               WHERE updated_at BETWEEN '0001-01-01 UTC' AND '9999-12-01 UTC'),
             (SELECT min(created_at) FROM task_usage
               WHERE updated_at IS NULL
                 AND created_at BETWEEN '0001-01-01 UTC' AND '9999-12-01 UTC')) AS oldest,
       greatest((SELECT max(updated_at) FROM task_usage
                  WHERE updated_at BETWEEN '0001-01-01 UTC' AND '9999-12-01 UTC'),
                (SELECT max(created_at) FROM task_usage
                  WHERE updated_at IS NULL
                    AND created_at BETWEEN '0001-01-01 UTC' AND '9999-12-01 UTC')) AS newest,
       EXISTS (SELECT FROM task_usage WHERE created_at < '0001-01-01 UTC')
           OR EXISTS (SELECT FROM task_usage WHERE created_at > '9999-12-01 UTC')
           AS created_beyond,
       EXISTS (SELECT FROM task_usage WHERE updated_at < '0001-01-01 UTC')
           OR EXISTS (SELECT FROM task_usage WHERE updated_at > '9999-12-01 UTC')
           AS updated_beyond,
       (SELECT watermark_at FROM task_usage_hourly_rollup_state WHERE id = 1) AS watermark_at

-- name: bound_wait
-- Wait for the lock no longer than this, let a month's work take as long as it needs, and end with
-- the client if the client dies. A month is much to sort and group, and compiling it does not pay.
SELECT set_config('lock_timeout', %(milliseconds)s::text, false),
       set_config('statement_timeout', '0', false),
       set_config('idle_session_timeout', '0', false),
       set_config('client_connection_check_interval', '1s', false),
       set_config('default_transaction_isolation', 'read committed', false),
       set_config('work_mem', greatest(pg_size_bytes(current_setting('work_mem')) / 1024, 65536)
                              ::text, false),
       set_config('jit', 'off', false)

-- name: take_lock
-- The lock of every rollup, held until this session ends. Raises after the time of bound_wait.
SELECT pg_advisory_lock(4246)

-- name: announce
-- Let every role see how far the walk is.
SELECT set_config('application_name', %(name)s, false)

-- name: usage_estimate
-- About how many usage rows were last changed from one time to another: the planner's guess.
EXPLAIN (FORMAT JSON)
SELECT FROM task_usage
 WHERE updated_at >= %(since)s AND updated_at < %(until)s
    OR updated_at IS NULL AND created_at >= %(since)s AND created_at < %(until)s

-- name: usage_by_month
-- How many usage rows were last changed in each UTC month. It reads the whole table.
SELECT date_trunc('month', coalesce(updated_at, created_at), 'UTC') AS since, count(*) AS rows
  FROM task_usage
 WHERE coalesce(updated_at, created_at) BETWEEN '0001-01-01 UTC' AND '9999-12-01 UTC'
 GROUP BY 1

-- name: usage_rows
-- How many usage rows were last changed within a slice.
SELECT (SELECT count(*) FROM task_usage
         WHERE updated_at >= %(since)s AND updated_at < %(until)s)
     + (SELECT count(*) FROM task_usage
         WHERE updated_at IS NULL AND created_at >= %(since)s AND created_at < %(until)s) AS rows

-- name: clock
-- The database's time before a slice begins.
SELECT now() AS now

-- name: roll_up_slice
-- Sum every bucket again that has a usage row of the slice.
SELECT rollup_task_usage_hourly_window(%(since)s, %(until)s) AS rows

-- name: stamp
-- Set the watermark, even if the state row was lost.
WITH stamped AS (
    UPDATE task_usage_hourly_rollup_state SET watermark_at = %(watermark)s WHERE id = 1
    RETURNING id
)
INSERT INTO task_usage_hourly_rollup_state (id, watermark_at)
SELECT 1, %(watermark)s WHERE NOT EXISTS (SELECT FROM stamped)
