-- What the dashboard knows of the rollup. Each query reads one fact, is bounded, and fits the
-- indexes of docs/contract.md section 2. All of them only read.

-- name: ground
-- The clock, our role, the tables of Multica that we see, those of which row security hides rows
-- from this role, and the approximate number of executions. A role with a policy of its own for
-- every row counts as seeing all. On a standby the clock is the last replayed commit, because later
-- changes of the primary cannot be seen there.
SELECT CASE WHEN is_standby THEN least(now(), pg_last_xact_replay_timestamp()) ELSE now() END AS now,
       is_standby,
       CASE WHEN is_standby
            THEN greatest(now() - pg_last_xact_replay_timestamp(), '0')
       END AS replay_lag,
       current_user::text AS role,
       current_database()::text AS database,
       to_regclass('sys_cron_executions') IS NOT NULL AS has_executions,
       to_regclass('task_usage_hourly_rollup_state') IS NOT NULL AS has_state,
       to_regclass('task_usage') IS NOT NULL AS has_usage,
       ARRAY(SELECT relation.relname::text
               FROM unnest(ARRAY['sys_cron_executions', 'task_usage_hourly_rollup_state',
                                 'task_usage_hourly_dirty', 'task_usage_hourly', 'task_usage',
                                 'agent', 'agent_task_queue', 'issue']) AS wanted (name)
               JOIN pg_class AS relation ON relation.oid = to_regclass(wanted.name)
              WHERE row_security_active(relation.oid)
                AND (EXISTS (SELECT FROM pg_policy AS policy
                              WHERE policy.polrelid = relation.oid AND NOT policy.polpermissive)
                     OR NOT EXISTS (
                         SELECT FROM pg_policy AS policy, unnest(policy.polroles) AS member
                          WHERE policy.polrelid = relation.oid AND policy.polcmd IN ('r', '*')
                            AND pg_get_expr(policy.polqual, policy.polrelid) = 'true'
                            AND (member = 0 OR pg_has_role(member, 'USAGE'))))
              ORDER BY relation.relname) AS hidden,
       (SELECT nullif(greatest(reltuples::bigint, pg_stat_get_live_tuples(oid)), -1)
          FROM pg_class
         WHERE oid = to_regclass('sys_cron_executions')) AS executions_estimate
  FROM (SELECT pg_is_in_recovery() AS is_standby) AS server

-- name: executions_of_scope
-- One job and scope at one moment: its executions from a plan_time on, newest first, then all those
-- past their lease, the most recent lease first; each with the scope's oldest plan_time. The index
-- of leases holds other jobs' rows too, so its scan is limited before it is filtered.
WITH recent AS (
    SELECT id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id, heartbeat_at,
           stale_after, started_at, finished_at, duration_ms, rows_affected, result, error_code,
           error_msg
      FROM sys_cron_executions
     WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s
       AND plan_time >= %(since)s
     ORDER BY plan_time DESC
     LIMIT %(most)s
),
abandoned AS (
    SELECT id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id, heartbeat_at,
           stale_after, started_at, finished_at, duration_ms, rows_affected, result, error_code,
           error_msg
      FROM (SELECT id, job_name, scope_kind, scope_id, plan_time, status, attempt, max_attempts,
                   next_retry_at, runner_id, heartbeat_at, stale_after, started_at, finished_at,
                   duration_ms, rows_affected, result, error_code, error_msg
              FROM sys_cron_executions
             WHERE status = 'RUNNING' AND stale_after < now()
             ORDER BY stale_after DESC
             LIMIT 2000) AS lapsed
     WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s
     ORDER BY stale_after DESC
     LIMIT 100
)
SELECT is_abandoned,
       (SELECT min(plan_time)
          FROM sys_cron_executions
         WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s)
           AS first_plan,
       id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id, heartbeat_at,
       stale_after, started_at, finished_at, duration_ms, rows_affected,
       result ->> 'watermark_before' AS watermark_before,
       result ->> 'watermark_after' AS watermark_after,
       error_code, left(error_msg, 500) AS error_msg
  FROM (SELECT false AS is_abandoned, recent.* FROM recent
         UNION ALL
        SELECT true, abandoned.* FROM abandoned) AS found
 ORDER BY is_abandoned, CASE WHEN is_abandoned THEN stale_after ELSE plan_time END DESC

