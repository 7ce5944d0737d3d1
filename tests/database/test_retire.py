"""What is retired, and what the wizard does not touch, with a real pg_cron."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from executions.models import Runner
from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.retirement import acts, by_hand, wizard
from executions.retirement.acts import Order
from executions.retirement.audit import Who
from executions.retirement.refusals import Refused
from executions.retirement.report import RETIRABLE, report
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.removing import SEES_JOBS, world
from tests.retiring import (
    ROLLUP,
    acting_as,
    audited,
    confirmed,
    jobs,
    lay_plans,
    now,
    operator,
    pg_cron,
    press,
    retire,
    role,
    schedule,
)

__all__ = ["acting_as", "pg_cron", "role", "world"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

EXACT = {"visible", "privileged", "success_streak", "watermark_advancing", "no_run_in_flight"}


def test_a_redundant_job_is_removed_and_everything_says_so(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    kept = schedule(pg_cron, name="other work", command="VACUUM task_usage", owner="postgres")
    retirement = retire(operator(), jobid)
    assert set(jobs(pg_cron)) == {kept}
    assert retirement.state == RetirementState.WATCHING
    act = retirement.acts.get()
    assert (act.outcome, act.role, act.user_name) == (Act.Outcome.DONE, "postgres", "olga")
    assert act.statement == f"SELECT cron.unschedule({jobid});"
    assert audited(retirement) == [("remove", "intended"), ("remove", "done")]
    done = AuditEvent.objects.get(retirement_id=retirement.pk, outcome="done")
    assert done.statement == act.statement
    assert done.role == "postgres"
    assert done.evidence["seen_afterwards"] is None
    assert {gate["code"] for gate in done.evidence["confirmed"]["gates"]} >= {"success_streak"}
    assert all(gate["passed"] for gate in done.evidence["found"]["gates"] if gate["code"] in EXACT)
    assert {gate["code"] for gate in done.evidence["found"]["gates"]} >= EXACT
    intended = AuditEvent.objects.get(retirement_id=retirement.pk, outcome="intended")
    assert intended.evidence["job"] == done.evidence["job"] == retirement.job
    assert intended.evidence["undo"].startswith("SELECT cron.schedule_in_database(")
    assert pg_cron.execute("SELECT FROM pg_extension WHERE extname = 'pg_cron'").rowcount == 1


def test_a_role_retires_its_own_job_though_row_security_is_active_for_it(owner, pg_cron, acting_as):
    lay_plans(owner)
    jobid = schedule(pg_cron, owner="multica")
    theirs = schedule(pg_cron, owner="postgres")
    acting_as("multica")
    retire(operator(), jobid)
    assert set(jobs(pg_cron)) == {theirs}


def test_a_role_with_delete_and_sight_retires_another_owners_job(owner, pg_cron, role, acting_as):
    lay_plans(owner)
    role("retirer_one", *SEES_JOBS, "GRANT DELETE ON cron.job TO {role}")
    jobid = schedule(pg_cron, owner="multica")
    acting_as("retirer_one")
    retirement = retire(operator(), jobid, accepted=True)
    assert jobs(pg_cron) == {}
    assert retirement.acts.get().role == "retirer_one"


def test_the_same_name_under_three_owners_is_retired_one_by_one(owner, pg_cron, role):
    lay_plans(owner)
    role("third_owner")
    three = [schedule(pg_cron, owner=name) for name in ("multica", "postgres", "third_owner")]
    for done, jobid in enumerate(three, start=1):
        retire(operator(f"olga{done}"), jobid)
        assert set(jobs(pg_cron)) == set(three[done:])


@pytest.mark.parametrize(
    "command",
    [
        "select * from Public.ROLLUP_task_usage_hourly()",
        "SET statement_timeout = '5min';\n/* usage */ SELECT\t\"rollup_task_usage_hourly\" ( ) ;",
    ],
)
def test_an_unnamed_job_in_odd_spelling_is_retired(owner, pg_cron, command):
    lay_plans(owner)
    jobid = schedule(pg_cron, name=None, command=command)
    retirement = retire(operator(), jobid)
    assert press(retirement)["typed"] == f"job {jobid}"
    assert jobs(pg_cron) == {}


def test_a_legacy_job_is_retired_once_its_function_is_gone(owner, pg_cron):
    jobid = schedule(pg_cron, command="SELECT rollup_task_usage_daily()")
    retirement = retire(operator(), jobid)
    assert jobs(pg_cron) == {}
    assert retirement.state == RetirementState.VERIFIED


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{ROLLUP}; VACUUM task_usage", "command_matches"),
        ("DO $$ BEGIN PERFORM rollup_task_usage_hourly(); END $$", "command_matches"),
        ("SELECT nightly_usage()", "command_matches"),
        ("SELECT rollup_task_usage_hourly_window(now(), now())", "command_matches"),
        ("SELECT rollup_task_usage_dashboard_daily()", "function_absent"),
    ],
)
def test_what_the_wizard_only_explains_it_does_not_touch(owner, pg_cron, command, code):
    lay_plans(owner)
    owner.execute(
        "CREATE FUNCTION nightly_usage() RETURNS bigint LANGUAGE sql"
        " AS 'SELECT rollup_task_usage_hourly()'"
    )
    owner.execute(
        "CREATE FUNCTION rollup_task_usage_dashboard_daily() RETURNS bigint LANGUAGE sql"
        " AS 'SELECT 1::bigint'"
    )
    try:
        refused_at_confirmation(pg_cron, schedule(pg_cron, command=command), code)
    finally:
        owner.execute("DROP FUNCTION nightly_usage(), rollup_task_usage_dashboard_daily()")


def refused_at_confirmation(pg_cron, jobid, code):
    before = jobs(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    with pytest.raises(Refused) as refusal:
        wizard.confirm(who, retirement, current())
    assert [gate.code for gate in refusal.value.gates] == [code]
    with pytest.raises(Refused):
        acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == before
    assert audited(retirement) == [("confirm", "refused"), ("remove", "refused")]


def test_a_job_for_another_database_is_not_touched(owner, pg_cron):
    lay_plans(owner)
    refused_at_confirmation(pg_cron, schedule(pg_cron, database="postgres"), "same_database")


def test_a_job_for_another_node_is_not_touched(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    pg_cron.execute("UPDATE cron.job SET nodename = 'elsewhere.example'")
    refused_at_confirmation(pg_cron, jobid, "same_database")


def test_a_job_that_leads_nowhere_near_the_rollup_cannot_be_chosen(owner, pg_cron):
    jobid = schedule(pg_cron, command="VACUUM task_usage")
    with pytest.raises(Refused, match=f"sees no job {jobid}"):
        wizard.choose(operator(), jobid)


ELSEWHERE = [{"server": "1234"}, {"database": "another"}]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_job_of_another_server_or_database_is_not_touched(world, place):
    """Its number is another job's here, even where that one looks the same."""
    Retirement.objects.update(**place)
    world.retirement.refresh_from_db()
    with pytest.raises(Refused, match="pg_cron is reached in database multica of server"):
        wizard.confirm(world.who, world.retirement, current())
    form = press(world.retirement)
    for act in (acts.remove, acts.pause):
        with pytest.raises(Refused, match="pg_cron is reached in database multica of server"):
            act(Order(world.who, world.retirement, current()), **form)
    with pytest.raises(Refused, match="pg_cron is reached in database multica of server"):
        by_hand.begin(world.who, world.retirement, fingerprint=form["fingerprint"], rules=current())
    assert jobs(world.pg_cron)[world.jobid]["active"]
    assert not world.retirement.acts.exists()
    assert audited(world.retirement) == [
        ("confirm", "refused"),
        ("remove", "refused"),
        ("pause", "refused"),
        ("remove by hand", "refused"),
    ]


