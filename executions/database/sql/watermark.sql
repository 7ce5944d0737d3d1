-- What the rollup's handler sends, and everybody who reads the watermark.

-- name: read
-- The watermark; no row if the state row is missing.
SELECT watermark_at FROM task_usage_hourly_rollup_state WHERE id = 1

-- name: roll_up
-- One step of the rollup, as a transaction of its own. The function takes lock 4246 itself.
SELECT rollup_task_usage_hourly() AS rows

-- name: rehearse
-- The window function over a day before any usage. It sums nothing and needs every right of a real
-- run.
SELECT rollup_task_usage_hourly_window('1969-12-30 00:00:00+00', '1969-12-31 00:00:00+00')

-- name: take_turn
-- Whether this session is the only one that runs the rollup at an operator's command. The lock is
-- for the session, whose connection is closed when the run has ended.
SELECT pg_try_advisory_lock(%(turn)s) AS taken

-- name: turn_is_free
-- Whether no session has that turn. A standby does not show the locks of its primary: null.
SELECT CASE WHEN NOT pg_is_in_recovery() THEN NOT EXISTS (
       SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND granted
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid = 0 AND objid = %(turn)s::bigint::oid AND objsubid = 1) END AS free

-- name: clock
-- The database's clock.
SELECT clock_timestamp() AS now
