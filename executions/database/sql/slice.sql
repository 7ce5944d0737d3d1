-- One slice of a backfill, summed by statements of our own instead of the installed window function.
-- They give the same buckets as each function that executions/rollup/proven.py names, and they read
-- the usage of the touched hours once. docs/contract.md section 4, "Backfill".
--
-- executions/rollup/summing.py makes one statement of slice_sums, which is "bucket" there, of one
-- of the upserts, of empty_buckets, of keep_queued where it applies, and of count_changed.

-- name: window_source
-- The hash of the installed window function's source, null without one; whether its helper still
-- cuts at UTC hours; and whether a task has one usage row at most per provider and model.
SELECT (SELECT encode(sha256(convert_to(prosrc, 'UTF8')), 'hex')
          FROM pg_proc
         WHERE oid = to_regprocedure(
                   'rollup_task_usage_hourly_window(timestamptz, timestamptz)')) AS sha256,
       (SELECT bool_and(task_usage_hour_bucket(probe) = date_trunc('hour', probe, 'UTC'))
          FROM generate_series('2025-03-29 22:59:59 UTC'::timestamptz, '2025-03-31 00:00 UTC',
                               '20 minutes') AS probe) AS hourly,
       EXISTS (SELECT FROM pg_index
                WHERE indrelid = to_regclass('task_usage') AND indisunique AND indisvalid
                  AND indimmediate AND indpred IS NULL
                  AND (SELECT array_agg(attname::text ORDER BY attname)
                         FROM pg_attribute
                        WHERE attrelid = indrelid AND attnum = ANY (indkey::int2[]))
                      = '{model,provider,task_id}') AS once

-- name: queue_versions
-- The row versions in the queue before the end of the slice. Only these are drained later.
SELECT coalesce(array_agg(ctid::text), '{}') AS places,
       coalesce(array_agg(xmin::text), '{}') AS versions
  FROM task_usage_hourly_dirty
 WHERE enqueued_at < %(until)s

-- name: open_since
-- The beginning of the oldest open change of those that our own triggers announce, null without
-- one. To be read after queue_versions and before slice_sums: standalone/06_window.sql says why.
SELECT min(to_timestamp(objid::bigint * 60)) AS open_since
  FROM pg_locks
 WHERE locktype = 'advisory' AND classid = 4247 AND objsubid = 2 AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND pid IS DISTINCT FROM pg_backend_pid()

-- name: slice_ranges
-- The hours that the slice touches, as ranges of created_at: neighbours at most a day apart lie in
-- one range. Bounds are texts, because some times that PostgreSQL knows are none that Python does.
WITH touched AS (
    SELECT task_usage_hour_bucket(created_at) AS hour
      FROM task_usage
     WHERE updated_at >= %(since)s AND updated_at < %(until)s
     UNION
    SELECT task_usage_hour_bucket(created_at)
      FROM task_usage
     WHERE updated_at IS NULL AND created_at >= %(since)s AND created_at < %(until)s
     UNION
    SELECT task_usage_hour_bucket(bucket_hour)
      FROM task_usage_hourly_dirty
     WHERE enqueued_at < %(until)s
),
apart AS (
    SELECT hour,
           CASE WHEN hour BETWEEN '0001-01-03 UTC' AND '9999-12-01 UTC'
                THEN hour - interval '24 hours' > lag(hour) OVER (ORDER BY hour)
           END IS NOT false AS begins
      FROM touched
),
numbered AS (
    SELECT hour, count(*) FILTER (WHERE begins) OVER (ORDER BY hour) AS number FROM apart
)
SELECT min(hour)::text AS first,
       CASE WHEN max(hour) < '9999-12-01 UTC'
            THEN max(hour) + interval '59 minutes 59.999999 seconds'
            ELSE 'infinity'
       END::text AS last
  FROM numbered
 GROUP BY number
 ORDER BY number