def test_a_server_that_keeps_its_number_to_itself_is_told_by_its_database(world):
    Retirement.objects.update(server="")
    world.retirement.refresh_from_db()
    acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert jobs(world.pg_cron) == {}


@pytest.mark.parametrize(
    ("typed", "told"), [("rollup", "name typed"), ("", "name typed"), (None, "has changed since")]
)
def test_a_wrong_name_or_an_old_page_changes_nothing(world, typed, told):
    form = press(world.retirement)
    form |= {"fingerprint": "0" * 32} if typed is None else {"typed": typed}
    with pytest.raises(Refused, match=told):
        acts.remove(Order(world.who, world.retirement, current()), **form)
    assert set(jobs(world.pg_cron)) == {world.jobid}
    assert audited(world.retirement) == [("remove", "refused")]


def test_a_job_with_a_blank_name_is_called_by_its_number(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron, name="  ")
    who = operator()
    retirement = confirmed(who, jobid)
    form = press(retirement)
    with pytest.raises(Refused, match="name typed"):
        acts.remove(Order(who, retirement, current()), **(form | {"typed": " "}))
    acts.remove(Order(who, retirement, current()), **(form | {"typed": f"job {jobid}"}))
    assert jobs(pg_cron) == {}


def test_who_may_only_look_can_do_nothing(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    looking = Who.user(User.objects.create_user("vera"))
    with pytest.raises(Refused, match="vera may not"):
        wizard.choose(looking, jobid)
    assert not Retirement.objects.exists()
    assert not AuditEvent.objects.exists()


def test_our_own_runner_is_enough_once_somebody_affirms_that_it_stays(owner, pg_cron):
    lay_plans(owner, runner="ours")
    Runner.objects.create(runner_id="ours", kind="web", host="h", pid=1, version="0")
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    with pytest.raises(Refused) as refusal:
        wizard.confirm(who, retirement, current())
    assert [gate.code for gate in refusal.value.gates] == ["backend_runner"]
    wizard.affirm(who, retirement)
    wizard.confirm(who, retirement, current())
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}
    assert ("affirm", "done") in audited(retirement)


