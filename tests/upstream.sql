-- A Multica database as a real install has it, written out by hand: not made by our models and not
-- by `manage.py provision`. Only what the dashboard reads, with a little history in it.

CREATE TABLE sys_cron_executions (
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    job_name text NOT NULL,
    scope_kind text DEFAULT 'global' NOT NULL,
    scope_id text DEFAULT 'global' NOT NULL,
    plan_time timestamp with time zone NOT NULL,
    status text NOT NULL,
    attempt integer DEFAULT 1 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    next_retry_at timestamp with time zone,
    runner_id text,
    lease_token uuid NOT NULL,
    heartbeat_at timestamp with time zone,
    stale_after timestamp with time zone,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    duration_ms integer,
    rows_affected bigint,
    result jsonb DEFAULT '{}' NOT NULL,
    error_code text,
    error_msg text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT sys_cron_executions_pkey PRIMARY KEY (id),
    CONSTRAINT uq_sys_cron_execution UNIQUE (job_name, scope_kind, scope_id, plan_time),
    CONSTRAINT chk_sys_cron_status CHECK (status = ANY (ARRAY['RUNNING', 'SUCCESS', 'FAILED'])),
    CONSTRAINT chk_sys_cron_attempt CHECK (attempt >= 1 AND max_attempts >= attempt),
    CONSTRAINT chk_sys_cron_duration CHECK (duration_ms IS NULL OR duration_ms >= 0)
);
CREATE INDEX failed_recent ON sys_cron_executions (job_name, plan_time DESC) WHERE status = 'FAILED';
CREATE INDEX running_stale ON sys_cron_executions (stale_after) WHERE status = 'RUNNING';
CREATE INDEX finished ON sys_cron_executions (finished_at) WHERE status IN ('SUCCESS', 'FAILED');

