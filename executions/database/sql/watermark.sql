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
