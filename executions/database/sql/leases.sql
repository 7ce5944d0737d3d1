-- Every statement that a runner sends to sys_cron_executions: docs/contract.md section 3. Each is a
-- transaction of its own, so now() is the time at which the database received it.

-- name: standing
-- For each scope: the database's time, the newest stored plan, its holder if it cannot be claimed
-- now, and the FAILED plans in the window that may be retried. Plans after the year 9999 do not
-- count. The rule for what can be claimed is the same as in take_over.
SELECT now() AS now, newest.plan_time AS newest, newest.may_be_claimed, newest.status, newest.runner_id,
       ARRAY(SELECT failed.plan_time
               FROM sys_cron_executions AS failed
              WHERE failed.job_name = %(job_name)s
                AND failed.scope_kind = scope.kind AND failed.scope_id = scope.id
                AND failed.status = 'FAILED'
                AND failed.plan_time >= now() - %(window)s::interval
                AND failed.plan_time < '9999-12-31 UTC'
                AND failed.attempt < failed.max_attempts
                AND (failed.next_retry_at IS NULL OR failed.next_retry_at <= now())
                AND (%(reentry)s OR failed.error_code IS DISTINCT FROM 'stale_timeout')
              ORDER BY failed.plan_time
              LIMIT %(most)s) AS retryable
  FROM unnest(%(scope_kinds)s::text[], %(scope_ids)s::text[])
       WITH ORDINALITY AS scope (kind, id, place)
  LEFT JOIN LATERAL (
       SELECT plan.plan_time, plan.status, plan.runner_id,
              plan.attempt < plan.max_attempts
              AND (   (    plan.status = 'FAILED'
                       AND (plan.next_retry_at IS NULL OR plan.next_retry_at <= now())
                       AND (%(reentry)s OR plan.error_code IS DISTINCT FROM 'stale_timeout'))
                   OR (plan.status = 'RUNNING' AND plan.stale_after < now() AND %(reentry)s))
              AS may_be_claimed
         FROM sys_cron_executions AS plan
        WHERE plan.job_name = %(job_name)s
          AND plan.scope_kind = scope.kind AND plan.scope_id = scope.id
          AND plan.plan_time < '9999-12-31 UTC'
        ORDER BY plan.plan_time DESC
        LIMIT 1) AS newest ON true
 ORDER BY scope.place

-- name: sweep
-- Close abandoned rows. Skip rows that another session is writing, so that sweepers never deadlock.
WITH abandoned AS (
    SELECT id
      FROM sys_cron_executions
     WHERE job_name = %(job_name)s AND status = 'RUNNING' AND stale_after < now()
       FOR UPDATE SKIP LOCKED
)
UPDATE sys_cron_executions AS execution
   SET status = 'FAILED', error_code = 'stale_timeout', error_msg = %(message)s,
       finished_at = now(), updated_at = now()
  FROM abandoned
 WHERE execution.id = abandoned.id
RETURNING execution.scope_kind, execution.scope_id, execution.plan_time, execution.attempt,
          execution.runner_id

-- name: claim
-- Win a plan that no runner has begun. No row: another runner has begun it.
INSERT INTO sys_cron_executions (id, job_name, scope_kind, scope_id, plan_time, status, attempt,
                                 max_attempts, runner_id, lease_token, heartbeat_at, stale_after,
                                 started_at)
VALUES (%(id)s, %(job_name)s, %(scope_kind)s, %(scope_id)s, %(plan_time)s, 'RUNNING', 1,
        %(max_attempts)s, %(runner_id)s, gen_random_uuid(), now(), now() + %(stale_timeout)s,
        now())
ON CONFLICT (job_name, scope_kind, scope_id, plan_time) DO NOTHING
RETURNING id, lease_token

