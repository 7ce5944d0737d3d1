-- The queue of buckets that a watermark over updated_at cannot see to be wrong.
--
-- Four triggers fill it. All run BEFORE the change, while the rows that tell the key are still
-- there: a cascade from the parent would have removed them first. A key that is queued already
-- gets a new row version even where enqueued_at stays, because the rollup drains by version.
--
-- Two transactions at once each see a moment of their own. While one moves a task and the other
-- the project of its issue, neither sees the key with both the new runtime and the new project.
-- So a key stands for all of its hour, agent, provider and model, which no such change alters, and
-- the rollup looks at each of their runtimes and projects.
--
-- Nor does a change see usage that is reported while it is open, and the rollup may sum that before
-- the change is over. So each announces itself before it looks, by a shared advisory lock of its
-- transaction with the minute in which that began, and a run that finds one open keeps what it
-- summed queued (06_window.sql). Nobody asks for that lock otherwise, so nobody waits for it: but
-- for the rows themselves, a change waits only for a key that another one is queueing. One
-- statement's keys for a row are queued in their order, so two of those cannot deadlock.
--
-- All this holds at READ COMMITTED, where a trigger sees what is committed when it looks. In a
-- transaction at REPEATABLE READ it misses the usage that was reported since that began.
--
-- What they queue nothing for, nor do those of a real install: usage whose provider, model, task or
-- created_at is corrected in place, and a task that changes its agent alone. Where updated_at tells
-- of the correction, the new bucket is summed; the old one keeps what it had. To correct these,
-- delete the row and report it anew. Nor is anything queued for an agent that is deleted. It is
-- gone before its tasks are, and with it the workspace of the key; such buckets stay.

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
    -- An UPDATE that names the columns and leaves their values moves no usage.
    IF TG_OP = 'UPDATE'
       AND (NEW.runtime_id, NEW.issue_id) IS NOT DISTINCT FROM (OLD.runtime_id, OLD.issue_id) THEN
        RETURN NEW;
    END IF;

    PERFORM pg_advisory_xact_lock_shared(4247, floor(extract(epoch FROM now()) / 60)::integer);

    -- NEW is null in a DELETE, and a task without a runtime has no bucket: both drop out below.
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
    -- Where the usage was, and for a change of project where it goes to.
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
