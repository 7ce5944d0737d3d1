-- The reads of the history pages that the ORM cannot express: skips through an index, catalog
-- figures. They use only the indexes of docs/contract.md section 2. A subquery qualifies every
-- column with its table: an unqualified column that the table lacks would be read from the outer
-- query.

-- name: clock
-- The database's clock, the table's row count by statistics (-1 if never counted), and whether row
-- security is active for this role and may hide rows from it.
SELECT now() AS now, reltuples::bigint AS estimate, row_security_active(oid) AS row_security
  FROM pg_class
 WHERE oid = 'sys_cron_executions'::regclass

-- name: bare_clock
-- The database's clock, and whether row security is active for this role (null if the table is
-- missing). It reads no table, for when even the table's statistics take too long.
SELECT now() AS now, row_security_active(to_regclass('sys_cron_executions')) AS row_security

-- name: scopes_of_job
-- The first scopes of one job. Each step skips to the next (kind, id) of the unique index.
WITH RECURSIVE scopes AS (
    (SELECT scope_kind, scope_id, 1 AS place
       FROM sys_cron_executions
      WHERE job_name = %(job)s
      ORDER BY scope_kind, scope_id
      LIMIT 1)
    UNION ALL
    SELECT next.scope_kind, next.scope_id, scopes.place + 1
      FROM scopes,
           LATERAL (SELECT later.scope_kind, later.scope_id
                      FROM sys_cron_executions AS later
                     WHERE later.job_name = %(job)s
                       AND (later.scope_kind, later.scope_id)
                           > (scopes.scope_kind, scopes.scope_id)
                     ORDER BY later.scope_kind, later.scope_id
                     LIMIT 1) AS next
     WHERE scopes.place < %(most)s
)
SELECT scope_kind AS kind, scope_id AS id FROM scopes ORDER BY place

-- name: jobs
-- The first jobs of the table. Each step skips to the next name in the unique index, and one more
-- step tells whether there are more. Also the named jobs that the table has, the database's clock
-- and whether row security is active for this role. Without any job there is still one row, without
-- a name.
WITH RECURSIVE jobs AS (
    (SELECT job_name, 1 AS place
       FROM sys_cron_executions
      ORDER BY job_name
      LIMIT 1)
    UNION ALL
    SELECT next.job_name, jobs.place + 1
      FROM jobs,
           LATERAL (SELECT later.job_name
                      FROM sys_cron_executions AS later
                     WHERE later.job_name > jobs.job_name
                     ORDER BY later.job_name
                     LIMIT 1) AS next
     WHERE jobs.place <= %(most)s
),
looked_at AS (
    SELECT job_name FROM jobs WHERE place <= %(most)s
    UNION
    SELECT found.job_name
      FROM unnest(%(named)s::text[]) AS named (job),
           LATERAL (SELECT job_name
                      FROM sys_cron_executions
                     WHERE job_name = named.job
                     ORDER BY scope_kind, scope_id, plan_time
                     LIMIT 1) AS found
)
SELECT now() AS now, row_security_active('sys_cron_executions') AS row_security,
       looked_at.job_name, (SELECT count(*) FROM jobs) > %(most)s AS more
  FROM (VALUES (1)) AS always
  LEFT JOIN looked_at ON true
 ORDER BY looked_at.job_name

