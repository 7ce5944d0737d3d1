"""The overview while a retirement is open: what was done, how it goes, when it ends by itself."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
from django.db import connection

from executions.models.retirement import Act, Retirement, RetirementState
from executions.retirement import acts, external, wizard
from executions.retirement.acts import Order
from executions.retirement.external import Outside
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.retiring import (
    MINUTES,
    acting_as,
    confirmed,
    jobid,
    lay_plans,
    operator,
    pg_cron,
    press,
    retire,
    role,
    schedule,
)

__all__ = ["acting_as", "jobid", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def look(client, **headers):
    html = client.get("/", headers=headers).content.decode()
    return re.sub(r"\s+", " ", re.sub(r"<(?!a |section)[^>]+>", " ", html)).replace("&#x27;", "'")


def let_plans_pass(plans):
    since = Retirement.objects.latest("pk").watched_since - plans * 5 * MINUTES
    Retirement.objects.update(watched_since=since, looked_at=None)
    retirement_tick()


@pytest.mark.parametrize("table", ["executions_alarmreceiver", "executions_silence"])
def test_an_open_retirement_is_shown_also_if_another_table_of_ours_cannot_be_read(
    admin_client, jobid, table
):
    wizard.choose(operator(), jobid)
    with away(table):
        shown = look(admin_client)
    assert f"olga has begun to retire pg_cron job {jobid}. Nothing has been changed yet." in shown
    assert 'id="redundant"' not in shown


@contextmanager
def away(table):
    """Let one of our own tables be missing."""
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} RENAME TO away")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE away RENAME TO {table}")


def test_a_retirement_that_is_open_stands_in_place_of_the_redundant_schedule(admin_client, jobid):
    assert 'id="redundant"' in look(admin_client)
    retirement = wizard.choose(operator(), jobid)
    shown = look(admin_client)
    assert 'id="redundant"' not in shown
    assert f"olga has begun to retire pg_cron job {jobid}. Nothing has been changed yet." in shown
    assert f'href="/retire/{retirement.pk}/"' in shown
    wizard.close(operator("paul"), retirement)
    shown = look(admin_client)
    assert 'id="redundant"' in shown
    assert "has begun to retire" not in shown


def test_a_trial_says_how_many_plans_went_well_and_when_it_ends_by_itself(
    admin_client, viewer, jobid
):
    who = operator()
    retirement = confirmed(who, jobid)
    acts.pause(Order(who, retirement, current()), **press(retirement))
    shown = look(admin_client)
    assert re.search(rf"olga paused pg_cron job {jobid} on trial at *\d\d:\d\d", shown)
    assert "0 of 3 plans have succeeded since" in shown
    assert re.search(r"it ends by itself at *\d\d:\d\d.*: the job is then active again", shown)
    assert 'id="redundant"' not in shown
    assert "repeats the work" not in shown
    let_plans_pass(2)
    assert "2 of 3 plans have succeeded since" in look(admin_client)
    let_plans_pass(1)
    shown = look(admin_client)
    assert "The trial went well: remove the job now" in shown
    assert f'href="/retire/{retirement.pk}/"' in shown
    assert f'href="/retire/{retirement.pk}/"' not in look(viewer)
    assert "The trial went well" in look(viewer)


def test_a_removal_is_shown_until_it_is_verified(admin_client, jobid):
    retire(operator(), jobid)
    shown = look(admin_client)
    assert f"olga removed pg_cron job {jobid} at" in shown
    assert "It ends by itself at" in shown
    let_plans_pass(3)
    assert Retirement.objects.get().state == RetirementState.VERIFIED
    assert "A schedule is being retired" not in look(admin_client)


def test_who_reads_chinese_is_told_in_chinese_how_a_watch_ended(admin_client, jobid):
    retire(operator(), jobid)
    let_plans_pass(3)
    page = f"/retire/{Retirement.objects.get().pk}/watch/"
    for language, said in {
        "zh-CN": "最近 3 个计划成功，水位线有推进，没有别的程序写入。",
        "en": "The latest 3 plans succeeded, the watermark moved and nobody else wrote.",
    }.items():
        answer = admin_client.get(page, headers={"Accept-Language": language})
        assert said in answer.content.decode()


def test_an_outside_schedule_that_behaviour_cannot_prove_gone_waits_for_an_operator(
    admin_client, owner
):
    lay_plans(owner, count=40)
    who = operator()
    retirement = external.choose(who, Outside("cron", "root"))
    assert "olga is going to remove cron root by hand" in look(admin_client)
    external.ran_it(who, retirement, current())
    assert "Then an operator has to confirm" in look(admin_client)
    let_plans_pass(6)
    assert "It ends when an operator confirms that the caller is gone" in look(admin_client)


def test_a_refresh_answers_again_when_a_plan_has_come(admin_client, jobid, monkeypatch):
    retire(operator(), jobid)
    answer = admin_client.get("/", headers={"HX-Request": "true"})
    known = {"HX-Request": "true", "X-Data-Version": answer.headers["X-Data-Version"]}
    assert admin_client.get("/", headers=known).status_code == 204
    let_plans_pass(2)
    admin_client.get("/")
    assert admin_client.get("/", headers=known).status_code == 200


def test_another_redundant_job_keeps_its_card(admin_client, jobid, pg_cron):
    other = schedule(pg_cron, name="another")
    wizard.choose(operator(), jobid)
    shown = look(admin_client)
    assert 'id="redundant"' in shown
    assert f"pg_cron job {other} , another" in shown or f"pg_cron job {other}, another" in shown


@pytest.mark.parametrize(
    ("place", "stands_in"),
    [
        ({"database": "another"}, False),
        ({"server": "1"}, False),
        ({"server": ""}, True),
        ({"server": "", "database": "another"}, False),
    ],
)
def test_a_retirement_in_another_database_stands_in_for_no_job_of_this_one(
    admin_client, jobid, place, stands_in
):
    """The same number is another job's there; a server may keep its own number to itself."""
    wizard.choose(operator(), jobid)
    Retirement.objects.update(**place)
    assert ('id="redundant"' not in look(admin_client)) is stands_in


