-- The hour that a usage row belongs to.

-- Immutable and inlined: the detour over a timestamp without time zone is what frees it from the
-- session's TimeZone, which date_trunc on a timestamptz obeys. A body in standard SQL is bound to
-- its functions here and now, so no search_path can change it.
CREATE OR REPLACE FUNCTION task_usage_hour_bucket(moment timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN date_trunc('hour', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