def test_no_code_path_drops_the_extension():
    root = Path(__file__).parents[2]
    folders = ("bin", "executions", "multica_admin", "static", "templates")
    found = [path for folder in folders for path in (root / folder).rglob("*")]
    files = [path for path in found if path.is_file() and "__pycache__" not in path.parts]
    texts = {path: path.read_bytes() for path in (*files, root / "manage.py")}
    assert len(texts) > 200
    drops = re.compile(rb"drop\s+extension", re.IGNORECASE)
    assert not [path for path, text in texts.items() if drops.search(text)]


def test_the_streak_of_the_settings_is_what_is_asked_for(owner, pg_cron, settings):
    settings.RETIREMENT_STREAK = 3
    lay_plans(owner, count=4)
    retire(operator(), schedule(pg_cron))
    assert jobs(pg_cron) == {}


def test_the_longest_streak_that_can_be_set_can_be_reached(owner, pg_cron, settings):
    settings.RETIREMENT_STREAK = 288
    lay_plans(owner, count=291)
    retire(operator(), schedule(pg_cron))
    assert jobs(pg_cron) == {}


@pytest.mark.parametrize("streak", [1, 2])
def test_after_a_trial_the_shortest_streaks_lead_to_a_removal_too(owner, pg_cron, settings, streak):
    settings.RETIREMENT_STREAK = streak
    lay_plans(owner)
    jobid, who = schedule(pg_cron), operator()
    retirement = confirmed(who, jobid)
    acts.pause(Order(who, retirement, current()), **press(retirement))
    long_ago = now(owner) - timedelta(minutes=40)
    Retirement.objects.update(paused_at=long_ago, watched_since=long_ago)
    retirement_tick()
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.TRIAL_PASSED
    assert report(current()).exit_status == RETIRABLE
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}
