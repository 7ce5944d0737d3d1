-- Who blocks a table. It reads the catalog of locks, which every role may see.

-- name: holders
-- The sessions that lock a table of this database against readers; if there are none, those that
-- lock one against writers. Our own session and the system's tables are left out.
SELECT name, pid
  FROM (SELECT relation.relname::text AS name, held.pid,
               held.mode <> 'AccessExclusiveLock' AS lets_read,
               min((held.mode <> 'AccessExclusiveLock')::int) OVER () AS strongest
          FROM pg_locks AS held
          JOIN pg_database AS here ON here.oid = held.database
          JOIN pg_class AS relation ON relation.oid = held.relation
         WHERE held.locktype = 'relation' AND held.granted AND held.pid <> pg_backend_pid()
           AND here.datname = current_database()
           AND relation.relkind IN ('r', 'p', 'm')
           AND relation.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)
           AND held.mode IN ('AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock',
                             'ShareLock')) AS found
 WHERE lets_read::int = strongest
 ORDER BY name, pid
 LIMIT 5