-- name: executions_between
-- The executions of one job and scope from a plan_time on and before another, newest first, up to a
-- limit: exactly what a ledger needs. The lease matters only for running ones. The watermarks tell
-- how a gap ended, so only a row without the preceding plan's row (it "follows" none) has them.
-- A plan that was simply kept, between two neighbours, is left out: of a healthy week nearly all.
-- Everything between a row that follows and the next row of the answer was such a plan. Lately none
-- is left out, because durations are measured there. "newest" is a plan_time on the grid.
SELECT id, plan_time, status, attempt, max_attempts, finished_at, duration_ms, follows,
       CASE WHEN status = 'RUNNING' THEN stale_after END AS stale_after,
       CASE WHEN NOT follows THEN result ->> 'watermark_before' END AS watermark_before,
       CASE WHEN NOT follows THEN result ->> 'watermark_after' END AS watermark_after
  FROM (SELECT id, plan_time, status, attempt, max_attempts, finished_at, duration_ms, stale_after,
               result,
               lead(plan_time) OVER newest_first IS NOT DISTINCT FROM
                   plan_time - %(cadence)s::interval AS follows,
               lag(plan_time) OVER newest_first IS NOT DISTINCT FROM
                   plan_time + %(cadence)s::interval AS is_followed
          FROM (SELECT id, plan_time, status, attempt, max_attempts, finished_at, duration_ms,
                       stale_after, result
                  FROM sys_cron_executions
                 WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s
                   AND scope_id = %(scope_id)s
                   AND plan_time >= %(since)s AND plan_time < %(until)s
                 ORDER BY plan_time DESC
                 LIMIT %(most)s) AS looked_at
        WINDOW newest_first AS (ORDER BY plan_time DESC)) AS found
 WHERE (follows AND is_followed AND status = 'SUCCESS' AND attempt = 1
        AND finished_at <= plan_time + %(in_time)s::interval
        AND mod(extract(epoch FROM %(newest)s::timestamptz - plan_time)::numeric,
                extract(epoch FROM %(cadence)s::interval)::numeric) = 0
        AND plan_time < %(whole_from)s::timestamptz) IS NOT TRUE
 ORDER BY plan_time DESC

-- name: marks_up_to
-- The watermarks of one job and scope in the day up to a plan, newest first.
SELECT id, plan_time, status, attempt, max_attempts,
       result ->> 'watermark_before' AS watermark_before,
       result ->> 'watermark_after' AS watermark_after
  FROM sys_cron_executions
 WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s
   AND plan_time <= %(plan_time)s
   AND plan_time >= %(plan_time)s::timestamptz - interval '24 hours'
 ORDER BY plan_time DESC
 LIMIT %(most)s

-- name: newest_before
-- The newest execution of one job and scope before a plan_time, and the newest SUCCESS among a
-- bounded number of rows before that.
SELECT id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id, heartbeat_at,
       stale_after, started_at, finished_at, duration_ms, rows_affected,
       result ->> 'watermark_before' AS watermark_before,
       result ->> 'watermark_after' AS watermark_after,
       error_code, left(error_msg, 500) AS error_msg
  FROM (SELECT *,
               row_number() OVER (ORDER BY plan_time DESC) AS place,
               row_number() OVER (PARTITION BY status ORDER BY plan_time DESC) AS place_in_status
          FROM (SELECT id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id,
                       heartbeat_at, stale_after, started_at, finished_at, duration_ms,
                       rows_affected, result, error_code, error_msg
                  FROM sys_cron_executions
                 WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s
                   AND scope_id = %(scope_id)s AND plan_time < %(since)s
                 ORDER BY plan_time DESC
                 LIMIT %(most)s) AS older) AS placed
 WHERE place = 1 OR (status = 'SUCCESS' AND place_in_status = 1)
 ORDER BY plan_time DESC

