-- What is asked once at the start: is that database Multica's, and may this role read it? Only
-- functions and catalogs that need no right at all.

-- name: gaps
-- Every wanted column that this role cannot read, and what is in the way; nothing when all is well.
SELECT wanted.table_name, wanted.column_name, current_user AS role,
       CASE WHEN found.oid IS NOT NULL AND attribute.attnum IS NULL THEN 'column'
            WHEN found.oid IS NOT NULL THEN 'select'
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
 WHERE attribute.attnum IS NULL
    OR NOT has_column_privilege(found.oid, attribute.attnum, 'SELECT')
 ORDER BY wanted.place
