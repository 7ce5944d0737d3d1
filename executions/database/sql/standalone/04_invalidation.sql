-- The queue of buckets that are wrong although no updated_at tells so.
--
-- Four triggers fill the queue. All run BEFORE the change, while the rows that tell the key still
-- exist: later a cascade from the parent has removed them. A key that is queued already gets a new
-- row version even if its enqueued_at stays, because the rollup drains row versions.
--
-- Two concurrent transactions each see a moment of their own. If one moves a task and the other
-- changes the project of its issue, neither sees the key with both the new runtime and the new
-- project. Therefore a queued key stands for its hour, agent, provider and model, which no such
-- change alters. The rollup looks at every runtime and project of those.
--
-- A change also does not see usage that is reported while the change is open, and the rollup may
-- sum that usage before the change commits. Therefore each change announces itself before it
-- looks: it takes a shared advisory lock of its transaction, whose number is the minute in which
-- the transaction began. A rollup that finds such a lock leaves its keys in the queue
-- (06_window.sql). Nobody requests that lock exclusively, so nobody waits for it. Apart from the
-- rows themselves, a change waits only for a key that another change is queueing. One statement
-- queues the keys of a row in their order, so two such statements cannot deadlock.
--
-- All this holds at READ COMMITTED, where a trigger sees what is committed when it looks. At
-- REPEATABLE READ a trigger misses usage that was reported after its transaction began.
--
-- The triggers queue nothing for these changes, like those of a real install: a correction of
-- provider, model, task or created_at in place, and a task that changes only its agent. If
-- updated_at shows the correction, the rollup sums the new bucket, and the old bucket keeps its
-- sums. To correct such usage, delete the row and report it anew. The triggers also queue nothing
-- for an agent that is deleted: it is gone before its tasks are, and with it the workspace of the
-- key. Such buckets stay.

CREATE OR REPLACE FUNCTION enqueue_task_usage_hourly_dirty_for_usage()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(4247, floor(extract(epoch FROM now()) / 60)::integer);

    INSERT INTO task_usage_hourly_dirty AS queued
           (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
    SELECT task_usage_hour_bucket(OLD.created_at),
           agent.workspace_id, task.runtime_id, task.agent_id, issue.project_id,
           OLD.provider, OLD.model
      FROM agent_task_queue AS task
      JOIN agent ON agent.id = task.agent_id
      LEFT JOIN issue ON issue.id = task.issue_id
     WHERE task.id = OLD.task_id
       AND task.runtime_id IS NOT NULL
        ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
        DO UPDATE SET enqueued_at = greatest(queued.enqueued_at, excluded.enqueued_at);
    RETURN OLD;
END
$$;

CREATE OR REPLACE FUNCTION enqueue_task_usage_hourly_dirty_for_task()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    -- An UPDATE that sets the columns to their old values moves no usage.
    IF TG_OP = 'UPDATE'
       AND (NEW.runtime_id, NEW.issue_id) IS NOT DISTINCT FROM (OLD.runtime_id, OLD.issue_id) THEN
        RETURN NEW;
    END IF;

    PERFORM pg_advisory_xact_lock_shared(4247, floor(extract(epoch FROM now()) / 60)::integer);

    -- NEW is null in a DELETE, and a task without a runtime has no bucket. Both are skipped below.
    INSERT INTO task_usage_hourly_dirty AS queued
           (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
    SELECT DISTINCT task_usage_hour_bucket(usage.created_at),
           agent.workspace_id, task.runtime_id, task.agent_id, issue.project_id,
           usage.provider, usage.model
      FROM (VALUES (OLD.agent_id, OLD.runtime_id, OLD.issue_id),
                   (NEW.agent_id, NEW.runtime_id, NEW.issue_id))
           AS task (agent_id, runtime_id, issue_id)
      JOIN agent ON agent.id = task.agent_id
      LEFT JOIN issue ON issue.id = task.issue_id
      JOIN task_usage AS usage ON usage.task_id = OLD.id
     WHERE task.runtime_id IS NOT NULL
     ORDER BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
        DO UPDATE SET enqueued_at = greatest(queued.enqueued_at, excluded.enqueued_at);
    RETURN coalesce(NEW, OLD);
END
$$;

CREATE OR REPLACE FUNCTION enqueue_task_usage_hourly_dirty_for_issue()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- The key where the usage was and, for a change of project, the key where it goes.
    projects uuid[] := CASE TG_OP
        WHEN 'DELETE' THEN ARRAY[OLD.project_id]
        ELSE ARRAY[OLD.project_id, NEW.project_id]
    END;
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.project_id IS NOT DISTINCT FROM OLD.project_id THEN
        RETURN NEW;
    END IF;

    PERFORM pg_advisory_xact_lock_shared(4247, floor(extract(epoch FROM now()) / 60)::integer);

    INSERT INTO task_usage_hourly_dirty AS queued
           (bucket_hour, workspace_id, runtime_id, agent_id, project_id, provider, model)
    SELECT DISTINCT task_usage_hour_bucket(usage.created_at),
           agent.workspace_id, task.runtime_id, task.agent_id, project.id,
           usage.provider, usage.model
      FROM unnest(projects) AS project (id)
     CROSS JOIN agent_task_queue AS task
      JOIN agent ON agent.id = task.agent_id
      JOIN task_usage AS usage ON usage.task_id = task.id
     WHERE task.issue_id = OLD.id
       AND task.runtime_id IS NOT NULL
     ORDER BY 1, 2, 3, 4, 5, 6, 7
        ON CONFLICT ON CONSTRAINT uq_task_usage_hourly_dirty_key
        DO UPDATE SET enqueued_at = greatest(queued.enqueued_at, excluded.enqueued_at);
    RETURN coalesce(NEW, OLD);
END
$$;