-- name: first_plan
-- The oldest plan_time of one job and scope. Earlier plans are not expected.
SELECT min(plan_time) AS first_plan
  FROM sys_cron_executions
 WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s

-- name: stale_executions
-- RUNNING rows of one job past their lease, the most recent lease first. The index holds other
-- jobs' rows too, so its scan is limited before it is filtered.
SELECT id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id, heartbeat_at,
       stale_after, started_at, finished_at, duration_ms, rows_affected,
       NULL AS watermark_before, NULL AS watermark_after,
       error_code, left(error_msg, 500) AS error_msg
  FROM (SELECT id, job_name, plan_time, status, attempt, max_attempts, next_retry_at, runner_id,
               heartbeat_at, stale_after, started_at, finished_at, duration_ms, rows_affected,
               error_code, error_msg
          FROM sys_cron_executions
         WHERE status = 'RUNNING' AND stale_after < now()
         ORDER BY stale_after DESC
         LIMIT 2000) AS abandoned
 WHERE job_name = %(job)s
 ORDER BY stale_after DESC
 LIMIT 100

-- name: any_of_job
-- Any one scope of a job, if it has executions.
SELECT scope_kind, scope_id
  FROM sys_cron_executions
 WHERE job_name = %(job)s
 ORDER BY scope_kind, scope_id
 LIMIT 1

-- name: tallies
-- What ended lately and what runs now, summed up by job, from a bounded number of the newest rows
-- of the index of finished rows and of that of running rows. A scope is halted if its newest ended
-- plan failed in all its attempts. The sort is bytewise, which is much cheaper.
WITH ended AS (
    SELECT job_name, status, attempt, duration_ms, finished_at,
           status = 'FAILED' AND attempt >= max_attempts AS for_good,
           row_number() OVER (PARTITION BY job_name COLLATE "C" ORDER BY finished_at DESC) AS place,
           row_number() OVER (PARTITION BY job_name COLLATE "C", scope_kind COLLATE "C",
                                           scope_id COLLATE "C"
                              ORDER BY plan_time DESC) = 1 AS is_newest
      FROM (SELECT job_name, scope_kind, scope_id, plan_time, status, attempt, max_attempts,
                   duration_ms, finished_at
              FROM sys_cron_executions
             WHERE status IN ('SUCCESS', 'FAILED') AND finished_at >= now() - interval '24 hours'
             ORDER BY finished_at DESC
             LIMIT %(most)s) AS lately
),
summed AS (
    SELECT job_name, count(*) AS ended,
           count(*) FILTER (WHERE status = 'FAILED') AS failed,
           count(*) FILTER (WHERE status = 'SUCCESS' AND attempt > 1) AS retried,
           count(*) FILTER (WHERE status = 'SUCCESS' AND attempt > 1 AND place <= 12)
               AS retried_lately,
           count(*) FILTER (WHERE is_newest) AS scopes,
           count(*) FILTER (WHERE is_newest AND for_good) AS halted,
           count(*) FILTER (WHERE attempt > 1) AS tried_again,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms)
               FILTER (WHERE status = 'SUCCESS') AS p95_ms,
           max(finished_at) AS newest,
           sum(count(*)) OVER () AS looked_at,
           min(min(finished_at)) OVER () AS reached
      FROM ended
     GROUP BY job_name
),
open AS (
    SELECT job_name, count(*) AS running,
           count(*) FILTER (WHERE stale_after < now()) AS stale,
           count(*) FILTER (WHERE stale_after < now() - %(allowance)s) AS abandoned,
           max(stale_after) FILTER (WHERE stale_after < now() - %(allowance)s) AS abandoned_at
      FROM (SELECT job_name, stale_after
              FROM sys_cron_executions
             WHERE status = 'RUNNING'
             ORDER BY stale_after DESC
             LIMIT %(most_running)s) AS running
     GROUP BY job_name
)
SELECT job_name, coalesce(ended, 0) AS ended, coalesce(failed, 0) AS failed,
       coalesce(retried, 0) AS retried, coalesce(retried_lately, 0) AS retried_lately,
       coalesce(scopes, 0) AS scopes, coalesce(halted, 0) AS halted,
       coalesce(tried_again, 0) AS tried_again, p95_ms, newest,
       coalesce(running, 0) AS running, coalesce(stale, 0) AS stale,
       coalesce(abandoned, 0) AS abandoned, abandoned_at,
       coalesce(looked_at, 0) >= %(most)s AS cut_short, reached
  FROM summed
  FULL JOIN open USING (job_name)

