-- What the rollup's handler and everybody who asks how far the rollup has come send.

-- name: read
-- How far the rollup has come; no row where the state row is missing.
SELECT watermark_at FROM task_usage_hourly_rollup_state WHERE id = 1

-- name: roll_up
-- One step of the rollup, as a transaction of its own. It takes lock 4246 by itself.
SELECT rollup_task_usage_hourly() AS rows

-- name: rehearse
-- The window function over a day before any usage: it sums nothing and needs all of its rights.
SELECT rollup_task_usage_hourly_window('1969-12-30 00:00:00+00', '1969-12-31 00:00:00+00')