-- name: slice_sums
-- The buckets of one range that the slice must judge: those of usage that was updated in the slice,
-- and those of queued keys. With "widened" a queued key stands for all of its hour, agent, provider
-- and model, as in our own window function. Without usage a bucket has an event_count of 0. A bucket
-- is of one provider and model, so each of its rows is another task ("once" above), and counting
-- them needs no sort.
--
-- An install without cost columns has no cost_usd_ticks in task_usage: the name then means that of
-- "unpriced", one level further out.
SELECT summed.*, queued.queued_at
  FROM (
    SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
           sum(input_tokens)::bigint AS input_tokens,
           sum(output_tokens)::bigint AS output_tokens,
           sum(cache_read_tokens)::bigint AS cache_read_tokens,
           sum(cache_write_tokens)::bigint AS cache_write_tokens,
           coalesce(sum(cost_usd_ticks), 0)::bigint AS cost_usd_ticks,
           coalesce(sum(input_tokens) FILTER (WHERE cost_usd_ticks IS NULL), 0)::bigint
               AS uncosted_input_tokens,
           coalesce(sum(output_tokens) FILTER (WHERE cost_usd_ticks IS NULL), 0)::bigint
               AS uncosted_output_tokens,
           coalesce(sum(cache_read_tokens) FILTER (WHERE cost_usd_ticks IS NULL), 0)::bigint
               AS uncosted_cache_read_tokens,
           coalesce(sum(cache_write_tokens) FILTER (WHERE cost_usd_ticks IS NULL), 0)::bigint
               AS uncosted_cache_write_tokens,
           count(task_id) AS task_count,
           count(task_id) AS event_count,
           bool_or(updated) AS updated
      FROM (
        SELECT task_usage_hour_bucket(usage.created_at) AS bucket_hour, agent.workspace_id,
               task.runtime_id, task.agent_id, issue.project_id, usage.provider, usage.model,
               usage.task_id,
               usage.input_tokens, usage.output_tokens,
               usage.cache_read_tokens, usage.cache_write_tokens, usage.cost_usd_ticks,
               coalesce(usage.updated_at, usage.created_at) >= %(since)s
               AND coalesce(usage.updated_at, usage.created_at) < %(until)s AS updated
          FROM (SELECT NULL::bigint AS cost_usd_ticks) AS unpriced,
               LATERAL (SELECT task_id, provider, model, input_tokens, output_tokens,
                               cache_read_tokens, cache_write_tokens, cost_usd_ticks,
                               created_at, updated_at
                          FROM task_usage
                         WHERE created_at >= %(first)s AND created_at <= %(last)s) AS usage
          JOIN agent_task_queue AS task ON task.id = usage.task_id
          JOIN agent ON agent.id = task.agent_id
          LEFT JOIN issue ON issue.id = task.issue_id
         WHERE NOT %(widened)s OR isfinite(usage.created_at)
         UNION ALL
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
               NULL, NULL, NULL, NULL, NULL, NULL, false
          FROM task_usage_hourly_dirty
         WHERE enqueued_at < %(until)s AND bucket_hour >= %(first)s AND bucket_hour <= %(last)s
         UNION ALL
        SELECT stored.bucket_hour, stored.workspace_id, stored.runtime_id, stored.agent_id,
               stored.project_id, stored.provider, stored.model,
               NULL, NULL, NULL, NULL, NULL, NULL, false
          FROM (SELECT DISTINCT bucket_hour
                  FROM task_usage_hourly_dirty
                 WHERE %(widened)s AND enqueued_at < %(until)s
                   AND bucket_hour >= %(first)s AND bucket_hour <= %(last)s) AS hour
          JOIN task_usage_hourly AS stored ON stored.bucket_hour = hour.bucket_hour
          JOIN agent ON agent.id = stored.agent_id
      ) AS evidence
     GROUP BY 1, 2, 3, 4, 5, 6, 7
  ) AS summed
  LEFT JOIN (
    SELECT bucket_hour, agent_id, provider, model,
           CASE WHEN NOT %(widened)s THEN workspace_id END AS workspace_id,
           CASE WHEN NOT %(widened)s THEN runtime_id END AS runtime_id,
           CASE WHEN NOT %(widened)s THEN project_id END AS project_id,
           max(CASE WHEN runtime_id = '00000000-0000-0000-0000-000000000000' THEN enqueued_at
                    ELSE 'infinity' END) AS queued_at
      FROM task_usage_hourly_dirty
     WHERE enqueued_at < %(until)s AND bucket_hour >= %(first)s AND bucket_hour <= %(last)s
     GROUP BY 1, 2, 3, 4, 5, 6, 7
  ) AS queued
    ON queued.bucket_hour = summed.bucket_hour AND queued.agent_id = summed.agent_id
   AND queued.provider = summed.provider AND queued.model = summed.model
   AND (%(widened)s
        OR queued.workspace_id = summed.workspace_id AND queued.runtime_id = summed.runtime_id
           AND queued.project_id IS NOT DISTINCT FROM summed.project_id)
 WHERE summed.updated OR queued.queued_at IS NOT NULL

-- name: upsert_costed
-- Store the buckets that have usage; those that come out as they were are not written.
INSERT INTO task_usage_hourly AS stored (
       bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       cost_usd_ticks,
       uncosted_input_tokens, uncosted_output_tokens,
       uncosted_cache_read_tokens, uncosted_cache_write_tokens,
       task_count, event_count)
SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       cost_usd_ticks,
       uncosted_input_tokens, uncosted_output_tokens,
       uncosted_cache_read_tokens, uncosted_cache_write_tokens,
       task_count, event_count
  FROM bucket
 WHERE event_count > 0 AND runtime_id IS NOT NULL
    ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_key DO UPDATE
   SET input_tokens = excluded.input_tokens,
       output_tokens = excluded.output_tokens,
       cache_read_tokens = excluded.cache_read_tokens,
       cache_write_tokens = excluded.cache_write_tokens,
       cost_usd_ticks = excluded.cost_usd_ticks,
       uncosted_input_tokens = excluded.uncosted_input_tokens,
       uncosted_output_tokens = excluded.uncosted_output_tokens,
       uncosted_cache_read_tokens = excluded.uncosted_cache_read_tokens,
       uncosted_cache_write_tokens = excluded.uncosted_cache_write_tokens,
       task_count = excluded.task_count,
       event_count = excluded.event_count,
       updated_at = now()
 WHERE (stored.input_tokens, stored.output_tokens,
        stored.cache_read_tokens, stored.cache_write_tokens,
        stored.cost_usd_ticks,
        stored.uncosted_input_tokens, stored.uncosted_output_tokens,
        stored.uncosted_cache_read_tokens, stored.uncosted_cache_write_tokens,
        stored.task_count, stored.event_count)
       IS DISTINCT FROM
       (excluded.input_tokens, excluded.output_tokens,
        excluded.cache_read_tokens, excluded.cache_write_tokens,
        excluded.cost_usd_ticks,
        excluded.uncosted_input_tokens, excluded.uncosted_output_tokens,
        excluded.uncosted_cache_read_tokens, excluded.uncosted_cache_write_tokens,
        excluded.task_count, excluded.event_count)
RETURNING 1

-- name: upsert_uncosted
-- The same for an install from before the cost columns.
INSERT INTO task_usage_hourly AS stored (
       bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       task_count, event_count)
SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
       input_tokens, output_tokens, cache_read_tokens, cache_write_tokens,
       task_count, event_count
  FROM bucket
 WHERE event_count > 0 AND runtime_id IS NOT NULL
    ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_key DO UPDATE
   SET input_tokens = excluded.input_tokens,
       output_tokens = excluded.output_tokens,
       cache_read_tokens = excluded.cache_read_tokens,
       cache_write_tokens = excluded.cache_write_tokens,
       task_count = excluded.task_count,
       event_count = excluded.event_count,
       updated_at = now()
 WHERE (stored.input_tokens, stored.output_tokens,
        stored.cache_read_tokens, stored.cache_write_tokens,
        stored.task_count, stored.event_count)
       IS DISTINCT FROM
       (excluded.input_tokens, excluded.output_tokens,
        excluded.cache_read_tokens, excluded.cache_write_tokens,
        excluded.task_count, excluded.event_count)
RETURNING 1

-- name: empty_buckets
-- Remove the buckets of which no usage is left.
DELETE FROM task_usage_hourly AS stored
 USING bucket
 WHERE bucket.event_count = 0
   AND stored.bucket_hour = bucket.bucket_hour
   AND stored.workspace_id = bucket.workspace_id
   AND stored.runtime_id = bucket.runtime_id
   AND stored.agent_id = bucket.agent_id
   AND stored.project_id IS NOT DISTINCT FROM bucket.project_id
   AND stored.provider = bucket.provider
   AND stored.model = bucket.model
RETURNING 1

-- name: keep_queued
-- Queue again what was judged beside an open change, as our own window function does.
INSERT INTO task_usage_hourly_dirty AS queued (
       bucket_hour, workspace_id, runtime_id, agent_id, provider, model, enqueued_at)
SELECT bucket_hour, workspace_id, '00000000-0000-0000-0000-000000000000', agent_id, provider,
       model, least(max(noticed_at), clock_timestamp())
  FROM (SELECT *, CASE WHEN updated THEN 'infinity' ELSE queued_at END AS noticed_at
          FROM bucket) AS noticed
 WHERE %(open_since)s::timestamptz <= noticed_at
 GROUP BY bucket_hour, workspace_id, agent_id, provider, model
    ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
    DO UPDATE SET enqueued_at = greatest(queued.enqueued_at, excluded.enqueued_at)
RETURNING 1

-- name: count_changed
-- Ends the statement: how many buckets were stored or removed.
SELECT (SELECT count(*) FROM upserted) + (SELECT count(*) FROM emptied) AS changed

-- name: bound_drain
-- Waiting for a key that a change of Multica's holds could become a deadlock: rather leave the key.
SELECT set_config('lock_timeout', '100ms', true)

-- name: drain
-- Remove these row versions from the queue. A key that was queued again has another version.
DELETE FROM task_usage_hourly_dirty AS queued
 USING unnest(%(places)s::tid[], %(versions)s::xid[]) AS seen (place, version)
 WHERE queued.ctid = seen.place AND queued.xmin = seen.version
