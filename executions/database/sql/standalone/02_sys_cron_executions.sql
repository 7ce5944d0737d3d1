-- The lease and audit table of every scheduled job: docs/contract.md section 2.
--
-- One row is one planned execution. The table has exactly the columns, constraints and indexes of a
-- real install, so a read that is fast here is fast there.

CREATE TABLE IF NOT EXISTS sys_cron_executions (
    id            uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    job_name      text NOT NULL,
    scope_kind    text NOT NULL DEFAULT 'global',
    scope_id      text NOT NULL DEFAULT 'global',
    plan_time     timestamptz NOT NULL,
    status        text NOT NULL,
    attempt       integer NOT NULL DEFAULT 1,
    max_attempts  integer NOT NULL DEFAULT 3,
    next_retry_at timestamptz,
    runner_id     text,
    lease_token   uuid NOT NULL,
    heartbeat_at  timestamptz,
    stale_after   timestamptz,
    started_at    timestamptz,
    finished_at   timestamptz,
    duration_ms   integer,
    rows_affected bigint,
    result        jsonb NOT NULL DEFAULT '{}',
    error_code    text,
    error_msg     text,
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT uq_sys_cron_execution UNIQUE (job_name, scope_kind, scope_id, plan_time),
    CONSTRAINT chk_sys_cron_status CHECK (status IN ('RUNNING', 'SUCCESS', 'FAILED')),
    CONSTRAINT chk_sys_cron_attempt CHECK (attempt >= 1 AND max_attempts >= attempt),
    CONSTRAINT chk_sys_cron_duration CHECK (duration_ms IS NULL OR duration_ms >= 0)
);

CREATE INDEX IF NOT EXISTS idx_sys_cron_exec_failed_recent
    ON sys_cron_executions (job_name, plan_time DESC) WHERE status = 'FAILED';
CREATE INDEX IF NOT EXISTS idx_sys_cron_exec_running_stale
    ON sys_cron_executions (stale_after) WHERE status = 'RUNNING';
CREATE INDEX IF NOT EXISTS idx_sys_cron_exec_finished
    ON sys_cron_executions (finished_at) WHERE status IN ('SUCCESS', 'FAILED');
