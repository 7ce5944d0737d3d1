-- Asked once at the start: is this Multica's database, and may this role read it? Only functions
-- and catalogs that need no right.

-- name: presence
-- The database and the role, and whether any table exists that only Multica has, in any schema and
-- whoever may read it. Other programs use the names of Multica's other tables too. If the search
-- path reaches no such table, its schema and whether the role may use that schema: PostgreSQL then
-- says that the table does not exist.
WITH multicas AS (
    SELECT relname, relnamespace
      FROM pg_class
     WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
       AND relname IN ('sys_cron_executions', 'task_usage', 'task_usage_hourly',
                       'task_usage_hourly_dirty', 'task_usage_hourly_rollup_state',
                       'agent_task_queue', 'agent_runtime')
)
SELECT current_database()::text AS database,
       quote_ident(current_user) AS role,
       EXISTS (SELECT FROM multicas) AS has_any,
       quote_ident(unreached.nspname) AS schema,
       unreached.usable
  FROM (SELECT) AS once
  LEFT JOIN LATERAL (
       SELECT namespace.nspname, has_schema_privilege(namespace.oid, 'USAGE') AS usable
         FROM multicas
         JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
        WHERE to_regclass(quote_ident(relname)) IS NULL
        ORDER BY namespace.nspname <> 'public', namespace.nspname
        LIMIT 1
       ) AS unreached ON true

-- name: gaps
-- Every wanted column that this role cannot read, and why; no row if all is well. Row security does
-- not count against a role that has a policy of its own for every row.
SELECT wanted.table_name, wanted.column_name, current_user AS role,
       CASE WHEN found.oid IS NOT NULL AND attribute.attnum IS NULL THEN 'column'
            WHEN NOT has_column_privilege(found.oid, attribute.attnum, 'SELECT') THEN 'select'
            WHEN found.oid IS NOT NULL THEN 'rows'
            WHEN elsewhere.nspname IS NULL THEN 'table'
            WHEN elsewhere.usable THEN 'search_path'
            ELSE 'usage'
       END AS missing,
       elsewhere.nspname AS schema
  FROM unnest(%(tables)s::text[], %(columns)s::text[])
       WITH ORDINALITY AS wanted (table_name, column_name, place)
  LEFT JOIN pg_class found
    ON found.oid = to_regclass(quote_ident(wanted.table_name))
  LEFT JOIN pg_attribute attribute
    ON attribute.attrelid = found.oid AND attribute.attname = wanted.column_name
   AND attribute.attnum > 0 AND NOT attribute.attisdropped
  LEFT JOIN LATERAL (
       SELECT namespace.nspname, has_schema_privilege(namespace.oid, 'USAGE') AS usable
         FROM pg_class hidden
         JOIN pg_namespace namespace ON namespace.oid = hidden.relnamespace
        WHERE hidden.relname = wanted.table_name AND hidden.relkind IN ('r', 'p', 'v', 'm', 'f')
        ORDER BY namespace.nspname <> 'public', namespace.nspname
        LIMIT 1
       ) elsewhere ON found.oid IS NULL
  LEFT JOIN LATERAL (
       SELECT EXISTS (SELECT FROM pg_policy AS policy
                       WHERE policy.polrelid = found.oid AND NOT policy.polpermissive)
              OR NOT EXISTS (
                  SELECT FROM pg_policy AS policy, unnest(policy.polroles) AS member
                   WHERE policy.polrelid = found.oid AND policy.polcmd IN ('r', '*')
                     AND pg_get_expr(policy.polqual, policy.polrelid) = 'true'
                     AND (member = 0 OR pg_has_role(member, 'USAGE'))) AS hides
       ) security ON row_security_active(found.oid)
 WHERE attribute.attnum IS NULL
    OR NOT has_column_privilege(found.oid, attribute.attnum, 'SELECT')
    OR security.hides
 ORDER BY wanted.place
