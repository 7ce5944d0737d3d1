-- The triggers that fill the queue of 04_invalidation.sql.
--
-- A transaction that deletes a workspace sets multica.workspace_teardown to 'on'. It also deletes
-- everything that a key could name, so the triggers queue nothing. A change of a project is no part
-- of a teardown, so its trigger ignores the setting.

CREATE OR REPLACE TRIGGER trg_tu_dirty_hourly
    BEFORE DELETE ON task_usage
    FOR EACH ROW
    WHEN (current_setting('multica.workspace_teardown', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION enqueue_task_usage_hourly_dirty_for_usage();

CREATE OR REPLACE TRIGGER trg_atq_dirty_hourly
    BEFORE UPDATE OF runtime_id, issue_id OR DELETE ON agent_task_queue
    FOR EACH ROW
    WHEN (current_setting('multica.workspace_teardown', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION enqueue_task_usage_hourly_dirty_for_task();

CREATE OR REPLACE TRIGGER trg_issue_project_dirty_hourly
    BEFORE UPDATE OF project_id ON issue
    FOR EACH ROW
    EXECUTE FUNCTION enqueue_task_usage_hourly_dirty_for_issue();

CREATE OR REPLACE TRIGGER trg_issue_delete_dirty_hourly
    BEFORE DELETE ON issue
    FOR EACH ROW
    WHEN (current_setting('multica.workspace_teardown', true) IS DISTINCT FROM 'on')
    EXECUTE FUNCTION enqueue_task_usage_hourly_dirty_for_issue();
