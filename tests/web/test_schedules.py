"""The page Schedules shows everything that calls the rollup, and says what it cannot see."""

from __future__ import annotations

import json
import re

import pytest
from django.core.management import call_command
from django.test import Client

from executions.accounts.roles import OPERATOR
from executions.health import snapshots
from executions.models import Runner
from executions.models.retirement import Retirement
from tests.people import make_user
from tests.retiring import (
    MINUTES,
    ROLLUP,
    acting_as,
    jobs,
    lay_plans,
    note_a_run,
    pg_cron,
    role,
    schedule,
)

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def text(answer):
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())).strip()


def look(client):
    answer = client.get("/schedules/")
    assert answer.status_code == 200
    return text(answer)


@pytest.fixture
def olga(db):
    client = Client()
    client.force_login(make_user("olga", OPERATOR))
    return client


def test_a_redundant_job_is_shown_with_all_that_is_known_of_it(viewer, owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron, at="2-59/5 * * * *")
    pg_cron.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command,"
        " status, return_message, start_time, end_time)"
        " VALUES (%s, 7, 1, 'multica', 'multica', 'x', 'failed', 'ERROR: <b>oops</b>',"
        " now() - interval '3 min', now() - interval '2 min')",
        [jobid],
    )
    page = look(viewer)
    assert f"Job {jobid} rollup_task_usage_hourly" in page
    assert "every 5 minutes from minute 2" in page
    assert "owner multica" in page
    assert "The command calls the rollup and does nothing else." in page
    assert "can be retired" in page
    assert "ERROR: &lt;b&gt;oops&lt;/b&gt;" in page
    assert "1 min" in page


def test_a_viewer_gets_no_button_and_an_operator_does(viewer, olga, owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    assert "<form" not in viewer.get("/schedules/").content.decode().split('id="schedules"')[1]
    page = olga.get("/schedules/").content.decode()
    assert f'action="/retire/job/{jobid}/"' in page


def test_the_runners_are_told_apart(viewer, owner):
    lay_plans(owner, runner="ours-1", newest=None)
    Runner.objects.create(runner_id="ours-1", kind="web", host="h", pid=1, version="0")
    page = look(viewer)
    assert "ours-1 ours 14 plans won" in page
    assert "No runner of Multica's own won a plan" in page


def test_without_any_run_a_schedule_is_said_to_be_all_there_is(viewer, owner):
    assert "a schedule is all that keeps usage counted" in look(viewer)


def test_other_workloads_are_counted_and_said_to_stay(viewer, owner, pg_cron):
    lay_plans(owner)
    schedule(pg_cron, name="a", command="VACUUM task_usage")
    schedule(pg_cron, name="b", command="SELECT 1", owner="postgres")
    page = look(viewer)
    assert "pg_cron also runs 2 jobs that have nothing to do with the rollup" in page
    assert "No pg_cron job leads to the rollup" in page


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (f"{ROLLUP}; VACUUM task_usage", "The command does other things beside the rollup."),
        (
            "DO $$ BEGIN PERFORM rollup_task_usage_hourly(); END $$",
            "The command reaches the rollup through",
        ),
        (
            "SELECT rollup_task_usage_hourly_window(now(), now())",
            "The command calls the window function",
        ),
    ],
)
def test_what_is_only_explained_comes_with_the_statement_to_run(
    viewer, owner, pg_cron, command, told
):
    lay_plans(owner)
    jobid = schedule(pg_cron, command=command)
    page = look(viewer)
    assert told in page
    assert "explained only" in page
    assert f"SELECT cron.unschedule({jobid});" in page


def test_a_job_for_another_database_is_explained(viewer, owner, pg_cron):
    lay_plans(owner)
    schedule(pg_cron, database="postgres")
    assert "and not in Multica's" in look(viewer)


def test_a_host_that_nobody_knows_is_said_with_the_evidence(viewer, owner, pg_cron):
    lay_plans(owner)
    schedule(pg_cron)
    pg_cron.execute("UPDATE cron.job SET nodename = 'db-7.example'")
    page = look(viewer)
    assert "db-7.example:5432, and nobody can tell whether that is this server" in page
    assert "and not in Multica's" not in page
    assert "explained only" not in page


def test_a_role_that_lacks_only_the_right_to_remove_is_told_by_hand_everywhere(
    viewer, olga, owner, pg_cron, role, acting_as, capsys
):
    role(
        "looker",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
    )
    acting_as("looker")
    lay_plans(owner)
    jobid = schedule(pg_cron)
    said = "It can be removed by hand: only this role may not do it"

    page = look(viewer)
    assert said in page
    assert "not yet" not in page

    with pytest.raises(SystemExit) as ended:
        call_command("checkretirement")
    told = capsys.readouterr().out
    assert said in told
    assert "cannot be retired" not in told
    assert ended.value.code == 1
    with pytest.raises(SystemExit):
        call_command("checkretirement", "--json")
    [candidate] = json.loads(capsys.readouterr().out)["candidates"]
    assert (candidate["retirable"], candidate["by_hand"]) == (False, True)

    olga.post(f"/retire/job/{jobid}/")
    retirement = Retirement.objects.get()
    assert said in text(olga.get(f"/retire/{retirement.pk}/check/"))