-- name: take_over
-- Retry a failed plan or steal a stale one. If neither is allowed, taken is null and the row says
-- who has the plan.
WITH standing AS (
    SELECT id, status, attempt, runner_id, lease_token,
           extract(epoch FROM stale_after - now())::float8 AS seconds_left
      FROM sys_cron_executions
     WHERE job_name = %(job_name)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s
       AND plan_time = %(plan_time)s
), taken AS (
    UPDATE sys_cron_executions AS execution
       SET status = 'RUNNING', attempt = execution.attempt + 1, runner_id = %(runner_id)s,
           lease_token = gen_random_uuid(), heartbeat_at = now(),
           stale_after = now() + %(stale_timeout)s, started_at = now(), finished_at = NULL,
           duration_ms = NULL, next_retry_at = NULL, error_code = NULL, error_msg = NULL,
           updated_at = now()
      FROM standing
     WHERE execution.job_name = %(job_name)s AND execution.scope_kind = %(scope_kind)s
       AND execution.scope_id = %(scope_id)s AND execution.plan_time = %(plan_time)s
       AND execution.status = standing.status
       AND execution.attempt < execution.max_attempts
       AND (   (    execution.status = 'FAILED'
                AND (execution.next_retry_at IS NULL OR execution.next_retry_at <= now())
                AND (%(reentry)s OR execution.error_code IS DISTINCT FROM 'stale_timeout'))
            OR (    execution.status = 'RUNNING' AND execution.stale_after < now()
                AND %(reentry)s))
    RETURNING execution.id, execution.lease_token, execution.attempt
)
SELECT standing.id, standing.status, standing.attempt, standing.runner_id, standing.lease_token,
       standing.seconds_left, taken.lease_token AS taken, taken.attempt AS taken_attempt
  FROM standing LEFT JOIN taken USING (id)

-- name: begun
-- The lease of a claim whose answer was lost, if that claim began the row and the lease lives.
SELECT lease_token, extract(epoch FROM stale_after - now())::float8 AS seconds_left
  FROM sys_cron_executions
 WHERE id = %(id)s AND attempt = 1 AND status = 'RUNNING' AND stale_after > now()

-- name: heartbeat
-- Extend the lease. No row: it is lost.
UPDATE sys_cron_executions
   SET heartbeat_at = now(), stale_after = now() + %(stale_timeout)s, updated_at = now()
 WHERE id = %(id)s AND lease_token = %(lease_token)s AND status = 'RUNNING'
RETURNING id

-- name: succeed
-- Finish as SUCCESS, if the lease is still ours.
UPDATE sys_cron_executions
   SET status = 'SUCCESS', finished_at = now(), duration_ms = %(duration_ms)s,
       rows_affected = %(rows_affected)s, result = %(result)s, next_retry_at = NULL,
       error_code = NULL, error_msg = NULL, updated_at = now()
 WHERE id = %(id)s AND lease_token = %(lease_token)s AND status = 'RUNNING'
RETURNING id

-- name: fail
-- Finish as FAILED, if the lease is still ours. Without a backoff the plan is not retried.
UPDATE sys_cron_executions
   SET status = 'FAILED', finished_at = now(), duration_ms = %(duration_ms)s,
       next_retry_at = now() + %(backoff)s, error_code = %(error_code)s, error_msg = %(error_msg)s,
       updated_at = now()
 WHERE id = %(id)s AND lease_token = %(lease_token)s AND status = 'RUNNING'
RETURNING id

-- name: landed
-- Whether a finish was written although its answer was lost. The sweep keeps the token, not the
-- outcome.
SELECT FROM sys_cron_executions
 WHERE id = %(id)s AND lease_token = %(lease_token)s AND status = %(status)s
   AND error_code IS NOT DISTINCT FROM %(error_code)s AND duration_ms = %(duration_ms)s

-- name: bound_run
-- Limit a handler's session by its run timeout, idle or busy, and end it when its client has died.
SELECT set_config('statement_timeout', %(milliseconds)s::text, false),
       set_config('idle_session_timeout', %(milliseconds)s::text, false),
       set_config('idle_in_transaction_session_timeout', %(milliseconds)s::text, false),
       set_config('client_connection_check_interval', '1s', false)
