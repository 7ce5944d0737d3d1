-- What manage.py provision asks of a database before and after it makes the standalone side.

-- name: lock
-- Let two provisions at once wait for each other; released with the transaction.
SELECT pg_advisory_xact_lock(%(key)s)

-- name: settle
-- Make and look in public only, whatever the role's search_path, and without a temporary namesake.
SELECT set_config('search_path', 'public, pg_temp', true),
       set_config('client_min_messages', 'warning', true)

-- name: found
-- The relations and functions of those names in public, with the comment that tells who made them.
SELECT relname::text AS name, obj_description(oid, 'pg_class') AS comment
  FROM pg_class
 WHERE relnamespace = to_regnamespace('public') AND relname = ANY (%(tables)s)
 UNION ALL
SELECT proname::text, obj_description(oid, 'pg_proc')
  FROM pg_proc
 WHERE pronamespace = to_regnamespace('public') AND proname = ANY (%(functions)s)
 ORDER BY name

-- name: stamp_state
-- The one state row. Without usage there is nothing behind it to roll up, so it starts at now.
INSERT INTO task_usage_hourly_rollup_state (id, watermark_at)
SELECT 1, CASE WHEN EXISTS (SELECT FROM task_usage) THEN '1970-01-01 00:00:00+00'::timestamptz
               ELSE now() - interval '5 minutes' END
    ON CONFLICT (id) DO NOTHING
