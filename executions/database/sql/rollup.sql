-- What stands in the way of the rollup, and whether its buckets add up. All of it only reads.

-- name: queue
-- The oldest entry of the dirty queue.
SELECT min(enqueued_at) AS oldest FROM task_usage_hourly_dirty

-- name: queue_depth
-- How many entries the dirty queue has, counted up to a limit, and the oldest entry.
SELECT (SELECT count(*) FROM (SELECT FROM task_usage_hourly_dirty LIMIT %(most)s) AS counted) AS depth,
       min(enqueued_at) AS oldest
  FROM task_usage_hourly_dirty

-- name: newest
-- The newest raw usage by its creation, the newest change of any, and the newest bucket: each is an
-- end of an index. The newest change is what migration 103 compares the watermark with.
SELECT (SELECT max(created_at) FROM task_usage) AS event,
       greatest((SELECT max(updated_at) FROM task_usage),
                (SELECT max(created_at) FROM task_usage WHERE updated_at IS NULL)) AS change,
       (SELECT max(bucket_hour) FROM task_usage_hourly) AS bucket

-- name: newest_usage
-- The same where there are no buckets yet, before v0.3.5.
SELECT (SELECT max(created_at) FROM task_usage) AS event,
       greatest((SELECT max(updated_at) FROM task_usage),
                (SELECT max(created_at) FROM task_usage WHERE updated_at IS NULL)) AS change,
       NULL::timestamptz AS bucket

-- name: installed
-- The rollup's function without its comments: which kind of lock it takes, and whether it is ours by
-- the comment that provision gives it; nulls if it is missing.
SELECT source IS NOT NULL AS has_function,
       source ~ 'pg_(try_)?advisory_lock\s*\(' AS for_session,
       source ~ 'pg_(try_)?advisory_xact_lock\s*\(' AS for_transaction,
       coalesce(obj_description(function, 'pg_proc') LIKE %(mark)s, false) AS ours
  FROM (SELECT to_regprocedure('rollup_task_usage_hourly()')::oid AS function) AS named
  LEFT JOIN LATERAL (
       SELECT regexp_replace(prosrc, '--[^\n]*', '', 'g') AS source
         FROM pg_proc WHERE oid = function) AS written ON true

-- name: lock_4246
-- Who holds advisory lock 4246 of this database or waits for it, who works on the buckets, and what
-- each probably is.
-- pg_locks is the same for every role, so idle and writing are judged by it: a session in a
-- transaction holds its virtual transaction id. A backfill is idle between two slices, so a session
-- that ran the window function lately works, and so does one of our own backfill, whose name every
-- role is shown. The patterns must not match this statement itself.
WITH lock AS MATERIALIZED (
    SELECT pid, locktype, relation, mode, classid, objid, objsubid, database, granted
      FROM pg_locks
     WHERE locktype = 'advisory' OR granted AND locktype IN ('relation', 'virtualxid')
),
here AS (SELECT oid FROM pg_database WHERE datname = current_database()),
asker AS (
    SELECT pid, bool_or(granted) AS holds, bool_or(NOT granted) AS waits
      FROM lock, here
     WHERE locktype = 'advisory' AND classid = 0 AND objid = 4246 AND objsubid = 1
       AND lock.database = here.oid
     GROUP BY pid
),
writer AS (
    SELECT pid
      FROM lock, here
     WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'
       AND relation = to_regclass('task_usage_hourly') AND lock.database = here.oid
     UNION
    SELECT pid
      FROM pg_stat_activity
     WHERE datname = current_database()
       AND (starts_with(application_name, %(backfill)s)
            OR state = 'active' AND query ~ 'rollup_task_usage_hourl[y](_window)?\s*\('
            OR state_change > clock_timestamp() - %(lately)s
               AND query ~ 'rollup_task_usage_hourl[y]_window\s*\(')
)
SELECT involved.pid,
       nullif(activity.application_name, '') AS application_name,
       activity.usename::text AS user,
       activity.state,
       activity.state_change AS since,
       NOT EXISTS (SELECT FROM lock WHERE locktype = 'virtualxid' AND lock.pid = involved.pid)
           AS idle,
       coalesce(asker.holds, false) AS holds,
       coalesce(asker.waits, false) AS waits,
       EXISTS (SELECT FROM writer WHERE writer.pid = involved.pid) AS writes,
       CASE WHEN starts_with(activity.application_name, %(backfill)s) THEN 'our_backfill'
            WHEN activity.application_name ~ '^multica-admin' THEN 'our_runner'
            WHEN 'pg_cron' IN (activity.application_name, activity.backend_type) THEN 'pg_cron'
            WHEN activity.state IS NULL THEN 'hidden'
            WHEN activity.query ~ 'rollup_task_usage_hourl[y]_window\s*\(' THEN 'backfill'
            WHEN activity.query ~ 'rollup_task_usage_hourl[y]\s*\(' THEN 'rollup'
            WHEN activity.query ~* 'workspace_teardow[n]|delet[e]\s+from\s+(\w+\.)?workspace'
                THEN 'deletion'
            WHEN activity.query ~* 'code[x]' THEN 'codex_backfill'
            ELSE 'other'
       END AS work
  FROM (SELECT pid FROM asker UNION SELECT pid FROM writer) AS involved
  LEFT JOIN asker ON asker.pid IS NOT DISTINCT FROM involved.pid
  LEFT JOIN pg_stat_activity AS activity ON activity.pid = involved.pid
 WHERE involved.pid IS DISTINCT FROM pg_backend_pid()
 ORDER BY involved.pid

