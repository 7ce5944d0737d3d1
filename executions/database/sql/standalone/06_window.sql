-- The rollup of one window: it finds the buckets that the window made wrong, and sums each anew.
--
-- Its cost depends on the hours that the window touches. It finds the rows of an hour by
-- created_at, and each row's task, agent and issue by primary key, so it reads nothing of other
-- hours. The settings of the function fix that plan. Otherwise the planner takes an hour of
-- created_at for a ninth of the table, or for all of it if the statistics are older than the other
-- hours. It then reads every usage row, starts from every task, or joins to a hash of all
-- tasks, and compiles a few milliseconds of work to machine code first. With 1.2 million rows of
-- history, a day then took two seconds instead of 30 ms.
--
-- The function reads a touched hour whole, because its rows are neighbours in the index, but it
-- judges only the dirty buckets. Those are the buckets of usage that was updated in the window and,
-- for every queued key, all buckets of its hour, agent, provider and model, whatever their runtime
-- and project: a trigger may see neither where usage went nor where it came from
-- (04_invalidation.sql). A bucket that nothing invalidated stays as it is, even if its agent was
-- deleted, unless exactly its key is queued. The function does not write a dirty bucket whose sums
-- have not changed. So the same window, run again, writes no bucket and returns 0.
--
-- The function sends four statements, each with a snapshot of its own, in the order that loses
-- nothing: it reads the row versions in the queue, then the open changes, then sums, then removes
-- exactly those row versions. A key that is queued in between is a new row version. It stays, and
-- the next run sums it. A row version that another transaction has locked stays as well. The rollup
-- never waits for another transaction's key, so it cannot be part of a deadlock.
--
-- An open change cannot have seen usage that was committed after it looked, and the rollup does not
-- see the change. So the rollup queues whatever it sums beside an open change again, under the nil
-- runtime. No trigger queues that runtime, so nobody waits for it. The key stays, and every run
-- judges it, until the changes that were open at its time are over. Later changes have seen the
-- usage and queue their own keys. Usage that updated_at finds is committed when the run begins,
-- because the watermark stays behind the clock.

CREATE OR REPLACE FUNCTION rollup_task_usage_hourly_window(p_from timestamptz, p_to timestamptz)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET join_collapse_limit = 1
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_seqscan = off
SET jit = off
AS $$
DECLARE
    queued_places   tid[];
    queued_versions xid[];
    -- The beginning of the oldest open change; null if no change is open.
    open_since      timestamptz;
    any_runtime     CONSTANT uuid := '00000000-0000-0000-0000-000000000000';
    changed         bigint;
BEGIN
    SELECT array_agg(ctid), array_agg(xmin)
      INTO queued_places, queued_versions
      FROM task_usage_hourly_dirty
     WHERE enqueued_at < p_to;

    SELECT min(to_timestamp(objid::bigint * 60))
      INTO open_since
      FROM pg_locks
     WHERE locktype = 'advisory' AND classid = 4247 AND objsubid = 2 AND granted
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND pid IS DISTINCT FROM pg_backend_pid();

    WITH
    touched_hour AS (
        SELECT task_usage_hour_bucket(created_at) AS bucket_hour
          FROM task_usage
         WHERE updated_at >= p_from AND updated_at < p_to
         UNION
        SELECT task_usage_hour_bucket(created_at)
          FROM task_usage
         WHERE updated_at IS NULL AND created_at >= p_from AND created_at < p_to
         UNION
        SELECT task_usage_hour_bucket(bucket_hour)
          FROM task_usage_hourly_dirty
         WHERE enqueued_at < p_to
    ),
    queued AS (
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
               CASE WHEN runtime_id = any_runtime THEN enqueued_at ELSE 'infinity' END AS queued_at
          FROM task_usage_hourly_dirty
         WHERE enqueued_at < p_to
    ),
    -- Every usage row of the touched hours. The queued keys and the buckets of their hours come
    -- as rows without usage, so a key without usage still forms a group. GROUP BY matches a null
    -- project with a null project. Usage of a task without a runtime has no bucket, but an open
    -- change may give it one, so its key stays in the queue like the others.
    evidence AS (
        SELECT hour.bucket_hour, agent.workspace_id, task.runtime_id, task.agent_id,
               issue.project_id, usage.provider, usage.model,
               usage.task_id,
               usage.input_tokens, usage.output_tokens,
               usage.cache_read_tokens, usage.cache_write_tokens,
               usage.cost_usd_ticks,
               coalesce(usage.updated_at, usage.created_at) >= p_from
               AND coalesce(usage.updated_at, usage.created_at) < p_to AS updated,
               NULL::timestamptz AS queued_at
          FROM touched_hour AS hour
          JOIN task_usage AS usage
            ON usage.created_at >= hour.bucket_hour
           AND usage.created_at < hour.bucket_hour + interval '1 hour'
          JOIN agent_task_queue AS task ON task.id = usage.task_id
          JOIN agent ON agent.id = task.agent_id
          LEFT JOIN issue ON issue.id = task.issue_id
         UNION ALL
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model,
               NULL, NULL, NULL, NULL, NULL, NULL, false, queued_at
          FROM queued
         UNION ALL
        SELECT stored.bucket_hour, stored.workspace_id, stored.runtime_id, stored.agent_id,
               stored.project_id, stored.provider, stored.model,
               NULL, NULL, NULL, NULL, NULL, NULL, false, NULL
          FROM (SELECT DISTINCT bucket_hour FROM queued) AS hour
          JOIN task_usage_hourly AS stored ON stored.bucket_hour = hour.bucket_hour
          JOIN agent ON agent.id = stored.agent_id
    ),
    summed AS (
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
               count(DISTINCT task_id) AS task_count,
               count(task_id) AS event_count,
               bool_or(updated) AS updated,
               max(max(queued_at)) OVER (PARTITION BY bucket_hour, agent_id, provider, model)
                   AS queued_at
          FROM evidence
         GROUP BY bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
    ),
    bucket AS (
        SELECT * FROM summed WHERE updated OR queued_at IS NOT NULL
    ),
    upserted AS (
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
               updated_at = excluded.updated_at
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
    ),
    emptied AS (
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
    ),
    -- A key that stays keeps its time, so that changes that began later do not keep it longer. Its
    -- new row version protects it from the removal below.
    kept AS (
        INSERT INTO task_usage_hourly_dirty AS queued (
               bucket_hour, workspace_id, runtime_id, agent_id, provider, model, enqueued_at)
        SELECT bucket_hour, workspace_id, any_runtime, agent_id, provider, model,
               least(max(noticed_at), clock_timestamp())
          FROM (SELECT *, CASE WHEN updated THEN 'infinity' ELSE queued_at END AS noticed_at
                  FROM bucket) AS noticed
         WHERE open_since <= noticed_at
         GROUP BY bucket_hour, workspace_id, agent_id, provider, model
            ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
            DO UPDATE SET enqueued_at = greatest(queued.enqueued_at, excluded.enqueued_at)
    )
    SELECT (SELECT count(*) FROM upserted) + (SELECT count(*) FROM emptied) INTO changed;

    WITH unchanged AS (
        SELECT queued.ctid AS place
          FROM unnest(queued_places, queued_versions) AS seen (place, version)
          JOIN task_usage_hourly_dirty AS queued
            ON queued.ctid = seen.place AND queued.xmin = seen.version
           FOR UPDATE OF queued SKIP LOCKED
    )
    DELETE FROM task_usage_hourly_dirty AS queued
     USING unchanged
     WHERE queued.ctid = unchanged.place;

    RETURN changed;
END
$$;
