-- What `manage.py permissions` reads, so that its statements fit this database. Only catalogs,
-- which need no right.

-- name: columns
-- Which of the named columns exist here.
SELECT wanted.table_name, wanted.column_name
  FROM unnest(%(tables)s::text[], %(columns)s::text[]) AS wanted (table_name, column_name)
  JOIN pg_attribute AS attribute
    ON attribute.attrelid = to_regclass('public.' || quote_ident(wanted.table_name))
   AND attribute.attname = wanted.column_name AND NOT attribute.attisdropped

-- name: queues
-- Whether the source of the rollup's window function adds keys to the dirty queue. Ours does;
-- Multica's only reads and empties the queue. Null if there is no such function.
SELECT bool_or(prosrc ~* 'INSERT\s+INTO\s+(public\.)?task_usage_hourly_dirty') AS queues
  FROM pg_proc
 WHERE pronamespace = to_regnamespace('public') AND proname = 'rollup_task_usage_hourly_window'