-- name: drift
-- Usage and buckets per hour of created_at, compared key by key below the watermark. What cannot be
-- compared is counted apart: usage without a runtime, the buckets of deleted agents, keys with usage
-- from after the watermark, and queued keys: docs/contract.md section 6.
WITH summed AS (
    SELECT date_trunc('hour', usage.created_at, 'UTC') AS bucket_hour, agent.workspace_id,
           task.runtime_id, task.agent_id, issue.project_id, usage.provider, usage.model,
           sum(usage.input_tokens + usage.output_tokens
               + usage.cache_read_tokens + usage.cache_write_tokens) AS tokens,
           count(*) AS events,
           bool_or(coalesce(usage.updated_at, usage.created_at) >= %(watermark)s) AS unsettled
      FROM task_usage AS usage
      JOIN agent_task_queue AS task ON task.id = usage.task_id
      JOIN agent ON agent.id = task.agent_id
      LEFT JOIN issue ON issue.id = task.issue_id
     WHERE usage.created_at >= %(since)s AND usage.created_at < %(until)s
     GROUP BY 1, 2, 3, 4, 5, 6, 7
),
side AS (
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
           tokens AS usage_tokens, events AS usage_events, 0 AS bucket_tokens, 0 AS bucket_events,
           unsettled, false AS orphaned
      FROM summed
     UNION ALL
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model, 0, 0,
           input_tokens + output_tokens + cache_read_tokens + cache_write_tokens, event_count,
           false, NOT EXISTS (SELECT FROM agent WHERE agent.id = bucket.agent_id)
      FROM task_usage_hourly AS bucket
     WHERE bucket_hour >= %(since)s AND bucket_hour < %(until)s
),
keyed AS (
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
           sum(usage_tokens) AS usage_tokens, sum(usage_events) AS usage_events,
           sum(bucket_tokens) AS bucket_tokens, sum(bucket_events) AS bucket_events,
           bool_or(unsettled) AS unsettled, bool_or(orphaned) AS orphaned
      FROM side
     GROUP BY 1, 2, 3, 4, 5, 6, 7
),
told_apart AS (
    SELECT bucket_hour, usage_events, bucket_events, usage_tokens, bucket_tokens,
           CASE WHEN runtime_id IS NULL THEN 'without_runtime'
                WHEN orphaned THEN 'orphaned'
                WHEN unsettled THEN 'unsettled'
                WHEN EXISTS (
                    SELECT FROM task_usage_hourly_dirty AS queued
                     WHERE queued.bucket_hour = keyed.bucket_hour
                       AND queued.workspace_id = keyed.workspace_id
                       AND queued.runtime_id = keyed.runtime_id
                       AND queued.agent_id = keyed.agent_id
                       AND queued.project_id IS NOT DISTINCT FROM keyed.project_id
                       AND queued.provider = keyed.provider
                       AND queued.model = keyed.model) THEN 'queued'
                ELSE 'compared'
           END AS part
      FROM keyed
)
SELECT bucket_hour AS hour,
       coalesce(sum(usage_events) FILTER (WHERE part = 'compared'), 0)::bigint AS usage_events,
       coalesce(sum(bucket_events) FILTER (WHERE part = 'compared'), 0)::bigint AS bucket_events,
       coalesce(sum(usage_tokens) FILTER (WHERE part = 'compared'), 0)::bigint AS usage_tokens,
       coalesce(sum(bucket_tokens) FILTER (WHERE part = 'compared'), 0)::bigint AS bucket_tokens,
       count(*) FILTER (
           WHERE part = 'compared'
             AND (usage_events <> bucket_events OR usage_tokens <> bucket_tokens)) AS keys,
       count(*) FILTER (WHERE part = 'compared') AS keys_compared,
       coalesce(sum(greatest(usage_events - bucket_events, 0))
                FILTER (WHERE part = 'compared'), 0)::bigint AS missed_events,
       coalesce(sum(greatest(bucket_events - usage_events, 0))
                FILTER (WHERE part = 'compared'), 0)::bigint AS surplus_events,
       coalesce(sum(usage_events) FILTER (WHERE part = 'without_runtime'), 0)::bigint
           AS without_runtime_events,
       coalesce(sum(bucket_events) FILTER (WHERE part = 'orphaned'), 0)::bigint AS orphaned_events,
       coalesce(sum(usage_events) FILTER (WHERE part = 'unsettled'), 0)::bigint
           AS unsettled_events,
       coalesce(sum(greatest(usage_events, bucket_events)) FILTER (WHERE part = 'queued'), 0)
           ::bigint AS queued_events
  FROM told_apart
 GROUP BY bucket_hour
 ORDER BY bucket_hour
