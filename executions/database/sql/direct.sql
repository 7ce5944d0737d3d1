-- Whether a session is our own for as long as its connection lasts, and has the settings that we
-- asked for. Only settle outlives its transaction: on a pooled session it would be another
-- client's.

-- name: proof
-- The process that answers, and whether each setting already is what setting it would make of it.
WITH had AS MATERIALIZED (
    SELECT name, value, current_setting(name) AS had
      FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
)
SELECT pg_backend_pid() AS pid,
       coalesce(bool_and(had = set_config(name, value, true)), true) AS held
  FROM had

-- name: settle
-- Give these settings to a session that the proof has shown to be our own.
SELECT count(set_config(name, value, false)) AS settings
  FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)

-- name: limit_transaction
-- Give these settings to the transaction, and look whether it is held read-only and to a time.
WITH given AS MATERIALIZED (
    SELECT count(set_config(name, value, true)) AS settings
      FROM unnest(%(names)s::text[], %(values)s::text[]) AS wanted (name, value)
)
SELECT current_setting('transaction_read_only') = 'on'
       AND current_setting('statement_timeout') <> '0' AS held
  FROM given