-- name: failures
-- The newest FAILED rows of each job by its own index. Each row has the newest plan of its scope,
-- the newest ended plan's status, and whether the filters match it. Rows that do not match are
-- returned too, so that the caller knows how far back the rows reach.
SELECT found.id, found.job_name, found.scope_kind, found.scope_id, found.plan_time, found.attempt,
       found.max_attempts, coalesce(found.finished_at, found.updated_at) AS seen_at,
       found.error_code, left(found.error_msg, %(length)s) AS error_line,
       newest.plan_time AS newest_plan, newest.ended_as,
       (%(kind)s::text IS NULL OR (found.scope_kind, found.scope_id) = (%(kind)s, %(id)s))
       AND (%(runner)s::text IS NULL OR found.runner_id IS NOT DISTINCT FROM %(runner)s)
       AND (%(error)s::text IS NULL OR found.error_code IS NOT DISTINCT FROM %(error)s)
       AND (%(q)s::text IS NULL
            OR strpos(lower(concat_ws(' ', found.error_msg, found.error_code, found.runner_id,
                                      found.scope_id, found.job_name)), lower(%(q)s)) > 0)
           AS matches
  FROM unnest(%(jobs)s::text[]) AS job (name),
       LATERAL (SELECT failed.id, failed.job_name, failed.scope_kind, failed.scope_id,
                       failed.plan_time, failed.attempt, failed.max_attempts, failed.runner_id,
                       failed.finished_at, failed.updated_at, failed.error_code, failed.error_msg
                  FROM sys_cron_executions AS failed
                 WHERE failed.status = 'FAILED'
                   AND failed.job_name = job.name
                   AND failed.plan_time >= %(since)s
                   AND failed.plan_time < %(until)s
                 ORDER BY failed.plan_time DESC
                 LIMIT %(most)s) AS found,
       LATERAL (SELECT max(two.plan_time) AS plan_time,
                       (array_agg(two.status ORDER BY two.plan_time DESC)
                            FILTER (WHERE two.status <> 'RUNNING'))[1] AS ended_as
                  FROM (SELECT sibling.plan_time, sibling.status
                          FROM sys_cron_executions AS sibling
                         WHERE sibling.job_name = found.job_name
                           AND sibling.scope_kind = found.scope_kind
                           AND sibling.scope_id = found.scope_id
                         ORDER BY sibling.plan_time DESC
                         LIMIT 2) AS two) AS newest

-- name: scopes_of_jobs
-- The first scopes of each job, found by skipping, each with its newest plan. An only scope comes
-- with several plans.
SELECT job.name AS job_name, scopes.kind, scopes.id AS scope, newest.*
  FROM unnest(%(jobs)s::text[]) WITH ORDINALITY AS job (name, place),
       LATERAL (
           WITH RECURSIVE steps AS (
               (SELECT first.scope_kind, first.scope_id, 1 AS place
                  FROM sys_cron_executions AS first
                 WHERE first.job_name = job.name
                 ORDER BY first.scope_kind, first.scope_id
                 LIMIT 1)
               UNION ALL
               SELECT next.scope_kind, next.scope_id, steps.place + 1
                 FROM steps,
                      LATERAL (SELECT later.scope_kind, later.scope_id
                                 FROM sys_cron_executions AS later
                                WHERE later.job_name = job.name
                                  AND (later.scope_kind, later.scope_id)
                                      > (steps.scope_kind, steps.scope_id)
                                ORDER BY later.scope_kind, later.scope_id
                                LIMIT 1) AS next
                WHERE steps.place < %(most)s
           )
           SELECT steps.scope_kind AS kind, steps.scope_id AS id, steps.place,
                  CASE count(*) OVER () WHEN 1 THEN %(plans)s::integer ELSE 1 END AS plans
             FROM steps
       ) AS scopes,
       LATERAL (SELECT plan.id, plan.plan_time, plan.status, plan.attempt, plan.max_attempts,
                       plan.stale_after, plan.finished_at
                  FROM sys_cron_executions AS plan
                 WHERE plan.job_name = job.name
                   AND plan.scope_kind = scopes.kind
                   AND plan.scope_id = scopes.id
                 ORDER BY plan.plan_time DESC
                 LIMIT scopes.plans) AS newest
 ORDER BY job.place, scopes.place, newest.plan_time DESC

-- name: newest_plans
-- The newest plans of each of these scopes.
SELECT plans.*
  FROM unnest(%(jobs)s::text[], %(kinds)s::text[], %(ids)s::text[])
           WITH ORDINALITY AS scope (job, kind, id, place),
       LATERAL (SELECT plan.id, plan.job_name, plan.scope_kind, plan.scope_id, plan.plan_time,
                       plan.status, plan.attempt, plan.max_attempts, plan.stale_after,
                       plan.finished_at
                  FROM sys_cron_executions AS plan
                 WHERE plan.job_name = scope.job
                   AND plan.scope_kind = scope.kind
                   AND plan.scope_id = scope.id
                 ORDER BY plan.plan_time DESC
                 LIMIT %(most)s) AS plans
 ORDER BY scope.place, plans.plan_time DESC
