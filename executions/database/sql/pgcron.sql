-- What pg_cron shows of itself, and the calls that change it. Without USAGE on schema cron even
-- naming cron.job raises, so the catalog is asked first, by oid: docs/contract.md section 5.

-- name: sight
-- Whether the extension is in this database, what this role sees of its jobs, and where else it may
-- be: every role sees the database of its launcher, but not its settings. The estimate of live rows
-- is not subject to row security. A launcher that ends on each start is started again after a
-- second, so a launcher younger than two seconds does not count, if its age is shown. Nor does a
-- missing launcher while the server itself has just started; after a crash the checkpointer is new.
-- Row security hides nothing from a role that has a policy of its own for every row.
SELECT current_database()::text AS here,
       current_user::text AS role,
       extension.extversion AS version,
       coalesce(has_schema_privilege(job.relnamespace, 'USAGE')
                AND NOT EXISTS (SELECT FROM pg_attribute
                                 WHERE attrelid = job.oid AND attnum > 0 AND NOT attisdropped
                                   AND NOT has_column_privilege(job.oid, attnum, 'SELECT')),
                false) AS may_read,
       coalesce(row_security_active(job.oid), false)
       AND (EXISTS (SELECT FROM pg_policy
                     WHERE polrelid = job.oid AND NOT polpermissive)
            OR NOT EXISTS (SELECT FROM pg_policy, unnest(polroles) AS member
                            WHERE polrelid = job.oid AND polcmd IN ('r', '*')
                              AND pg_get_expr(polqual, polrelid) = 'true'
                              AND (member = 0 OR pg_has_role(member, 'USAGE')))) AS filtered,
       coalesce(pg_stat_get_live_tuples(job.oid), 0) AS estimate,
       (SELECT datname::text
          FROM pg_stat_activity
         WHERE application_name = 'pg_cron scheduler' AND datname IS NOT NULL
         LIMIT 1) AS launcher_database,
       EXISTS (SELECT FROM pg_stat_activity
                WHERE application_name = 'pg_cron scheduler'
                  AND coalesce(backend_start < clock_timestamp() - interval '2 seconds', true))
           AS launcher_runs,
       greatest(pg_postmaster_start_time(),
                (SELECT max(backend_start) FROM pg_stat_activity
                  WHERE backend_type = 'checkpointer'))
           > clock_timestamp() - interval '20 seconds' AS server_begins,
       pg_is_in_recovery() AS is_standby,
       current_setting('port')::int AS port,
       reads_settings,
       CASE WHEN reads_settings THEN current_setting('shared_preload_libraries') END AS libraries,
       CASE WHEN reads_settings THEN current_setting('cron.database_name', true) END
           AS configured_database,
       CASE WHEN reads_settings THEN current_setting('cron.launch_active_jobs', true) END AS launches
  FROM (SELECT pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') AS reads_settings) AS once
  LEFT JOIN pg_extension AS extension ON extension.extname = 'pg_cron'
  LEFT JOIN pg_class AS job
    ON job.relname = 'job' AND extension.oid IS NOT NULL
   AND job.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'cron')

-- name: library_loaded
-- Raises for lack of a right if pg_cron's library is loaded; null if it is not.
SELECT current_setting('cron.database_name', true) AS configured_database

-- name: server
-- What tells this database from every other and from its copies, and its clock.
SELECT pg_postmaster_start_time() AS started_at,
       current_database()::text AS database,
       current_setting('port')::int AS port,
       host(inet_server_addr()) AS address,
       CASE WHEN reads_settings THEN current_setting('cron.host', true) END AS cron_host,
       CASE WHEN reads_settings
            THEN current_setting('cron.use_background_workers', true)::boolean
       END AS background_workers,
       current_user::text AS role,
       clock_timestamp() AS now,
       pg_is_in_recovery() AS is_standby
  FROM (SELECT pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') AS reads_settings) AS once

-- name: system_identifier
-- The cluster's own number. Some managed servers do not show it.
SELECT system_identifier::text AS identifier FROM pg_control_system()

-- name: jobs
-- The jobs that this role sees, or the one of a number, up to a limit. cron.dom_dow_and_logic came
-- with pg_cron 1.6.8, whose objects have version 1.6.
SELECT jobid, jobname::text AS jobname, schedule, command, database, username AS owner, active,
       nodename, nodeport, both_days
  FROM cron.job
 CROSS JOIN (SELECT CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
                         THEN coalesce(current_setting('cron.dom_dow_and_logic', true), 'off')::boolean
                         WHEN (regexp_match(extversion, '^(\d+)\.(\d+)'))::int[] < ARRAY[1, 6] THEN false
                    END AS both_days
               FROM pg_extension WHERE extname = 'pg_cron') AS setting
 WHERE %(jobid)s::bigint IS NULL OR jobid = %(jobid)s
 ORDER BY jobid
 LIMIT %(most)s

-- name: orphans
-- Jobs whose owner no longer exists.
SELECT jobid, jobname::text AS jobname, schedule, command, database, username AS owner, active,
       nodename, nodeport
  FROM cron.job
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = username)
 ORDER BY jobid
 LIMIT 20

