-- What manage.py provision reads from a database before and after it creates the standalone side.

-- name: lock
-- Make concurrent provisions wait for each other. The lock ends with the transaction.
SELECT pg_advisory_xact_lock(%(key)s)

-- name: settle
-- Create and look in public only, whatever the role's search_path, and ignore temporary tables.
SELECT set_config('search_path', 'public, pg_temp', true),
       set_config('client_min_messages', 'warning', true)

-- name: found
-- The relations, types and functions of those names in public, with the comment that says who made
-- them. A table also needs the name of its type.
SELECT relname::text AS name, obj_description(oid, 'pg_class') AS comment
  FROM pg_class
 WHERE relnamespace = to_regnamespace('public') AND relname = ANY (%(tables)s)
 UNION ALL
SELECT typname::text, obj_description(oid, 'pg_type')
  FROM pg_type
 WHERE typnamespace = to_regnamespace('public') AND typrelid = 0 AND typname = ANY (%(tables)s)
 UNION ALL
SELECT proname::text, obj_description(oid, 'pg_proc')
  FROM pg_proc
 WHERE pronamespace = to_regnamespace('public') AND proname = ANY (%(functions)s)
 ORDER BY name

-- name: draw
-- Create what follows in the temporary schema, under the same names.
SELECT set_config('search_path', 'pg_temp', true)

-- name: parts
-- The parts of those tables, in public or as drawn, each with its definition, and with the
-- statement that creates it in public if the files would not. A default may differ.
WITH ours AS (
    SELECT oid, relname, format('ALTER TABLE public.%%I ', relname) AS change
      FROM pg_class
     WHERE relname = ANY (%(tables)s)
       AND relnamespace = CASE WHEN %(drawn)s THEN pg_my_temp_schema()
                               ELSE to_regnamespace('public')::oid END
),
columns AS (
    SELECT ours.relname, ours.change, attribute.attname, attribute.attnotnull, attribute.attnum,
           format_type(attribute.atttypid, attribute.atttypmod) AS type,
           pg_get_expr(value.adbin, value.adrelid) AS value
      FROM ours
      JOIN pg_attribute AS attribute ON attribute.attrelid = ours.oid
       AND attribute.attnum > 0 AND NOT attribute.attisdropped
      LEFT JOIN pg_attrdef AS value
        ON value.adrelid = ours.oid AND value.adnum = attribute.attnum
)
SELECT 1 AS step, 'column' AS kind, attname::text AS name, relname::text AS table,
       type AS definition,
       concat(change, format('ADD COLUMN %%I %%s', attname, type), ' DEFAULT ' || value,
              CASE WHEN attnotnull THEN ' NOT NULL' END) AS statement
  FROM columns
 UNION ALL
SELECT 2, 'default', attname, relname, '',
       change || format('ALTER %%I SET DEFAULT %%s', attname, value)
  FROM columns
 WHERE value IS NOT NULL
 UNION ALL
SELECT 2, 'not null', attname, relname, '',
       change || format('ALTER %%I SET NOT NULL', attname)
  FROM columns
 WHERE attnotnull
 UNION ALL
SELECT CASE WHEN held.contype IN ('p', 'u') THEN 2 ELSE 4 END, 'constraint', held.conname,
       ours.relname, pg_get_constraintdef(held.oid),
       ours.change || format('ADD CONSTRAINT %%I %%s', held.conname, pg_get_constraintdef(held.oid))
  FROM ours
  JOIN pg_constraint AS held ON held.conrelid = ours.oid AND held.contype IN ('p', 'u', 'c', 'f')
 UNION ALL
SELECT 3, 'index', index.relname, ours.relname,
       concat(CASE WHEN kept.indisunique THEN 'UNIQUE' END,
              substring(pg_get_indexdef(index.oid) FROM ' USING .*'),
              CASE WHEN NOT kept.indisvalid THEN ' INVALID' END),
       NULL
  FROM ours
  JOIN pg_index AS kept ON kept.indrelid = ours.oid
  JOIN pg_class AS index ON index.oid = kept.indexrelid
 WHERE NOT EXISTS (SELECT FROM pg_constraint AS held WHERE held.conindid = index.oid)
 UNION ALL
SELECT 3, 'trigger', set.tgname, ours.relname,
       CASE set.tgenabled WHEN 'O' THEN 'on' ELSE 'off' END, NULL
  FROM ours
  JOIN pg_trigger AS set ON set.tgrelid = ours.oid AND NOT set.tgisinternal
 ORDER BY step, kind, name, "table"

-- name: stamp_state
-- The one state row. Without usage there is nothing to roll up, so it starts at now.
INSERT INTO task_usage_hourly_rollup_state (id, watermark_at)
SELECT 1, CASE WHEN EXISTS (SELECT FROM task_usage) THEN '1970-01-01 00:00:00+00'::timestamptz
               ELSE now() - interval '5 minutes' END
    ON CONFLICT (id) DO NOTHING