CREATE TABLE workspace (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text NOT NULL, slug text NOT NULL,
    description text, settings jsonb NOT NULL DEFAULT '{}', created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(), context text, repos jsonb NOT NULL DEFAULT '[]',
    issue_prefix text NOT NULL DEFAULT '', issue_counter integer NOT NULL DEFAULT 0
);
CREATE TABLE agent_runtime (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), workspace_id uuid NOT NULL, daemon_id text,
    name text NOT NULL DEFAULT '', runtime_mode text NOT NULL DEFAULT 'local',
    provider text NOT NULL DEFAULT '', status text NOT NULL DEFAULT 'offline',
    device_info text NOT NULL DEFAULT '', metadata jsonb NOT NULL DEFAULT '{}',
    last_seen_at timestamptz, created_at timestamptz DEFAULT now(),
    updated_at timestamptz DEFAULT now(), owner_id uuid, legacy_daemon_id text,
    visibility text NOT NULL DEFAULT 'workspace'
);
CREATE TABLE agent (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), workspace_id uuid NOT NULL,
    name text NOT NULL DEFAULT '', avatar_url text, runtime_mode text NOT NULL DEFAULT 'local',
    runtime_config jsonb NOT NULL DEFAULT '{}', visibility text NOT NULL DEFAULT 'workspace',
    status text NOT NULL DEFAULT 'offline', max_concurrent_tasks integer NOT NULL DEFAULT 1,
    owner_id uuid, created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
    description text NOT NULL DEFAULT '', runtime_id uuid, instructions text NOT NULL DEFAULT '',
    archived_at timestamptz, archived_by uuid, custom_env jsonb NOT NULL DEFAULT '{}',
    custom_args jsonb NOT NULL DEFAULT '[]', mcp_config jsonb, model text, thinking_level text
);
CREATE TABLE issue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), workspace_id uuid NOT NULL,
    title text NOT NULL DEFAULT '', description text, status text NOT NULL DEFAULT 'backlog',
    priority text NOT NULL DEFAULT 'none', assignee_type text, assignee_id uuid,
    creator_type text NOT NULL DEFAULT 'member', creator_id uuid, parent_issue_id uuid,
    acceptance_criteria jsonb NOT NULL DEFAULT '[]', context_refs jsonb NOT NULL DEFAULT '[]',
    position double precision NOT NULL DEFAULT 0, due_date timestamptz,
    created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now(),
    number integer NOT NULL DEFAULT 0, project_id uuid, origin_type text, origin_id uuid,
    first_executed_at timestamptz, start_date timestamptz, metadata jsonb NOT NULL DEFAULT '{}'
);
CREATE TABLE agent_task_queue (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), agent_id uuid NOT NULL, issue_id uuid,
    status text NOT NULL DEFAULT 'queued', priority integer NOT NULL DEFAULT 0,
    dispatched_at timestamptz, started_at timestamptz, completed_at timestamptz, result jsonb,
    error text, created_at timestamptz NOT NULL DEFAULT now(), context jsonb, runtime_id uuid,
    session_id text, work_dir text, trigger_comment_id uuid, chat_session_id uuid,
    autopilot_run_id uuid, attempt integer NOT NULL DEFAULT 1,
    max_attempts integer NOT NULL DEFAULT 1, parent_task_id uuid, failure_reason text,
    trigger_summary text, force_fresh_session boolean NOT NULL DEFAULT false,
    is_leader_task boolean NOT NULL DEFAULT false, wait_reason text
);
CREATE TABLE task_usage (
    id uuid PRIMARY KEY, task_id uuid NOT NULL, provider text NOT NULL, model text NOT NULL,
    input_tokens bigint NOT NULL, output_tokens bigint NOT NULL, cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL, cost_usd_ticks bigint, created_at timestamptz NOT NULL,
    updated_at timestamptz, UNIQUE (task_id, provider, model)
);
CREATE TABLE task_usage_hourly (
    bucket_hour timestamptz NOT NULL, workspace_id uuid NOT NULL, runtime_id uuid NOT NULL,
    agent_id uuid NOT NULL, project_id uuid, provider text NOT NULL, model text NOT NULL,
    input_tokens bigint NOT NULL, output_tokens bigint NOT NULL, cache_read_tokens bigint NOT NULL,
    cache_write_tokens bigint NOT NULL, cost_usd_ticks bigint NOT NULL DEFAULT 0,
    uncosted_input_tokens bigint, uncosted_output_tokens bigint,
    uncosted_cache_read_tokens bigint, uncosted_cache_write_tokens bigint,
    task_count bigint NOT NULL, event_count bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_task_usage_hourly_key UNIQUE NULLS NOT DISTINCT
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);
CREATE TABLE task_usage_hourly_dirty (
    bucket_hour timestamptz NOT NULL, workspace_id uuid NOT NULL, runtime_id uuid NOT NULL,
    agent_id uuid NOT NULL, project_id uuid, provider text NOT NULL, model text NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_task_usage_hourly_dirty_key UNIQUE NULLS NOT DISTINCT
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);
CREATE TABLE task_usage_hourly_rollup_state (
    id smallint PRIMARY KEY DEFAULT 1 CHECK (id = 1),
    watermark_at timestamp with time zone DEFAULT '1970-01-01 00:00:00+00' NOT NULL,
    last_run_started_at timestamp with time zone,
    last_run_finished_at timestamp with time zone,
    last_run_rows bigint,
    last_error text
);
CREATE TABLE schema_migrations (version text PRIMARY KEY, applied_at timestamptz DEFAULT now());

-- The functions use the same tables in the same ways as Multica's: they read the queue and empty it,
-- and add nothing to it.
CREATE FUNCTION task_usage_hour_bucket(moment timestamptz) RETURNS timestamptz
LANGUAGE sql IMMUTABLE AS $$ SELECT date_trunc('hour', moment, 'UTC') $$;

