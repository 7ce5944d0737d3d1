-- What the protocol asks of the acting database: who may act, and what became of a transaction.

-- name: bound_transaction
-- The acting transaction waits for no lock long, and does not outlive a process that hangs.
SELECT set_config('lock_timeout', '5s', true),
       set_config('statement_timeout', '15s', true),
       set_config('idle_in_transaction_session_timeout', '60s', true)

-- name: take_turn
-- Our own lock, never 4246, held from before the intent until the outcome is recorded. Only its
-- holder may act, and nobody settles an act that is still under way.
SELECT pg_try_advisory_lock(%(key)s::bigint) AS taken

-- name: end_turn
-- Release that lock before the connection closes, because a session may end some time after its
-- client.
SELECT pg_advisory_unlock(%(key)s::bigint)

-- name: nobody_acts
-- The same lock for one transaction. It is free only while nobody acts.
SELECT pg_try_advisory_xact_lock(%(key)s::bigint) AS taken

-- name: wait_until_nobody_acts
-- The same, for a connection that was just lost and whose backend is about to end.
SELECT set_config('lock_timeout', '3s', true), pg_advisory_xact_lock(%(key)s::bigint)

-- name: whose_turn
-- Who acts now: the connection that holds our lock has the operator's name.
SELECT activity.application_name
  FROM pg_locks AS lock
  JOIN pg_stat_activity AS activity ON activity.pid = lock.pid
 WHERE lock.locktype = 'advisory' AND lock.granted
   AND lock.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND lock.classid::bigint = %(key)s::bigint >> 32
   AND lock.objid::bigint = %(key)s::bigint & 4294967295
   AND lock.objsubid = 1

-- name: session_name
-- A session's name as this server stores it: truncated, and without characters outside ASCII.
SELECT left(set_config('application_name', %(name)s, true),
            current_setting('max_identifier_length')::int) AS name

-- name: acting_transaction
-- The id that tells after any crash what became of this transaction, and its time.
SELECT pg_current_xact_id()::text AS xid, clock_timestamp() AS now, current_user::text AS role

-- name: transaction_status
-- in progress, committed or aborted; null if it is too long ago to be known.
SELECT pg_xact_status(%(xid)s::text::xid8) AS status

-- name: clock
-- The acting database's time, which decides a trial's deadline.
SELECT clock_timestamp() AS now

-- name: may_see_callers
-- Whether this role sees other roles' queries, and whether pg_stat_statements can be asked here.
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_sessions,
       to_regclass('pg_stat_statements') IS NOT NULL AS has_statements

-- name: sessions
-- Clients whose current or last statement names the rollup. The parser judges which of them call it.
SELECT pid, usename::text AS user, application_name, host(client_addr) AS address, state,
       query_start AS since, query
  FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend'
   AND query ILIKE '%%rollup_task_usage%%' AND pid <> pg_backend_pid()
 ORDER BY query_start DESC NULLS LAST
 LIMIT %(most)s

-- name: statements
-- Statements that name the rollup and how often each was called, the most frequent first.
SELECT pg_get_userbyid(userid)::text AS user, query, calls
  FROM pg_stat_statements
 WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND toplevel AND query ILIKE '%%rollup_task_usage%%'
 ORDER BY calls DESC
 LIMIT %(most)s
