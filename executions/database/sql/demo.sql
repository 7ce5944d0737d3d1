-- Demo data, for the embedded database only: see executions/demo.

-- name: exists
-- Whether this database holds the demo: its first workspace has a known id.
SELECT EXISTS (SELECT FROM workspace WHERE id = %(workspace)s) AS is_demo

-- name: is_empty
-- Whether this database is unused.
SELECT NOT EXISTS (SELECT FROM workspace) AND NOT EXISTS (SELECT FROM sys_cron_executions) AS empty

-- name: now
-- The database's clock.
SELECT now() AS now

-- name: libraries
-- The libraries with which the server started.
SELECT current_setting('shared_preload_libraries') AS libraries

-- name: seed_lock
-- Only one process fills at a time. The lock ends with the transaction.
SELECT pg_advisory_xact_lock(%(key)s)

-- name: set_watermark
-- Set the state row to the end of the made-up history.
INSERT INTO task_usage_hourly_rollup_state (id, watermark_at, last_run_started_at, last_run_finished_at, last_run_rows)
VALUES (1, %(watermark)s, %(started_at)s, %(finished_at)s, %(rows)s)
ON CONFLICT (id) DO UPDATE
   SET watermark_at = excluded.watermark_at,
       last_run_started_at = excluded.last_run_started_at,
       last_run_finished_at = excluded.last_run_finished_at,
       last_run_rows = excluded.last_run_rows

-- name: build_buckets
-- Sum the made-up usage into hours, as the runs of that week would have done.
SELECT rollup_task_usage_hourly_window(%(since)s, %(until)s) AS rows

-- name: trickle_lock
-- Only one process trickles. The lock lives as long as its connection.
SELECT pg_try_advisory_lock(%(key)s) AS won

-- name: trickle_task
-- A task that has just used a model.
INSERT INTO agent_task_queue (id, agent_id, runtime_id, issue_id)
VALUES (%(id)s, %(agent_id)s, %(runtime_id)s, %(issue_id)s)

-- name: trickle_usage
-- The usage of that task, at the database's own time.
INSERT INTO task_usage (task_id, provider, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd_ticks)
VALUES (%(task_id)s, %(provider)s, %(model)s, %(input)s, %(output)s, %(cache_read)s, %(cache_write)s, %(cost)s)

-- name: has_pg_cron
-- Whether this database has the extension.
SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AS has_pg_cron

-- name: schedule
-- The redundant schedule of an older install. Its owner is the role that runs this statement.
SELECT cron.schedule(%(name)s, %(schedule)s, 'SELECT rollup_task_usage_hourly()')