-- name: finished_of_job
-- What a job with any number of scopes finished lately, newest first, filtered from a bounded
-- number of the newest rows of all jobs, because no index has one job's rows by their end.
SELECT id, plan_time, status, attempt, max_attempts, next_retry_at, runner_id, heartbeat_at,
       stale_after, started_at, finished_at, duration_ms, rows_affected,
       NULL AS watermark_before, NULL AS watermark_after,
       error_code, left(error_msg, 500) AS error_msg
  FROM (SELECT id, job_name, plan_time, status, attempt, max_attempts, next_retry_at, runner_id,
               heartbeat_at, stale_after, started_at, finished_at, duration_ms, rows_affected,
               error_code, error_msg
          FROM sys_cron_executions
         WHERE status IN ('SUCCESS', 'FAILED') AND finished_at >= now() - interval '24 hours'
         ORDER BY finished_at DESC
         LIMIT %(most)s) AS ended
 WHERE job_name = %(job)s
 ORDER BY finished_at DESC

-- name: exhausted_of_job
-- The FAILED rows without an attempt left that are still the newest plan of their scope, among the
-- newest FAILED rows of a job. These scopes are halted.
SELECT failed.id, failed.plan_time, failed.status, failed.attempt, failed.max_attempts,
       failed.next_retry_at, failed.runner_id, failed.heartbeat_at, failed.stale_after,
       failed.started_at, failed.finished_at, failed.duration_ms, failed.rows_affected,
       NULL AS watermark_before, NULL AS watermark_after,
       failed.error_code, left(failed.error_msg, 500) AS error_msg
  FROM (SELECT id, job_name, scope_kind, scope_id, plan_time, status, attempt, max_attempts,
               next_retry_at, runner_id, heartbeat_at, stale_after, started_at, finished_at,
               duration_ms, rows_affected, error_code, error_msg
          FROM sys_cron_executions
         WHERE job_name = %(job)s AND status = 'FAILED'
         ORDER BY plan_time DESC
         LIMIT 200) AS failed
 CROSS JOIN LATERAL (
        SELECT sibling.plan_time
          FROM sys_cron_executions AS sibling
         WHERE sibling.job_name = failed.job_name
           AND sibling.scope_kind = failed.scope_kind AND sibling.scope_id = failed.scope_id
         ORDER BY sibling.plan_time DESC
         LIMIT 1) AS newest
 WHERE failed.attempt >= failed.max_attempts AND newest.plan_time = failed.plan_time
 ORDER BY failed.plan_time DESC

-- name: state
-- The watermark and the last run; no row if the state row is missing.
SELECT watermark_at, last_run_started_at, last_run_finished_at
  FROM task_usage_hourly_rollup_state
 WHERE id = 1

-- name: first_usage
-- When the oldest usage was written; an infinite time does not count. Also whether Multica's own
-- record of its migrations exists and may be read.
SELECT min(created_at) AS trace,
       EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = to_regclass('schema_migrations') AND attname = 'applied_at'
                  AND NOT attisdropped
                  AND has_column_privilege(attrelid, attnum, 'SELECT')) AS has_migrations
  FROM task_usage WHERE created_at > '-infinity'

-- name: first_migration
-- When Multica first migrated this database.
SELECT min(applied_at) AS trace FROM schema_migrations