CREATE FUNCTION rollup_task_usage_hourly_window(since timestamptz, until timestamptz)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
BEGIN
    IF since >= until THEN
        RETURN 0;
    END IF;
    WITH raw AS (
        SELECT task_usage_hour_bucket(usage.created_at) AS bucket_hour, agent.workspace_id,
               task.runtime_id, task.agent_id, issue.project_id, usage.provider, usage.model,
               usage.task_id, usage.input_tokens, usage.output_tokens, usage.cache_read_tokens,
               usage.cache_write_tokens, usage.cost_usd_ticks,
               coalesce(usage.updated_at, usage.created_at) AS changed_at
          FROM task_usage AS usage
          JOIN agent_task_queue AS task ON task.id = usage.task_id
          JOIN agent ON agent.id = task.agent_id
          LEFT JOIN issue ON issue.id = task.issue_id
         WHERE task.runtime_id IS NOT NULL
    ), touched AS (
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
          FROM raw WHERE changed_at >= since AND changed_at < until
         UNION
        SELECT bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model
          FROM task_usage_hourly_dirty WHERE enqueued_at < until
    ), summed AS (
        SELECT touched.bucket_hour, touched.workspace_id, touched.runtime_id, touched.agent_id,
               touched.project_id, touched.provider, touched.model,
               sum(input_tokens) AS input, sum(output_tokens) AS output,
               sum(cache_read_tokens) AS cache_read, sum(cache_write_tokens) AS cache_write,
               coalesce(sum(cost_usd_ticks), 0) AS ticks,
               count(DISTINCT task_id) AS tasks, count(*) AS events
          FROM touched
          JOIN raw ON (raw.bucket_hour, raw.workspace_id, raw.runtime_id, raw.agent_id,
                       raw.provider, raw.model)
                    = (touched.bucket_hour, touched.workspace_id, touched.runtime_id,
                       touched.agent_id, touched.provider, touched.model)
                  AND raw.project_id IS NOT DISTINCT FROM touched.project_id
         GROUP BY 1, 2, 3, 4, 5, 6, 7
    ), stored AS (
        INSERT INTO task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, project_id,
                                       provider, model, input_tokens, output_tokens,
                                       cache_read_tokens, cache_write_tokens, cost_usd_ticks,
                                       task_count, event_count)
        SELECT * FROM summed
            ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_key DO UPDATE
           SET input_tokens = excluded.input_tokens, output_tokens = excluded.output_tokens,
               cache_read_tokens = excluded.cache_read_tokens,
               cache_write_tokens = excluded.cache_write_tokens,
               cost_usd_ticks = excluded.cost_usd_ticks, task_count = excluded.task_count,
               event_count = excluded.event_count, updated_at = now()
        RETURNING 1
    ), emptied AS (
        DELETE FROM task_usage_hourly AS bucket
         USING touched
         WHERE (bucket.bucket_hour, bucket.workspace_id, bucket.runtime_id, bucket.agent_id,
                bucket.provider, bucket.model)
             = (touched.bucket_hour, touched.workspace_id, touched.runtime_id, touched.agent_id,
                touched.provider, touched.model)
           AND bucket.project_id IS NOT DISTINCT FROM touched.project_id
           AND NOT EXISTS (SELECT FROM summed
                            WHERE (summed.bucket_hour, summed.workspace_id, summed.runtime_id,
                                   summed.agent_id, summed.provider, summed.model)
                                = (bucket.bucket_hour, bucket.workspace_id, bucket.runtime_id,
                                   bucket.agent_id, bucket.provider, bucket.model)
                              AND summed.project_id IS NOT DISTINCT FROM bucket.project_id)
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM stored) + (SELECT count(*) FROM emptied) INTO changed;
    DELETE FROM task_usage_hourly_dirty WHERE enqueued_at < until;
    RETURN changed;
END $$;

CREATE FUNCTION rollup_task_usage_hourly() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    reached timestamptz;
    until timestamptz;
    changed bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(4246) THEN
        RETURN 0;
    END IF;
    UPDATE task_usage_hourly_rollup_state SET last_run_started_at = now(), last_error = NULL
     WHERE id = 1
    RETURNING watermark_at INTO reached;
    until := least(now() - interval '5 minutes', reached + interval '1 day');
    IF reached < until THEN
        changed := rollup_task_usage_hourly_window(reached, until);
        UPDATE task_usage_hourly_rollup_state SET watermark_at = until WHERE id = 1;
    END IF;
    UPDATE task_usage_hourly_rollup_state
       SET last_run_finished_at = now(), last_run_rows = changed
     WHERE id = 1;
    DELETE FROM task_usage_hourly_dirty WHERE enqueued_at < now() - interval '7 days';
    RETURN changed;
END $$;

INSERT INTO task_usage_hourly_rollup_state (id, watermark_at, last_run_finished_at)
VALUES (1, now() - interval '6 minutes', now() - interval '1 minute');
INSERT INTO sys_cron_executions
    (job_name, plan_time, status, runner_id, lease_token, heartbeat_at, stale_after, started_at,
     finished_at, duration_ms, rows_affected, result)
SELECT 'rollup_task_usage_hourly', bucket, 'SUCCESS', 'b0a3a9a1-7f5e-4a57-9f31-5d2b6a3c1e77',
       gen_random_uuid(), bucket + interval '5 minutes', bucket + interval '35 minutes',
       bucket + interval '5 minutes', bucket + interval '5 minutes 0.2 seconds', 200, 3,
       jsonb_build_object('advisory_lock_id', 4246,
                          'watermark_before', to_char((bucket - interval '5 minutes') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                          'watermark_after', to_char(bucket AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
  FROM generate_series(1, 40) AS age,
       LATERAL (SELECT date_bin('5 minutes', now() - interval '5 minutes', '2000-01-01 00:00:00+00')
                       - age * interval '5 minutes' AS bucket) AS plan;
