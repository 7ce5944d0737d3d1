"""The rollup's health: how far it is, what waits, who holds lock 4246, and what comes next."""

import re
import threading
from datetime import timedelta
from html import unescape

import psycopg
import pytest

from executions.health import snapshots
from tests import scenarios
from tests.factories import usage
from tests.multica_versions import Point, build
from tests.near_misses import MINUTE, hold_lock, sessions_shown
from tests.retiring import pg_cron, role, schedule
from tests.time_limits import cut_off
from tests.waiting import HANG, until
from tests.web.test_attached import attached

__all__ = ["attached", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

# A run of this function that is cancelled leaves the lock to its session, as before v0.4.23.
LEAKY = """
CREATE OR REPLACE FUNCTION rollup_task_usage_hourly() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    -- Not pg_try_advisory_xact_lock(4246): that is what newer releases take.
    IF NOT pg_try_advisory_lock(4246) THEN
        RETURN 0;
    END IF;
    PERFORM pg_sleep(600);
    PERFORM pg_advisory_unlock(4246);
    RETURN 1;
END $$
"""


def text(answer):
    """What a reader sees, in one line."""
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))).strip()


def look(client):
    snapshots.forget()
    answer = client.get("/rollup/")
    assert answer.status_code == 200
    return text(answer)


@pytest.fixture
def sees_sessions(superuser):
    with sessions_shown(superuser):
        yield


@pytest.fixture
def leaky(owner):
    """The function of an older release, until the test ends."""
    row = owner.execute(
        "SELECT pg_get_functiondef('rollup_task_usage_hourly()'::regprocedure) AS source"
    ).fetchone()
    owner.execute(LEAKY)
    yield
    owner.execute(row["source"])


def test_the_door_leads_to_the_rollup(viewer, owner):
    scenarios.healthy(owner)
    page = viewer.get("/").content.decode()
    doors = re.findall(r'<a class="door" href="([^"]+)"[^>]*>([^<]+)</a>', page)
    assert [name for _, name in doors] == ["Overview", "History", "Rollup", "Schedules", "Audit"]
    assert ("/rollup/", "Rollup") in doors
    assert 'href="/rollup/" aria-current="page"' in viewer.get("/rollup/").content.decode()


def test_a_healthy_rollup_is_told_in_all_its_parts(viewer, owner):
    scenarios.healthy(owner)
    page = look(viewer)
    assert "All usage that was written up to this time is in the hourly buckets." in page
    assert "It is up to date: there is nothing to catch up with." in page
    assert re.search(r"Next plan \d\d:\d\d UTC, due at \d\d:\d\d UTC", page)
    assert "No bucket waits." in page
    assert "Nobody holds it now, and nobody waits for it." in page
    assert "The installed function cannot leak this lock" in page
    assert "It passes: task_usage is empty." in page
    assert "Multica Admin made them itself, in the form of Multica v0.4.25" in page
    assert "It has run here, so no upgrade meets it again." in page
    assert "No job of another owner stands in its way." in page


def test_watermark_lag_and_last_run_are_kept_apart(viewer, owner):
    world = scenarios.catching_up(owner)
    page = look(viewer)
    assert re.search(r"Lag 40 d(ays)?\. The lag is how far the buckets are behind now", page)
    assert "Last run never. It tells that something runs, and not how far it came" in page
    done = world.plan_time(0) + timedelta(minutes=5) + 41 * timedelta(minutes=5)
    assert re.search(rf"About (\S+ )?{done:%H:%M} UTC: 41 plans, a day each\.", page)


@pytest.mark.parametrize(
    ("world", "said"),
    [
        (scenarios.stopped, "Nobody can tell, because no run succeeds now."),
        (scenarios.lagging_after_a_failure, "About"),
        (scenarios.locked_out_for_hours, "the latest of them did not move the watermark"),
        (scenarios.ahead_of_time, "until time has caught up with the watermark, runs do nothing"),
        (scenarios.ahead_of_time, "None: the watermark lies in the future."),
    ],
)
def test_when_it_will_have_caught_up(viewer, owner, world, said):
    world(owner)
    assert said in look(viewer)


def test_a_missing_state_row_is_said(viewer, owner):
    scenarios.stateless(owner)
    usage(owner, scenarios.database_now(owner))
    page = look(viewer)
    assert "The state row is missing, so the rollup has lost its place" in page
    assert "It would refuse: there is usage, and the state row is missing." in page


def test_the_newest_usage_stands_beside_the_newest_bucket(viewer, owner):
    world = scenarios.healthy(owner)
    usage(owner, world.now - 3 * MINUTE)
    page = look(viewer)
    assert re.search(r"Newest raw usage .*? \(3 min( \d+ s)? ago\)", page)
    assert "There is none, although there is raw usage." in page
    assert "It passes: the watermark" in page
    owner.execute("UPDATE task_usage SET updated_at = now() + interval '2 hours'")
    assert "It would refuse: the watermark" in look(viewer)


