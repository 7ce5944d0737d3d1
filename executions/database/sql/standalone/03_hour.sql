-- The hour that a usage row belongs to.

-- The function is immutable, and PostgreSQL inlines it. date_trunc on a timestamptz obeys the
-- session's TimeZone, so the function converts to a timestamp without time zone first. Its body is
-- standard SQL, which PostgreSQL binds to its functions when it creates the function. So no
-- search_path can change it.
CREATE OR REPLACE FUNCTION task_usage_hour_bucket(moment timestamptz)
RETURNS timestamptz
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN date_trunc('hour', moment AT TIME ZONE 'UTC') AT TIME ZONE 'UTC';
