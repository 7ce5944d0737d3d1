-- The tables of the standalone Multica side: workspaces, agents, tasks, usage, its hourly rollup.
--
-- docs/contract.md section 4 names the tables and columns. They have only the columns that the
-- rollup reads; a workspace has only its id. Deleting a parent deletes its children, as on a real
-- install. Every statement can be repeated.

CREATE TABLE IF NOT EXISTS workspace (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid()
);

CREATE TABLE IF NOT EXISTS agent_runtime (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS agent (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace (id) ON DELETE CASCADE
);

CREATE TABLE IF NOT EXISTS issue (
    id           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    workspace_id uuid NOT NULL REFERENCES workspace (id) ON DELETE CASCADE,
    project_id   uuid
);

CREATE TABLE IF NOT EXISTS agent_task_queue (
    id         uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    agent_id   uuid NOT NULL REFERENCES agent (id) ON DELETE CASCADE,
    runtime_id uuid REFERENCES agent_runtime (id) ON DELETE CASCADE,
    issue_id   uuid REFERENCES issue (id) ON DELETE CASCADE
);

-- One index for each foreign key. Without it, deleting a parent reads every task.
CREATE INDEX IF NOT EXISTS idx_agent_task_queue_agent ON agent_task_queue (agent_id);
CREATE INDEX IF NOT EXISTS idx_agent_task_queue_runtime ON agent_task_queue (runtime_id);
CREATE INDEX IF NOT EXISTS idx_agent_task_queue_issue ON agent_task_queue (issue_id);

CREATE TABLE IF NOT EXISTS task_usage (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    task_id            uuid NOT NULL REFERENCES agent_task_queue (id) ON DELETE CASCADE,
    provider           text NOT NULL,
    model              text NOT NULL,
    input_tokens       bigint NOT NULL DEFAULT 0,
    output_tokens      bigint NOT NULL DEFAULT 0,
    cache_read_tokens  bigint NOT NULL DEFAULT 0,
    cache_write_tokens bigint NOT NULL DEFAULT 0,
    cost_usd_ticks     bigint,
    created_at         timestamptz NOT NULL DEFAULT now(),
    updated_at         timestamptz DEFAULT now(),
    CONSTRAINT task_usage_task_id_provider_model_key UNIQUE (task_id, provider, model)
);

CREATE INDEX IF NOT EXISTS idx_task_usage_task_id ON task_usage (task_id);
CREATE INDEX IF NOT EXISTS idx_task_usage_created_at ON task_usage (created_at);
CREATE INDEX IF NOT EXISTS idx_task_usage_updated_at ON task_usage (updated_at);
CREATE INDEX IF NOT EXISTS idx_task_usage_created_at_legacy
    ON task_usage (created_at) WHERE updated_at IS NULL;

-- A bucket outlives the rows that it sums up, so this table has no foreign key.
CREATE TABLE IF NOT EXISTS task_usage_hourly (
    bucket_hour                 timestamptz NOT NULL,
    workspace_id                uuid NOT NULL,
    runtime_id                  uuid NOT NULL,
    agent_id                    uuid NOT NULL,
    project_id                  uuid,
    provider                    text NOT NULL,
    model                       text NOT NULL,
    input_tokens                bigint NOT NULL DEFAULT 0,
    output_tokens               bigint NOT NULL DEFAULT 0,
    cache_read_tokens           bigint NOT NULL DEFAULT 0,
    cache_write_tokens          bigint NOT NULL DEFAULT 0,
    cost_usd_ticks              bigint NOT NULL DEFAULT 0,
    uncosted_input_tokens       bigint,
    uncosted_output_tokens      bigint,
    uncosted_cache_read_tokens  bigint,
    uncosted_cache_write_tokens bigint,
    task_count                  bigint NOT NULL DEFAULT 0,
    event_count                 bigint NOT NULL DEFAULT 0,
    updated_at                  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_task_usage_hourly_key UNIQUE NULLS NOT DISTINCT
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);

CREATE TABLE IF NOT EXISTS task_usage_hourly_rollup_state (
    id                   smallint PRIMARY KEY DEFAULT 1,
    watermark_at         timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    last_run_started_at  timestamptz,
    last_run_finished_at timestamptz,
    last_run_rows        bigint,
    last_error           text,
    CONSTRAINT chk_task_usage_hourly_rollup_state_single CHECK (id = 1)
);

CREATE TABLE IF NOT EXISTS task_usage_hourly_dirty (
    bucket_hour  timestamptz NOT NULL,
    workspace_id uuid NOT NULL,
    runtime_id   uuid NOT NULL,
    agent_id     uuid NOT NULL,
    project_id   uuid,
    provider     text NOT NULL,
    model        text NOT NULL,
    enqueued_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_task_usage_hourly_dirty_key UNIQUE NULLS NOT DISTINCT
        (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
);

CREATE INDEX IF NOT EXISTS idx_task_usage_hourly_dirty_enqueued_at
    ON task_usage_hourly_dirty (enqueued_at);
