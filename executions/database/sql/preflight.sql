-- What a runner checks before it claims anything. Catalogs and functions that need no right.

-- name: rights
-- What a runner needs of the table of executions; nulls if it is missing.
SELECT to_regclass('sys_cron_executions') IS NOT NULL AS installed,
       has_table_privilege(to_regclass('sys_cron_executions'), 'SELECT') AS may_select,
       has_table_privilege(to_regclass('sys_cron_executions'), 'INSERT') AS may_insert,
       has_table_privilege(to_regclass('sys_cron_executions'), 'UPDATE') AS may_update

-- name: lacks
-- Which of a job's needs this role lacks here. Those behind its functions count only if one of the
-- functions runs with its caller's rights. A right on some columns counts as enough.
WITH called AS (
    SELECT wanted.name, to_regprocedure(wanted.name) AS found
      FROM unnest(%(functions)s::text[]) AS wanted (name)
),
used AS (
    SELECT wanted.privilege, wanted.name, to_regclass(wanted.name) AS found
      FROM unnest(%(privileges)s::text[], %(tables)s::text[], %(behind)s::bool[])
           AS wanted (privilege, name, behind)
     WHERE NOT wanted.behind
        OR EXISTS (SELECT FROM called JOIN pg_proc ON pg_proc.oid = called.found
                    WHERE NOT pg_proc.prosecdef)
)
SELECT 'function' AS kind, name, 'EXECUTE' AS privilege, found IS NULL AS missing,
       current_user::text AS role
  FROM called
 WHERE found IS NULL OR NOT has_function_privilege(found, 'EXECUTE')
 UNION ALL
SELECT 'table', name, privilege, found IS NULL, current_user::text
  FROM used
 WHERE found IS NULL
    OR NOT CASE privilege
                WHEN 'DELETE' THEN has_table_privilege(found, privilege)
                ELSE has_any_column_privilege(found, privilege)
           END

-- name: runs_as_caller
-- Whether one of these functions runs with its caller's rights.
SELECT EXISTS (SELECT FROM unnest(%(functions)s::text[]) AS wanted (name)
                 JOIN pg_proc ON pg_proc.oid = to_regprocedure(wanted.name)
                WHERE NOT prosecdef) AS found

-- name: bound_rehearsal
-- A rehearsal takes milliseconds. If it is held up longer, the cause is no missing right.
SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '2s', true)

-- name: role
-- The current role.
SELECT current_user::text AS role