-- name: highest
-- The highest number among the jobs that this role sees; null if it sees none.
SELECT max(jobid) AS jobid FROM cron.job

-- name: columns
-- Every column that this version of pg_cron has for one job, except its number.
SELECT to_jsonb(job) - 'jobid' AS columns FROM cron.job AS job WHERE jobid = %(jobid)s

-- name: able_to_run
-- Whether a job's owner may log in and its database accepts connections, which pg_cron does not
-- check when it schedules a job. Null if there is no such role or database.
SELECT (SELECT rolcanlogin FROM pg_roles WHERE rolname = %(owner)s) AS owner_may_log_in,
       (SELECT datallowconn FROM pg_database WHERE datname = %(database)s) AS database_lets_in

-- name: namesakes
-- Jobs that scheduling this name again under this owner would overwrite.
SELECT jobid FROM cron.job WHERE jobname::text = %(jobname)s AND username = %(owner)s

-- name: runs
-- The last runs of some jobs, newest first. The table is never pruned and is indexed by runid only,
-- so only its newest rows are read.
SELECT jobid, job_pid AS pid, status, return_message AS message,
       start_time AS started_at, end_time AS ended_at
  FROM cron.job_run_details
 WHERE runid > (SELECT max(runid) FROM cron.job_run_details) - %(within)s
   AND jobid = ANY (%(jobids)s)
 ORDER BY runid DESC
 LIMIT %(most)s

-- name: latest_runs
-- When some jobs of a database ran lately, and every run whose command names the rollup, because
-- its job may be gone. Failed runs wrote nothing and are left out.
SELECT jobid, start_time AS started_at, end_time AS ended_at, command
  FROM cron.job_run_details
 WHERE runid > (SELECT max(runid) FROM cron.job_run_details) - %(within)s
   AND database = %(database)s
   AND (jobid = ANY (%(jobids)s) OR command ILIKE '%%rollup_task_usage%%')
   AND start_time IS NOT NULL AND status <> 'failed'
 ORDER BY runid DESC
 LIMIT %(most)s

-- name: runs_kept_since
-- When the oldest run details that we read begin; no row if there are none, or if runs are no
-- longer logged. A setting that this role may not read counts as on.
SELECT start_time AS since
  FROM cron.job_run_details
 WHERE runid > (SELECT max(runid) FROM cron.job_run_details) - %(within)s
   AND start_time IS NOT NULL
   AND NOT EXISTS (SELECT FROM pg_settings WHERE name = 'cron.log_run' AND setting = 'off')
 ORDER BY runid
 LIMIT 1

-- name: sight_of_runs
-- Whether row security hides runs from this role. Its policy is separate from that of the jobs.
SELECT current_user::text AS role,
       row_security_active(details.oid)
       AND (EXISTS (SELECT FROM pg_policy
                     WHERE polrelid = details.oid AND NOT polpermissive)
            OR NOT EXISTS (SELECT FROM pg_policy, unnest(polroles) AS member
                            WHERE polrelid = details.oid AND polcmd IN ('r', '*')
                              AND pg_get_expr(polqual, polrelid) = 'true'
                              AND (member = 0 OR pg_has_role(member, 'USAGE')))) AS filtered
  FROM (SELECT to_regclass('cron.job_run_details')::oid AS oid) AS details

-- name: backends
-- Processes that run a job now, however pg_cron starts them, with the job whose run details name
-- the process. A background worker's run is logged some milliseconds before the process begins;
-- older run details belong to another process with the same id. What this role may not see is null.
SELECT backend.pid,
       backend.backend_start AS started_at,
       backend.usename::text AS user,
       backend.datname::text AS database,
       CASE WHEN backend.backend_start IS NOT NULL THEN backend.query END AS query,
       (SELECT detail.jobid
          FROM cron.job_run_details AS detail
         WHERE detail.runid > (SELECT max(runid) FROM cron.job_run_details) - %(within)s
           AND detail.job_pid = backend.pid
           AND detail.start_time >= backend.backend_start - interval '1 second'
         ORDER BY detail.runid DESC
         LIMIT 1) AS jobid
  FROM pg_stat_activity AS backend
 WHERE backend.application_name = 'pg_cron' OR backend.backend_type = 'pg_cron'