def test_what_refuses_for_now_is_said_with_its_reason(viewer, owner, pg_cron):
    lay_plans(owner, status=lambda back: None if back == 2 else "SUCCESS")
    schedule(pg_cron)
    page = look(viewer)
    assert "not yet" in page
    assert "2 of the 12 most recent plans succeeded" in page


def test_without_rights_it_is_cannot_tell_and_never_none(viewer, owner, pg_cron, role, acting_as):
    lay_plans(owner)
    schedule(pg_cron)
    role("blind_one")
    acting_as("blind_one")
    page = look(viewer)
    assert "We cannot tell" in page
    assert "the role blind_one may not look at pg_cron" in page
    assert "That is not the same as none." in page
    assert 'GRANT USAGE ON SCHEMA cron TO "blind_one";' in page.replace("&quot;", '"')
    assert page.count("That is not the same as none.") == 1


def test_the_wizard_says_once_what_it_cannot_see(client, owner, pg_cron, role, acting_as):
    lay_plans(owner)
    schedule(pg_cron)
    role("blind_two")
    acting_as("blind_two")
    client.force_login(make_user("olga", OPERATOR))
    page = text(client.get("/retire/"))
    assert page.count("the role blind_two may not look at pg_cron") == 1


def test_where_others_jobs_may_hide_the_list_is_not_called_complete_and_can_be_made_so(
    viewer, owner, pg_cron, role, acting_as
):
    lay_plans(owner)
    jobid = schedule(pg_cron, owner="postgres")
    role("half_blind", "GRANT USAGE ON SCHEMA cron TO {role}")
    acting_as("half_blind")
    answer = viewer.get("/schedules/")
    assert "may not see other owners" in text(answer)
    assert f"Job {jobid}" not in text(answer)
    shown = re.search(r'<pre id="showing"[^>]*>(.*?)</pre>', answer.content.decode(), re.DOTALL)[1]
    for statement in shown.replace("&quot;", '"').splitlines():
        pg_cron.execute(statement)
    assert f"Job {jobid}" in look(viewer)


def test_a_database_that_cannot_be_reached_is_no_answer_rather_than_none(viewer, owner, settings):
    lay_plans(owner)
    settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "host": "/nowhere"}
    page = look(viewer)
    assert "We cannot tell whether a pg_cron job exists" in page
    assert "No pg_cron job leads to the rollup" not in page


def test_the_trace_of_an_unseen_caller_is_told_as_one(viewer, owner, pg_cron):
    lay_plans(owner)
    owner.execute(
        "UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',"
        " (result->>'watermark_before')::timestamptz + interval '10 s')"
        " WHERE plan_time > (SELECT max(plan_time) FROM sys_cron_executions) - %s",
        [25 * MINUTES],
    )
    note_a_run(pg_cron)
    page = look(viewer)
    assert "Something besides the scheduler rolls usage up too" in page
    assert "No pg_cron job explains it" in page


def test_a_session_that_calls_the_rollup_is_named(viewer, owner, connect, pg_cron):
    lay_plans(owner)
    caller = connect("multica_view")
    caller.execute("SET application_name = 'nightly-script'")
    caller.execute("SELECT 1 WHERE false AND rollup_task_usage_hourly() IS NULL")
    pg_cron.execute("GRANT pg_read_all_stats TO multica_view")
    try:
        assert "nightly-script as multica_view" in look(viewer)
    finally:
        pg_cron.execute("REVOKE pg_read_all_stats FROM multica_view")
    assert "This role sees no other role" in look(viewer)


def test_nothing_of_it_changes_anything_and_an_unchanged_page_costs_a_204(viewer, owner, pg_cron):
    lay_plans(owner)
    schedule(pg_cron)
    before = jobs(pg_cron)
    page = viewer.get("/schedules/").content.decode()
    version = re.search(
        r'id="schedules" data-live data-live-seconds="\d+" data-version="(\w+)"', page
    )[1]
    live = {"HX-Request": "true", "X-Data-Version": version}
    assert viewer.get("/schedules/", headers=live).status_code == 204
    schedule(pg_cron, owner="postgres")
    viewer.get("/schedules/")
    answer = viewer.get("/schedules/", headers=live)
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert before.items() <= jobs(pg_cron).items()
    assert not Retirement.objects.exists()


def test_an_address_with_filters_is_refused_by_name(viewer, owner):
    assert viewer.get("/schedules/?job=x").status_code == 400


def test_an_hourly_caller_is_not_said_to_be_nobody(viewer, owner, pg_cron):
    newest = lay_plans(owner, count=288)
    assert "it shows no other caller" in look(viewer)
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
         WHERE plan_time IN (SELECT %(newest)s::timestamptz - n * interval '1 hour'
                               FROM generate_series(1, 5) AS n)
        """,
        {"newest": newest},
    )
    snapshots.forget()
    shown = look(viewer)
    assert "it shows no other caller" not in shown
    assert "something besides the runners moved the watermark 5 times, the latest before" in shown
