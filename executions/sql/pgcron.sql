-- What pg_cron shows of itself. Without USAGE on schema cron even naming cron.job raises, so the
-- catalog is asked first, by oid: docs/contract.md section 5.

-- name: sight
-- Whether the extension is in this database, what this role may see of its jobs, and in which
-- database its launcher works: that name is shown to every role.
SELECT current_database()::text AS here,
       extension.extversion AS version,
       coalesce(has_schema_privilege(job.relnamespace, 'USAGE')
                AND has_table_privilege(job.oid, 'SELECT'), false) AS may_read,
       coalesce(row_security_active(job.oid), false) AS filtered,
       (SELECT datname::text
          FROM pg_stat_activity
         WHERE application_name = 'pg_cron scheduler' AND datname IS NOT NULL
         LIMIT 1) AS launcher_database
  FROM (SELECT) AS once
  LEFT JOIN pg_extension AS extension ON extension.extname = 'pg_cron'
  LEFT JOIN pg_class AS job
    ON job.relname = 'job' AND extension.oid IS NOT NULL
   AND job.relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = 'cron')

-- name: jobs
-- The jobs that this role is shown, at most a limit of them.
SELECT jobid, jobname::text AS jobname, schedule, command, database, username AS owner, active
  FROM cron.job
 ORDER BY jobid
 LIMIT %(most)s