-- name: rights
-- What this role may call, and whether it may delete from cron.job. Functions that this version of
-- pg_cron lacks count as not executable. Without its library none can be called.
SELECT current_user::text AS role,
       CASE WHEN pg_has_role(current_user, 'pg_read_all_settings', 'USAGE')
            THEN strpos(current_setting('shared_preload_libraries'), 'pg_cron') > 0
       END AS loaded,
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS superuser,
       has_table_privilege('cron.job', 'DELETE') AS may_delete,
       coalesce(has_function_privilege(
           to_regprocedure('cron.unschedule(bigint)'), 'EXECUTE'), false) AS unschedule,
       coalesce(has_function_privilege(
           to_regprocedure('cron.alter_job(bigint,text,text,text,text,boolean)'),
           'EXECUTE'), false) AS alter_job,
       coalesce(has_function_privilege(
           to_regprocedure('cron.schedule_in_database(text,text,text,text,text,boolean)'),
           'EXECUTE'), false) AS schedule_in_database,
       coalesce(has_function_privilege(
           to_regprocedure('cron.schedule(text,text,text)'), 'EXECUTE'), false) AS schedule_named,
       coalesce(has_function_privilege(
           to_regprocedure('cron.schedule(text,text)'), 'EXECUTE'), false) AS schedule_unnamed

-- name: functions
-- The functions that a call may mean, with their source. Compiled functions have no source to
-- follow.
SELECT namespace.nspname::text AS schema,
       routine.proname::text AS name,
       language.lanname::text AS language,
       pg_get_functiondef(routine.oid) AS definition
  FROM pg_proc AS routine
  JOIN pg_namespace AS namespace ON namespace.oid = routine.pronamespace
  JOIN pg_language AS language ON language.oid = routine.prolang
 WHERE routine.proname = %(name)s
   AND (%(schema)s::text IS NULL OR namespace.nspname = %(schema)s)
   AND routine.prokind IN ('f', 'p')
   AND language.lanname NOT IN ('c', 'internal')
 ORDER BY routine.oid
 LIMIT 200

-- name: ways
-- Where an unqualified call of the rollup leads; and the functions whose source names a rollup
-- function, or names such a function, up to a number of steps. The search is by text and finds too
-- many; the parser decides which really call it. ``home`` is the schema that the call means to us.
-- ``meanings`` are the schemas that it means to each of ``owners``, empty if none. A role's search
-- path is its most specific setting, else the server's. A session that was given another path does
-- not see the server's. Then PostgreSQL's default is tried, and owners for whom it finds nothing
-- are left out. A function counts if it can be called without arguments.
WITH RECURSIVE server AS (
    SELECT CASE WHEN is_known THEN reset_val ELSE boot_val END AS path, is_known
      FROM pg_settings
     CROSS JOIN LATERAL (
         SELECT source IN ('default', 'configuration file', 'command line') AS is_known
     ) AS its
     WHERE pg_settings.name = 'search_path'
),
bare AS (
    SELECT role.rolname::text AS owner,
           (SELECT namespace.nspname::text
              FROM regexp_matches('pg_catalog, ' || coalesce(own.path, server.path),
                                  '"((?:[^"]|"")*)"|([^\s,"]+)', 'g')
                   WITH ORDINALITY AS part (words, place)
             CROSS JOIN LATERAL (
                 SELECT coalesce(replace(words[1], '""', '"'), lower(words[2]))::name AS schema
             ) AS listed
              JOIN pg_namespace AS namespace
                ON namespace.nspname
                   = CASE listed.schema WHEN '$user' THEN role.rolname ELSE listed.schema END
             WHERE has_schema_privilege(role.oid, namespace.oid, 'USAGE')
               AND EXISTS (SELECT FROM pg_proc
                            WHERE pronamespace = namespace.oid
                              AND proname = 'rollup_task_usage_hourly'
                              AND pronargs = pronargdefaults)
             ORDER BY part.place
             LIMIT 1) AS schema,
           own.path IS NOT NULL OR server.is_known AS is_known
      FROM pg_roles AS role
     CROSS JOIN server
      LEFT JOIN LATERAL (
          SELECT substr(line, length('search_path=') + 1) AS path
            FROM pg_db_role_setting, unnest(setconfig) AS line
           WHERE setrole IN (0, role.oid)
             AND setdatabase IN (0, (SELECT oid FROM pg_database
                                      WHERE datname = current_database()))
             AND starts_with(line, 'search_path=')
           ORDER BY setrole = 0, setdatabase = 0
           LIMIT 1
      ) AS own ON true
     WHERE role.rolname = ANY (%(owners)s::text[])
),
names AS (
    SELECT (SELECT namespace.nspname::text
              FROM pg_proc AS routine
              JOIN pg_namespace AS namespace ON namespace.oid = routine.pronamespace
             WHERE routine.oid = to_regprocedure('rollup_task_usage_hourly()')) AS home,
           coalesce(array_agg(owner), '{}') AS owners,
           coalesce(array_agg(coalesce(schema, '')), '{}') AS meanings
      FROM bare
     WHERE schema IS NOT NULL OR is_known
),
routine AS MATERIALIZED (
    SELECT namespace.nspname::text AS schema,
           routine.proname::text AS name,
           language.lanname::text AS language,
           pg_get_functiondef(routine.oid) AS definition
      FROM pg_proc AS routine
      JOIN pg_namespace AS namespace ON namespace.oid = routine.pronamespace
      JOIN pg_language AS language ON language.oid = routine.prolang
     WHERE routine.prokind IN ('f', 'p')
       AND language.lanname NOT IN ('c', 'internal')
       AND namespace.nspname NOT IN ('pg_catalog', 'information_schema')
),
way AS (
    SELECT routine.*, 1 AS step
      FROM routine
     WHERE %(steps)s > 0
       AND EXISTS (SELECT FROM unnest(%(targets)s::text[]) AS target (name)
                    WHERE strpos(lower(definition), target.name) > 0)
     UNION
    SELECT routine.*, way.step + 1
      FROM way
      JOIN routine ON strpos(lower(routine.definition), lower(way.name)) > 0
     WHERE way.step < %(steps)s
),
found AS (
    SELECT DISTINCT schema, name, language, definition FROM way ORDER BY schema, name LIMIT 200
)
SELECT names.home, names.owners, names.meanings,
       found.schema, found.name, found.language, found.definition
  FROM names
  LEFT JOIN found ON true
 ORDER BY found.schema, found.name

