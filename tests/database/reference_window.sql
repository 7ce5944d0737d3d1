-- What Multica's window function does, as docs/contract.md section 4 tells it, one key at a time and
-- without draining the queue. Written for the tests, to be compared with; nobody would install it.
-- Before the cost columns a bucket keeps what they hold.

CREATE FUNCTION pg_temp.reference_window(since timestamptz, until timestamptz, costed boolean)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    key record;
    old task_usage_hourly;
    new record;
BEGIN
    FOR key IN
        SELECT task_usage_hour_bucket(usage.created_at) AS bucket_hour, agent.workspace_id,
               task.runtime_id, task.agent_id, issue.project_id, usage.provider, usage.model
          FROM task_usage AS usage
          JOIN agent_task_queue AS task ON task.id = usage.task_id
          JOIN agent ON agent.id = task.agent_id
          LEFT JOIN issue ON issue.id = task.issue_id
         WHERE task.runtime_id IS NOT NULL
           AND coalesce(usage.updated_at, usage.created_at) >= since
           AND coalesce(usage.updated_at, usage.created_at) < until
         UNION
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
          FROM task_usage_hourly_dirty
         WHERE enqueued_at < until
    LOOP
        old := NULL;
        DELETE FROM task_usage_hourly AS stored
         WHERE (stored.bucket_hour, stored.workspace_id, stored.runtime_id, stored.agent_id,
                stored.provider, stored.model)
             = (key.bucket_hour, key.workspace_id, key.runtime_id, key.agent_id,
                key.provider, key.model)
           AND stored.project_id IS NOT DISTINCT FROM key.project_id
        RETURNING * INTO old;
        SELECT sum(usage.input_tokens) AS input, sum(usage.output_tokens) AS output,
               sum(usage.cache_read_tokens) AS read, sum(usage.cache_write_tokens) AS write,
               sum(usage.cost_usd_ticks) AS ticks,
               sum(CASE WHEN usage.cost_usd_ticks IS NULL THEN usage.input_tokens ELSE 0 END)
                   AS uncosted_input,
               sum(CASE WHEN usage.cost_usd_ticks IS NULL THEN usage.output_tokens ELSE 0 END)
                   AS uncosted_output,
               sum(CASE WHEN usage.cost_usd_ticks IS NULL THEN usage.cache_read_tokens ELSE 0 END)
                   AS uncosted_read,
               sum(CASE WHEN usage.cost_usd_ticks IS NULL THEN usage.cache_write_tokens ELSE 0 END)
                   AS uncosted_write,
               count(DISTINCT task.id) AS tasks, count(*) AS events
          INTO new
          FROM agent_task_queue AS task
          JOIN agent ON agent.id = task.agent_id
          LEFT JOIN issue ON issue.id = task.issue_id
          JOIN task_usage AS usage ON usage.task_id = task.id
         WHERE task.runtime_id = key.runtime_id AND task.agent_id = key.agent_id
           AND agent.workspace_id = key.workspace_id
           AND issue.project_id IS NOT DISTINCT FROM key.project_id
           AND usage.provider = key.provider AND usage.model = key.model
           AND task_usage_hour_bucket(usage.created_at) = key.bucket_hour;
        CONTINUE WHEN new.events = 0;
        INSERT INTO task_usage_hourly
        SELECT key.bucket_hour, key.workspace_id, key.runtime_id, key.agent_id, key.project_id,
               key.provider, key.model, new.input, new.output, new.read, new.write,
               coalesce(CASE WHEN costed THEN new.ticks ELSE old.cost_usd_ticks END, 0),
               CASE WHEN costed THEN new.uncosted_input ELSE old.uncosted_input_tokens END,
               CASE WHEN costed THEN new.uncosted_output ELSE old.uncosted_output_tokens END,
               CASE WHEN costed THEN new.uncosted_read ELSE old.uncosted_cache_read_tokens END,
               CASE WHEN costed THEN new.uncosted_write ELSE old.uncosted_cache_write_tokens END,
               new.tasks, new.events, now();
    END LOOP;
END $$;
