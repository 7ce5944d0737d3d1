-- Everything that ever happened to sys_cron_executions, in order, as a trigger saw it.
CREATE TABLE history (
    number  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    moment  timestamptz NOT NULL DEFAULT now(),
    writer  text NOT NULL DEFAULT current_setting('application_name'),
    before  sys_cron_executions,
    after   sys_cron_executions
);

CREATE FUNCTION write_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO history (before, after) VALUES (OLD, NEW);
    RETURN NULL;
END
$$;

CREATE TRIGGER write_history AFTER INSERT OR UPDATE OR DELETE ON sys_cron_executions
    FOR EACH ROW EXECUTE FUNCTION write_history();
