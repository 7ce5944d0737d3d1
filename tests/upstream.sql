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

CREATE TABLE workspace (id uuid PRIMARY KEY, name text NOT NULL, slug text NOT NULL);
CREATE TABLE agent_runtime (id uuid PRIMARY KEY, workspace_id uuid NOT NULL, provider text);
CREATE TABLE agent (id uuid PRIMARY KEY, workspace_id uuid NOT NULL, name text);
CREATE TABLE issue (id uuid PRIMARY KEY, workspace_id uuid NOT NULL, project_id uuid, title text);
CREATE TABLE agent_task_queue (id uuid PRIMARY KEY, agent_id uuid NOT NULL, runtime_id uuid, issue_id uuid, status text);
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
    cache_write_tokens bigint NOT NULL, cost_usd_ticks bigint NOT NULL,
    uncosted_input_tokens bigint, uncosted_output_tokens bigint,
    uncosted_cache_read_tokens bigint, uncosted_cache_write_tokens bigint,
    task_count bigint NOT NULL, event_count bigint NOT NULL, updated_at timestamptz NOT NULL,
    CONSTRAINT uq_task_usage_hourly_key UNIQUE NULLS NOT DISTINCT
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);
CREATE TABLE task_usage_hourly_dirty (
    bucket_hour timestamptz NOT NULL, workspace_id uuid NOT NULL, runtime_id uuid NOT NULL,
    agent_id uuid NOT NULL, project_id uuid, provider text NOT NULL, model text NOT NULL,
    enqueued_at timestamptz NOT NULL DEFAULT now()
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