def test_a_server_that_keeps_its_number_to_itself_is_told_by_its_database(
    admin_client, jobid, pg_cron
):
    wizard.choose(operator(), jobid)
    pg_cron.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        assert 'id="redundant"' not in look(admin_client)
        Retirement.objects.update(database="another")
        assert 'id="redundant"' in look(admin_client)
    finally:
        pg_cron.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")


def test_a_server_that_tells_its_number_too_late_hides_no_job_for_that(
    admin_client, jobid, monkeypatch
):
    def too_late(fetch):
        fetch("SET statement_timeout = 1; SELECT pg_sleep(600)", None)

    wizard.choose(operator(), jobid)
    Retirement.objects.update(database="another")
    monkeypatch.setattr("executions.health.read_pg_cron.read_identifier", too_late)
    assert 'id="redundant"' in look(admin_client)


@pytest.mark.parametrize(
    ("place", "stands_in"), [({}, True), ({"database": "another"}, False), ({"server": ""}, True)]
)
def test_a_retirement_in_another_database_stands_in_for_no_trace_of_this_one(
    admin_client, owner, jobid, pg_cron, place, stands_in
):
    wizard.choose(operator(), jobid)
    pg_cron.execute("DELETE FROM cron.job")
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
        """
    )
    Retirement.objects.update(**place)
    assert ('id="redundant"' not in look(admin_client)) is stands_in


def test_an_act_whose_outcome_nobody_knows_is_not_said_to_have_changed_nothing(admin_client, jobid):
    retirement = confirmed(operator(), jobid)
    Act.objects.create(
        retirement=retirement,
        kind=Act.Kind.REMOVE,
        user_name="paul",
        statement="SELECT cron.unschedule(1)",
        job=retirement.job,
    )
    shown = look(admin_client)
    assert "Nothing has been changed yet" not in shown
    assert f"paul began to remove pg_cron job {jobid} at" in shown
    assert "Nobody knows yet whether it is removed" in shown


def test_a_watch_that_goes_on_says_why_and_no_end_that_is_past(admin_client, owner, jobid):
    retire(operator(), jobid)
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
        """
    )
    let_plans_pass(5)
    assert Retirement.objects.get().state == RetirementState.WATCHING
    shown = look(admin_client)
    assert "5 of 3" not in shown
    assert "still advanced usage: watching some more plans" in shown
    assert "at the earliest" not in shown
    assert re.search(r"It ends by itself at about *\d\d:\d\d.* at the latest", shown)


def test_who_said_that_it_was_removed_by_hand_is_named(admin_client, owner):
    lay_plans(owner, count=40)
    retirement = external.choose(operator(), Outside("cron", "root"))
    external.ran_it(operator("paul"), retirement, current())
    assert "paul removed cron root at" in look(admin_client)