def test_the_queue_tells_its_depth_and_its_oldest_entry(viewer, owner):
    scenarios.healthy(owner)
    owner.execute(
        "INSERT INTO task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id,"
        " provider, model, enqueued_at)"
        " SELECT now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'p', 'm',"
        " now() - number * interval '1 hour' FROM generate_series(1, 3) AS number"
    )
    assert "3 buckets wait, the oldest since 3 h ago." in look(viewer)
    owner.execute(
        "INSERT INTO task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id,"
        " provider, model)"
        " SELECT now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'p', 'm'"
        " FROM generate_series(1, 10000)"
    )
    assert "More than 10,000 buckets wait, the oldest since 3 h ago." in look(viewer)


# --- Lock 4246 ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sees_sessions", "leaky")
def test_a_session_lock_that_a_cancelled_run_left_is_named_with_its_pid(viewer, owner, connect):
    replica = connect("multica")
    replica.execute("SET statement_timeout = '200ms'")
    with pytest.raises(psycopg.errors.QueryCanceled):
        replica.execute("SELECT rollup_task_usage_hourly()")
    pid = replica.info.backend_pid
    page = look(viewer)
    assert "The installed function can leak this lock" in page
    assert f"pid {pid} application test multica" in page
    assert "Leaked:" not in page
    scenarios.locked_out(owner, scenarios.database_now(owner) + 20 * MINUTE)
    page = look(viewer)
    assert f". An idle session (pid {pid}, test multica) has kept advisory lock 4246" in page
    assert f"pg_terminate_backend({pid})" in page


@pytest.mark.usefixtures("sees_sessions")
@pytest.mark.parametrize(
    ("name", "statement", "said"),
    [
        ("multica-admin backfill", None, "a backfill that was started from here"),
        (
            "multica",
            "SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())",
            "a backfill of Multica's",
        ),
    ],
)
def test_a_backfill_on_its_idle_connection_is_no_leak(
    viewer, owner, connect, name, statement, said
):
    holder = connect("multica")
    holder.execute("SELECT set_config('application_name', %s, false)", [name])
    hold_lock(holder)
    if statement:
        holder.execute(statement)
    scenarios.locked_out(owner, scenarios.database_now(owner) + 20 * MINUTE)
    page = look(viewer)
    assert f"A session holds it. It is probably {said}." in page
    assert f"pid {holder.info.backend_pid} application {name}" in page
    assert "Leaked:" not in page


@pytest.mark.usefixtures("sees_sessions")
def test_a_session_that_waits_is_shown_behind_the_holder(viewer, owner, connect):
    scenarios.healthy(owner)
    holder, waiter = connect("multica"), connect("multica")
    waiting = threading.Thread(target=hold_lock, args=[waiter])
    with holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(4246)")
        waiting.start()
        page = until(lambda: shown if "A session waits for it." in (shown := look(viewer)) else "")
    waiting.join(HANG)
    assert page.index(f"pid {holder.info.backend_pid}") < page.index("A session waits for it.")
    assert f"pid {waiter.info.backend_pid}" in page


def test_a_holder_in_another_database_is_not_reported(viewer, owner, connect):
    scenarios.healthy(owner)
    hold_lock(connect("postgres", database="postgres"))
    assert "Nobody holds it now, and nobody waits for it." in look(viewer)


# --- Migration 103 --------------------------------------------------------------------------------


def test_a_legacy_daily_job_of_another_owner_is_told_by_what_the_migration_sees(
    viewer, owner, pg_cron
):
    scenarios.healthy(owner)
    name, command = "rollup_task_usage_daily", "SELECT rollup_task_usage_daily()"
    jobid = schedule(pg_cron, name=name, command=command, owner="postgres")
    job = f"rollup_task_usage_daily ({jobid}, postgres)"
    assert f"leaves them: {job}." in look(viewer)
    pg_cron.execute("ALTER ROLE multica BYPASSRLS")
    try:
        assert f"the upgrade stops. Here: {job}." in look(viewer)
    finally:
        pg_cron.execute("ALTER ROLE multica NOBYPASSRLS")
    pg_cron.execute("UPDATE cron.job SET username = 'multica' WHERE jobid = %s", [jobid])
    assert "No job of another owner stands in its way." in look(viewer)


