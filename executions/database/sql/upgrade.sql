-- What decides whether an upgrade of Multica is safe. Each query reads one fact and is bounded.

-- name: server
-- The server, and the state of each named extension here.
SELECT current_setting('server_version') AS version,
       current_setting('server_version_num')::int / 10000 AS major,
       pg_is_in_recovery() AS is_standby,
       wanted.name,
       CASE WHEN installed.oid IS NOT NULL THEN 'installed'
            WHEN available.name IS NOT NULL THEN 'available'
            ELSE 'missing'
       END AS state
  FROM unnest(%(extensions)s::text[]) AS wanted (name)
  LEFT JOIN pg_extension AS installed ON installed.extname = wanted.name
  LEFT JOIN pg_available_extensions AS available ON available.name = wanted.name

-- name: migrator
-- The owner of task_usage: what it may create, and what it sees of pg_cron's jobs in this database.
-- A policy of its own for every row shows it all, as in pgcron.sql. Before pg_cron 1.3 a job has no
-- name, and a privilege on a column that is not there cannot be asked for.
SELECT owner.rolname::text AS role,
       has_database_privilege(owner.oid, current_database(), 'CREATE') AS may_create,
       coalesce(has_schema_privilege(owner.oid, job.relnamespace, 'USAGE')
                AND has_column_privilege(owner.oid, job.oid, coalesce(name.attnum, 1::smallint), 'SELECT'),
                false) AS may_look,
       job.oid IS NULL OR name.attnum IS NOT NULL AS jobs_have_names,
       owner.rolsuper OR owner.rolbypassrls
       OR coalesce(pg_has_role(owner.oid, job.relowner, 'USAGE'), false)
       OR EXISTS (SELECT FROM pg_policy, unnest(polroles) AS member
                   WHERE polrelid = job.oid AND polcmd IN ('r', '*')
                     AND pg_get_expr(polqual, polrelid) = 'true'
                     AND (member = 0 OR pg_has_role(owner.oid, member, 'USAGE'))) AS sees_all
  FROM pg_class AS relation
  JOIN pg_roles AS owner ON owner.oid = relation.relowner
  LEFT JOIN pg_namespace AS cron
    ON cron.nspname = 'cron' AND EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')
  LEFT JOIN pg_class AS job ON job.relnamespace = cron.oid AND job.relname = 'job'
  LEFT JOIN pg_attribute AS name ON name.attrelid = job.oid AND name.attname = 'jobname'
 WHERE relation.oid = to_regclass('task_usage')

-- name: usage
-- The rows of task_usage, counted up to a limit, and the agents that they may be of. The newest
-- event is that of migration 103's guard: greatest() of two ends of indexes is the same.
SELECT (SELECT count(*) FROM (SELECT task_id FROM task_usage LIMIT %(most)s) AS counted) AS counted,
       (SELECT greatest(reltuples::bigint, pg_stat_get_live_tuples(oid))
          FROM pg_class WHERE oid = to_regclass('task_usage')) AS estimate,
       (SELECT count(*) FROM (SELECT id FROM agent LIMIT %(most_agents)s) AS counted) AS agents,
       (SELECT min(created_at) FROM task_usage) AS oldest,
       greatest((SELECT max(updated_at) FROM task_usage),
                (SELECT max(created_at) FROM task_usage WHERE updated_at IS NULL)) AS newest

-- name: has_migrations
-- Whether Multica's record of its migrations is here, with its times.
SELECT EXISTS (SELECT FROM pg_attribute
                WHERE attrelid = to_regclass('schema_migrations') AND attname = 'applied_at'
                  AND NOT attisdropped) AS found

-- name: migrated
-- When a migration was last applied.
SELECT max(applied_at) AS migrated_at FROM schema_migrations

-- name: first_success
-- The first success of a job and scope that ended after a moment. A plan that ends after it is at
-- most as old as a run may take, so the index of plans bounds the search.
-- Whether an older success is on record tells that nobody deleted those in between.
SELECT finished_at,
       EXISTS (SELECT FROM sys_cron_executions AS older
                WHERE older.job_name = %(job)s AND older.scope_kind = %(scope_kind)s
                  AND older.scope_id = %(scope_id)s AND older.plan_time < first.plan_time
                  AND older.status = 'SUCCESS') AS follows_another
  FROM sys_cron_executions AS first
 WHERE job_name = %(job)s AND scope_kind = %(scope_kind)s AND scope_id = %(scope_id)s
   AND plan_time >= %(since)s::timestamptz - %(longest)s::interval
   AND status = 'SUCCESS' AND finished_at >= %(since)s
 ORDER BY plan_time
 LIMIT 1
