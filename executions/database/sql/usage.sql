-- Why usage shows zero: raw usage beside the buckets, from the newest rows of each index. Every query
-- reads a stated number of rows, however large the tables are. All of them only read.

-- name: shape
-- Which of the tables and columns exist, by the catalogs alone. A release from v0.4.17 on lets a
-- task be without a runtime, but only once it has ended: such a task had a runtime that was deleted.
SELECT to_regclass('task_usage') IS NOT NULL AS has_usage,
       to_regclass('task_usage_hourly') IS NOT NULL AS has_buckets,
       (SELECT count(*) = 2
          FROM pg_attribute
         WHERE attrelid = to_regclass('agent_task_queue')
           AND attname IN ('started_at', 'completed_at') AND NOT attisdropped) AS tasks_tell_times,
       EXISTS (SELECT
                 FROM pg_attribute
                WHERE attrelid = to_regclass('workspace') AND attname = 'name'
                  AND NOT attisdropped) AS workspaces_have_names,
       EXISTS (SELECT
                 FROM pg_constraint AS requirement
                 JOIN pg_attribute AS runtime
                   ON runtime.attrelid = requirement.conrelid AND runtime.attname = 'runtime_id'
                  AND runtime.attnum = ANY (requirement.conkey)
                WHERE requirement.conrelid = to_regclass('agent_task_queue')
                  AND requirement.contype = 'c') AS active_tasks_need_runtimes

-- name: newest_usage
-- When the newest raw usage was created.
SELECT created_at AS newest
  FROM task_usage
 WHERE created_at < '10000-01-01'
 ORDER BY created_at DESC
 LIMIT 1

-- name: never_due
-- Whether there is raw usage dated after the year 9999, or without end.
SELECT EXISTS (SELECT FROM task_usage WHERE created_at >= '10000-01-01') AS never_due

-- name: newest_bucket
-- The newest hour that has a bucket.
SELECT bucket_hour AS newest
  FROM task_usage_hourly
 WHERE bucket_hour < '10000-01-01'
 ORDER BY bucket_hour DESC
 LIMIT 1

-- name: agents
-- Whether there is any agent.
SELECT EXISTS (SELECT FROM agent) AS has_agents

-- name: sample
-- The newest raw usage created before a moment, by workspace. Without an agent there is no
-- workspace. Only usage with a runtime counts. It is settled if it was last changed before the
-- watermark: it should then have a bucket, or wait in the queue.
WITH newest AS MATERIALIZED (
    SELECT task_id, provider, model, created_at, coalesce(updated_at, created_at) AS changed_at
      FROM task_usage
     WHERE created_at < %(before)s
     ORDER BY created_at DESC
     LIMIT %(most)s
),
keyed AS (
    SELECT newest.created_at, newest.changed_at, newest.provider, newest.model,
           date_trunc('hour', newest.created_at, 'UTC') AS bucket_hour,
           agent.workspace_id, agent.id AS agent_id, task.runtime_id, issue.project_id,
           agent.id IS NOT NULL AND task.runtime_id IS NOT NULL AS counts,
           agent.id IS NOT NULL AND task.runtime_id IS NOT NULL
               AND newest.changed_at < %(watermark)s AS settled
      FROM newest
      LEFT JOIN agent_task_queue AS task ON task.id = newest.task_id
      LEFT JOIN agent ON agent.id = task.agent_id
      LEFT JOIN issue ON issue.id = task.issue_id
),
looked_up AS (
    SELECT keyed.*,
           counts AND EXISTS (
               SELECT FROM task_usage_hourly AS bucket
                WHERE bucket.bucket_hour = keyed.bucket_hour
                  AND bucket.workspace_id = keyed.workspace_id
                  AND bucket.runtime_id = keyed.runtime_id
                  AND bucket.agent_id = keyed.agent_id
                  AND bucket.project_id IS NOT DISTINCT FROM keyed.project_id
                  AND bucket.provider = keyed.provider
                  AND bucket.model = keyed.model) AS has_bucket,
           counts AND EXISTS (
               SELECT FROM task_usage_hourly_dirty AS queued
                WHERE queued.bucket_hour = keyed.bucket_hour
                  AND queued.workspace_id = keyed.workspace_id
                  AND queued.runtime_id = keyed.runtime_id
                  AND queued.agent_id = keyed.agent_id
                  AND queued.provider = keyed.provider
                  AND queued.model = keyed.model) AS is_queued
      FROM keyed
)
SELECT workspace_id,
       count(*) AS usage,
       count(*) FILTER (WHERE agent_id IS NOT NULL AND runtime_id IS NULL) AS without_runtime,
       count(*) FILTER (WHERE counts AND NOT settled) AS waiting,
       count(*) FILTER (WHERE settled) AS settled,
       count(*) FILTER (WHERE has_bucket) AS shown,
       count(*) FILTER (WHERE settled AND NOT has_bucket AND NOT is_queued) AS missing,
       max(created_at) AS newest,
       min(created_at) AS oldest,
       max(created_at) FILTER (WHERE settled AND has_bucket) AS newest_shown,
       min(created_at) FILTER (WHERE settled AND NOT has_bucket AND NOT is_queued)
           AS oldest_missing,
       max(changed_at) FILTER (WHERE counts AND NOT settled) AS newest_waiting
  FROM looked_up
 GROUP BY workspace_id
 ORDER BY usage DESC, workspace_id
 LIMIT 500

