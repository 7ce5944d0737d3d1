-- Whether a session is ours alone for as long as its connection lasts, and has the settings that we
-- asked for. Only settle outlives its transaction: on a pooled session it would change another
-- client's.

-- name: proof
-- The process that answers, and whether each setting has the value that setting it would give.
WITH had AS MATERIALIZED (
    SELECT name, value, current_setting(name) AS had
      FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
)
SELECT pg_backend_pid() AS pid,
       coalesce(bool_and(had = set_config(name, value, true)), true) AS held
  FROM had

-- name: settle
-- Set these settings in a session that is proved to be ours alone.
SELECT count(set_config(name, value, false)) AS settings
  FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)

-- name: limit_transaction
-- Set these settings in the transaction, and read whether it is read-only and has a time limit.
WITH given AS MATERIALIZED (
    SELECT count(set_config(name, value, true)) AS settings
      FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
)
SELECT current_setting('transaction_read_only') = 'on'
       AND current_setting('statement_timeout') <> '0' AS held
  FROM given