-- name: function_exists
-- Whether any function with that name is left in this database.
SELECT EXISTS (SELECT FROM pg_proc WHERE proname = %(name)s) AS found

-- name: details_size
-- How much room the run details of all jobs take, with their index.
SELECT pg_total_relation_size('cron.job_run_details'::regclass) AS bytes

-- name: details_of_job
-- How many run details a job has and how large their rows are, counted up to a limit. No index has
-- the job, so this reads the table until it has found so many.
SELECT count(*) AS runs, coalesce(sum(size), 0)::bigint AS bytes
  FROM (SELECT pg_column_size(ROW(jobid, runid, job_pid, database, command, status,
                                  return_message, start_time, end_time)) AS size
          FROM cron.job_run_details
         WHERE jobid = %(jobid)s
         LIMIT %(most)s) AS counted

-- name: jobs_left
-- How many jobs this role sees, and how many of them are a certain owner's.
SELECT count(*) AS jobs, count(*) FILTER (WHERE username = %(owner)s) AS of_owner FROM cron.job

-- name: role_in_use
-- What else a role is for on this server, by the catalogs that every role may read: no row if it is
-- gone. ``databases`` are those in which it has rights. A session that this role may not see in full
-- still shows its user.
SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS is_powerful,
       rolname = current_user AS is_ours,
       EXISTS (SELECT FROM pg_shdepend
                WHERE refclassid = 'pg_authid'::regclass AND refobjid = role.oid
                  AND deptype = 'o') AS owns,
       EXISTS (SELECT FROM pg_auth_members WHERE roleid = role.oid) AS has_members,
       EXISTS (SELECT FROM pg_stat_activity WHERE usesysid = role.oid) AS is_connected,
       ARRAY(SELECT DISTINCT datname::text
               FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid
              WHERE refclassid = 'pg_authid'::regclass AND refobjid = role.oid
              ORDER BY 1) AS databases
  FROM pg_roles AS role
 WHERE rolname = %(owner)s

-- name: unschedule
-- Remove one job by its number. By its name it fails for another owner, even for a superuser.
SELECT cron.unschedule(%(jobid)s::bigint)

-- name: set_active
-- Pause a job or resume it. alter_job returns nothing.
SELECT cron.alter_job(%(jobid)s::bigint, active := %(active)s::boolean)

-- name: schedule_in_database
-- Schedule a named job as it was. Naming a user, even oneself, needs a superuser; null names
-- nobody.
SELECT cron.schedule_in_database(%(jobname)s, %(schedule)s, %(command)s, %(database)s, %(owner)s,
                                 %(active)s) AS jobid

-- name: schedule_named
-- Schedule a named job as the current role, in this database.
SELECT cron.schedule(%(jobname)s, %(schedule)s, %(command)s) AS jobid

-- name: schedule_unnamed
-- Schedule a job without a name as the current role, in this database.
SELECT cron.schedule(%(schedule)s, %(command)s) AS jobid

-- name: schedule_unnamed_and_alter
-- Schedule a job without a name and restore its other columns. Null leaves a column as it is.
WITH made AS MATERIALIZED (SELECT cron.schedule(%(schedule)s, %(command)s) AS jobid)
SELECT jobid, cron.alter_job(jobid, NULL, NULL, %(database)s, %(owner)s, %(active)s) FROM made
