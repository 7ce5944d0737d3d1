-- What pages show of our own tables. Mostly there is nothing, so each page asks once for all of it.

-- name: beside_the_facts
-- Which of these runners are our own, whether a schedule was changed lately, and the latest of the
-- stretches in which nobody could look, newest first: their beginnings and their ends.
WITH stretch AS MATERIALIZED (
    SELECT clock_since, clock_until
      FROM executions_blindstretch
     WHERE clock_until IS NULL OR clock_until > %(unwatched_since)s
     ORDER BY since DESC
     LIMIT %(most)s
)
SELECT ARRAY(SELECT runner_id FROM executions_runner
              WHERE runner_id = ANY(%(runners)s::text[])) AS runners,
       EXISTS (SELECT FROM executions_retirement
                WHERE changed_at >= %(changed_since)s) AS has_changes,
       ARRAY(SELECT clock_since FROM stretch) AS since,
       ARRAY(SELECT clock_until FROM stretch) AS until

-- name: of_the_overview
-- Whether a retirement is open, messages are held back, and a receiver takes no alarms.
SELECT EXISTS (SELECT FROM executions_retirement WHERE state <> ALL(%(ended)s)) AS has_begun,
       EXISTS (SELECT FROM executions_silence WHERE ended_at IS NULL) AS has_silences,
       EXISTS (SELECT FROM executions_alarmreceiver WHERE failing_since IS NOT NULL) AS has_untold