-- name: deleted_runtimes
-- Runtimes that are gone, but that a bucket or a queued key still has beside usage without a runtime.
WITH newest AS MATERIALIZED (
    SELECT task_id, provider, model, created_at
      FROM task_usage
     WHERE created_at < %(before)s
     ORDER BY created_at DESC
     LIMIT %(most)s
),
keyed AS (
    SELECT DISTINCT date_trunc('hour', newest.created_at, 'UTC') AS bucket_hour,
           agent.workspace_id, agent.id AS agent_id
      FROM newest
      JOIN agent_task_queue AS task ON task.id = newest.task_id
      JOIN agent ON agent.id = task.agent_id
     WHERE task.runtime_id IS NULL
),
named AS (
    SELECT bucket.runtime_id
      FROM keyed
      JOIN task_usage_hourly AS bucket USING (bucket_hour, workspace_id, agent_id)
     UNION
    SELECT queued.runtime_id
      FROM keyed
      JOIN task_usage_hourly_dirty AS queued USING (bucket_hour, workspace_id, agent_id)
)
SELECT count(*) AS deleted
  FROM named
 WHERE NOT EXISTS (SELECT FROM agent_runtime AS runtime WHERE runtime.id = named.runtime_id)

-- name: tasks
-- Tasks that ran to their end, how many of these have no usage, and how many of those ended after
-- the newest usage. No index has tasks by time, but
-- the ids of newer releases sort by it: so the newest ids of now, and the highest of all, which for
-- ids of older releases is a random choice.
WITH seen AS (
    (SELECT id, started_at, completed_at
       FROM agent_task_queue
      WHERE id <= %(newest_id)s
      ORDER BY id DESC
      LIMIT %(most)s)
     UNION
    (SELECT id, started_at, completed_at
       FROM agent_task_queue
      ORDER BY id DESC
      LIMIT %(most)s)
),
silent AS (
    SELECT completed_at
      FROM seen
     WHERE started_at IS NOT NULL AND completed_at IS NOT NULL
       AND NOT EXISTS (SELECT FROM task_usage AS usage WHERE usage.task_id = seen.id)
)
SELECT count(*) AS seen,
       count(*) FILTER (WHERE started_at IS NOT NULL AND completed_at IS NOT NULL) AS ended,
       (SELECT count(*) FROM silent) AS silent,
       (SELECT count(*) FROM silent WHERE completed_at > %(since)s) AS silent_since,
       (SELECT max(completed_at) FROM silent) AS newest_silent
  FROM seen

-- name: tasks_without_times
-- Whether there is any task, if tasks do not tell when they ran.
SELECT EXISTS (SELECT FROM agent_task_queue) AS has_tasks

-- name: workspace_names
-- The names of these workspaces.
SELECT id, name FROM workspace WHERE id = ANY (%(ids)s)