# --- What cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slow", "shown"),
    [
        ("-- How many entries the dirty queue has", "Newest raw usage"),
        ("-- The newest raw usage by its creation", "No bucket waits."),
        ("-- The rollup's function without its comments", "No bucket waits."),
        ("-- Who holds advisory lock 4246", "No bucket waits."),
    ],
)
def test_a_part_that_cannot_be_read_says_so_and_the_rest_shows(viewer, owner, slow, shown):
    scenarios.healthy(owner)
    snapshots.forget()
    with cut_off(slow):
        page = text(viewer.get("/rollup/"))
    assert "stopped at its time limit" in page or "took too long" in page
    assert shown in page


def test_a_right_that_is_missing_is_said_in_its_place(viewer, owner):
    scenarios.healthy(owner)
    owner.execute("REVOKE SELECT ON task_usage_hourly_dirty FROM multica_view")
    try:
        page = look(viewer)
    finally:
        owner.execute(
            "GRANT SELECT (enqueued_at, bucket_hour, workspace_id, runtime_id, agent_id,"
            " project_id, provider, model) ON task_usage_hourly_dirty TO multica_view"
        )
    assert "This could not be looked at." in page
    assert "Newest raw usage" in page


def test_a_refresh_with_nothing_new_costs_a_204(viewer, owner):
    scenarios.healthy(owner)
    page = viewer.get("/rollup/").content.decode()
    version = re.search(r'id="health"[^>]*data-version="([^"]+)"', page).group(1)
    live = {"HX-Request": "true", "X-Data-Version": version}
    assert viewer.get("/rollup/", headers=live).status_code == 204


# --- Other states of the tables -------------------------------------------------------------------


def test_before_the_hourly_rollup_the_guard_of_migration_103_is_judged(viewer, attached):
    attached.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    build(attached, Point.DAILY)
    attached.execute(
        "GRANT USAGE ON SCHEMA public TO multica_view;"
        " GRANT SELECT (task_id, created_at, updated_at) ON task_usage TO multica_view"
    )
    page = look(viewer)
    assert "does not exist" not in page
    assert "It passes: task_usage is empty." in page
    assert "Newest bucket There are none before v0.3.5." in page
    attached.execute(
        "INSERT INTO task_usage (id, task_id, provider, model, input_tokens, output_tokens,"
        " cache_read_tokens, cache_write_tokens, created_at)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 'p', 'm', 1, 1, 1, 1, now()"
    )
    page = look(viewer)
    assert "with a watermark in 1970, so by itself it would refuse." in page
    assert re.search(r"Newest raw usage .*? ago\)", page)


def test_a_watermark_in_the_future_is_not_said_to_have_summed_all_usage(viewer, owner):
    scenarios.ahead_of_time(owner)
    page = look(viewer)
    assert "It lies in the future, so usage that is written before that time is not summed." in page
    assert "All usage that was written up to this time" not in page


def test_a_state_table_that_is_gone_does_not_make_multica_older(viewer, attached):
    attached.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    build(attached, Point.HOURLY)
    attached.execute("DROP TABLE task_usage_hourly_rollup_state CASCADE")
    attached.execute(
        "GRANT USAGE ON SCHEMA public TO multica_view;"
        " GRANT SELECT ON ALL TABLES IN SCHEMA public TO multica_view"
    )
    page = look(viewer)
    assert "The state row's table is missing, so every run fails." in page
    assert "older than v0.3.5." not in page


def test_a_database_without_raw_usage_is_no_error(viewer, owner):
    scenarios.healthy(owner)
    owner.execute("ALTER TABLE task_usage RENAME TO gone")
    try:
        page = look(viewer)
    finally:
        owner.execute("ALTER TABLE gone RENAME TO task_usage")
    assert "This could not be looked at." in page
    assert "No bucket waits." in page


def test_after_migration_103_no_right_is_asked_for_it(viewer, owner, pg_cron):
    scenarios.healthy(owner)
    pg_cron.execute("REVOKE USAGE ON SCHEMA cron FROM multica")
    try:
        page = look(viewer)
    finally:
        pg_cron.execute("GRANT USAGE ON SCHEMA cron TO multica")
    assert "without that right the migration fails" in page
    assert "As it has run, they stop no upgrade any more" in page
    assert "grant that right" not in page
    assert "GRANT" not in page


@pytest.mark.usefixtures("sees_sessions")
def test_a_forgotten_transaction_that_holds_the_lock_is_not_called_at_work(viewer, owner, connect):
    scenarios.healthy(owner)
    holder = connect("multica")
    with holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(4246)")
        page = look(viewer)
    assert "It has a transaction open and does nothing in it at this moment." in page
    assert "It is at work." not in page


def test_the_next_plan_is_promised_by_nobody_in_a_silence(viewer, owner):
    scenarios.stopped(owner)
    assert "A replica that is up begins it at most half a minute later." in look(viewer)
