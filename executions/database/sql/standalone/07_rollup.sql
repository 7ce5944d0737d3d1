-- The function that schedulers call, the prune of the queue, and the age of the last run.

-- Removes old keys from the queue. A key that is locked is being queued again, so it is not old.
CREATE OR REPLACE FUNCTION prune_task_usage_hourly_dirty(p_retention interval DEFAULT '7 days')
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
SET enable_hashjoin = off
SET enable_mergejoin = off
AS $$
DECLARE
    pruned bigint;
BEGIN
    WITH old AS (
        SELECT ctid AS place
          FROM task_usage_hourly_dirty
         WHERE enqueued_at < now() - p_retention
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM task_usage_hourly_dirty AS queued
     USING old
     WHERE queued.ctid = old.place;
    GET DIAGNOSTICS pruned = ROW_COUNT;
    RETURN pruned;
END
$$;

-- Moves the watermark by one step of at most a day, and never into the last five minutes: rows
-- there may be written but not committed, and the watermark would pass them. A step is 24 hours,
-- because '1 day' is longer or shorter if the session's TimeZone changes its clocks. The function
-- catches no error, so an error rolls back the buckets, the watermark and the state row together.
--
-- Lock 4246 belongs to the transaction, so a run that is cancelled or dies releases it. If the
-- watermark is in the future, the run has nothing to do, and last_run_* say so.
CREATE OR REPLACE FUNCTION rollup_task_usage_hourly()
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    started_at timestamptz := clock_timestamp();
    since      timestamptz;
    until      timestamptz;
    changed    bigint := 0;
BEGIN
    IF NOT pg_try_advisory_xact_lock(4246) THEN
        RETURN 0;
    END IF;

    SELECT watermark_at INTO since FROM task_usage_hourly_rollup_state WHERE id = 1 FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;

    until := least(now() - interval '5 minutes', since + interval '24 hours');
    IF until > since THEN
        changed := rollup_task_usage_hourly_window(since, until);
    END IF;

    UPDATE task_usage_hourly_rollup_state
       SET watermark_at = greatest(since, until),
           last_run_started_at = started_at,
           last_run_finished_at = clock_timestamp(),
           last_run_rows = changed,
           last_error = NULL
     WHERE id = 1;
    -- Keys that no window has drained yet stay. While the watermark is weeks behind, they are old.
    PERFORM prune_task_usage_hourly_dirty(greatest(interval '7 days', now() - until));
    RETURN changed;
END
$$;

-- Seconds since the last run finished; null before the first run. A run that had nothing to do
-- counts, and the watermark does not, so a small number does not prove that the rollup keeps up.
CREATE OR REPLACE FUNCTION task_usage_hourly_rollup_lag_seconds()
RETURNS double precision
LANGUAGE sql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT extract(epoch FROM now() - last_run_finished_at)::double precision
      FROM task_usage_hourly_rollup_state
     WHERE id = 1
$$;
