-- The rollup as schedulers call it, and what watches over it.

-- Old keys leave the queue. A key that somebody holds locked is being queued again and therefore
-- not old.
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

-- One step of the watermark: at most a day, and never into the last five minutes, where rows that
-- are written but not committed yet would be passed over. A day is 24 hours, since '1 day' is
-- longer or shorter where the session's TimeZone changes its clocks. Nothing catches an error:
-- it rolls back the buckets, the watermark and the state row together.
--
-- Lock 4246 belongs to the transaction, so a run that is cancelled or dies leaves it free. A
-- watermark in the future is a run that has nothing to do, and says so in last_run_*.
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
    -- Never what no window has drained yet: while the watermark is weeks behind, such keys are old.
    PERFORM prune_task_usage_hourly_dirty(greatest(interval '7 days', now() - until));
    RETURN changed;
END
$$;

-- Seconds since the last run finished, null before the first. A run that had nothing to do counts
-- and the watermark does not, so a small figure is no proof that the rollup keeps up.
CREATE OR REPLACE FUNCTION task_usage_hourly_rollup_lag_seconds()
RETURNS double precision
LANGUAGE sql STABLE
SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT extract(epoch FROM now() - last_run_finished_at)::double precision
      FROM task_usage_hourly_rollup_state
     WHERE id = 1
$$;
