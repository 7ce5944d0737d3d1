"""The wizard's pages: what they say, and what each state of a retirement offers."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from executions.database.connections import connect as open_connection
from executions.health import findings, ledger
from executions.health.facts.pg_cron import Visibility
from executions.models import Runner
from executions.models.retirement import Act, Retirement, RetirementState
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.gates import gate
from executions.retirement.rules import current
from tests.retiring import (
    ROLLUP,
    acting_as,
    audited,
    jobid,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    press,
    role,
    schedule,
)
from tests.rights import let_read
from tests.wizard import after, choose, confirm, html_of, step, text

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


__all__ = ["acting_as", "jobid", "pg_cron", "role"]


# --- What the pages say ---------------------------------------------------------------------------


def test_the_check_shows_every_condition_and_offers_to_go_on(signed_in, jobid):
    retirement = choose(signed_in, jobid)
    page = signed_in.get(step("check", retirement)).content.decode()
    for code in ("visible", "privileged", "may_deactivate", "success_streak", "no_run_in_flight"):
        assert f'id="gate-{code}"' in page
    assert "It can be retired" in page
    assert 'id="go-on"' in page


def test_a_refusing_condition_says_why_and_from_when_and_offers_nothing(signed_in, owner, pg_cron):
    lay_plans(owner, status=lambda back: None if back == 3 else "SUCCESS")
    retirement = choose(signed_in, schedule(pg_cron))
    answer = signed_in.get(step("check", retirement))
    assert "Not yet: 3 of the 12 most recent plans succeeded" in text(answer)
    assert "At the earliest" in text(answer)
    assert 'id="go-on"' not in answer.content.decode()
    told = after(signed_in, signed_in.post(step("checked", retirement)))
    assert "Nothing was changed" in told
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CHOSEN


def test_the_headline_has_the_reason_and_refusing_conditions_come_first(signed_in, owner, pg_cron):
    lay_plans(owner, status=lambda back: None if back == 3 else "SUCCESS")
    page = html_of(signed_in.get(step("check", choose(signed_in, schedule(pg_cron)))))
    (headline,) = re.findall(r'id="outcome-title">(.*?)</h2>', page, re.DOTALL)
    assert "Not yet: 3 of the 12 most recent plans succeeded" in headline
    assert "At the earliest" in headline
    open_ones, folded = page.split('<details class="gates-holding" id="gates-holding">')
    assert re.findall(r'id="gate-(\w+)"', open_ones) == ["success_streak"]
    assert "success_streak" not in re.findall(r'id="gate-(\w+)"', folded)
    assert 'id="gate-visible"' in folded


def test_an_unchanged_check_costs_a_204_and_a_changed_one_is_sent(signed_in, jobid, owner):
    retirement = choose(signed_in, jobid)
    page = signed_in.get(step("check", retirement)).content.decode()
    version = re.search(r'id="check" data-live data-live-seconds="\d+" data-version="(\w+)"', page)[
        1
    ]
    live = {"HX-Request": "true", "X-Data-Version": version}
    assert signed_in.get(step("check", retirement), headers=live).status_code == 204
    owner.execute(
        "UPDATE sys_cron_executions SET status = 'FAILED', error_code = 'handler_error'"
        " WHERE plan_time = (SELECT max(plan_time) FROM sys_cron_executions)"
    )
    signed_in.get(step("check", retirement))
    answer = signed_in.get(step("check", retirement), headers=live)
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()
    assert answer.headers["X-Data-Version"] != version


def test_what_is_only_explained_comes_with_its_statement(signed_in, owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron, command=f"{ROLLUP}; VACUUM task_usage")
    retirement = choose(signed_in, jobid)
    answer = signed_in.get(step("check", retirement))
    assert "not one that can be retired from here" in text(answer)
    assert f"SELECT cron.unschedule({jobid});" in text(answer)
    assert 'id="go-on"' not in answer.content.decode()


def test_only_our_own_runner_is_enough_once_it_is_on_record_that_it_stays(
    signed_in, owner, pg_cron
):
    lay_plans(owner, runner="ours")
    Runner.objects.create(runner_id="ours", kind="web", host="h", pid=1, version="0")
    retirement = choose(signed_in, schedule(pg_cron))
    assert 'id="affirm"' in signed_in.get(step("check", retirement)).content.decode()
    assert "Tick the box" in after(signed_in, signed_in.post(step("affirm", retirement)))
    signed_in.post(step("affirm", retirement), {"stays": "yes"})
    page = signed_in.get(step("check", retirement)).content.decode()
    assert 'id="affirm"' not in page
    assert 'id="go-on"' in page
    assert audited(retirement) == [("affirm", "done")]


def test_the_confirmation_shows_the_job_the_statements_and_the_way_back(signed_in, jobid):
    page = text(signed_in.get(step("confirm", confirm(signed_in, jobid))))
    assert f"SELECT cron.unschedule({jobid});" in page
    assert f"SELECT cron.alter_job({jobid}, active := false);" in page
    assert "SELECT cron.schedule_in_database(" in page
    assert "Run as postgres" in page


def test_a_run_in_flight_closes_both_ways_while_it_lasts(signed_in, jobid, cluster):
    retirement = confirm(signed_in, jobid)
    running = open_connection(cluster.conninfo("multica", "multica"), application_name="pg_cron")
    try:
        running.execute(ROLLUP)
        page = signed_in.get(step("confirm", retirement)).content.decode()
        assert "A run of it is in flight" in page
        assert "form-remove" not in page
        assert "form-pause" not in page
    finally:
        running.close()


def test_a_second_tab_and_a_second_operator_go_on_where_it_stands(signed_in, jobid):
    retirement = confirm(signed_in, jobid)
    assert choose(signed_in, jobid) == retirement
    at = signed_in.get(step("at", retirement))
    assert at.headers["Location"] == step("confirm", retirement)
    assert f'href="{step("at", retirement)}"' in signed_in.get("/retire/").content.decode()
    assert "Go on with it" in text(signed_in.get("/schedules/"))
    signed_in.post(step("remove", retirement), press(retirement))
    for name in ("at", "check", "confirm"):
        answer = signed_in.get(step(name, retirement))
        assert answer.headers["Location"] == step("watch", retirement)


def test_what_a_crash_left_open_is_said_until_it_is_known(signed_in, jobid):
    retirement = confirm(signed_in, jobid)
    Act.objects.create(retirement=retirement, kind=Act.Kind.REMOVE, user_name="paul",
                       statement="…", job=retirement.job)  # fmt: skip
    for name in ("check", "confirm"):
        shown = text(signed_in.get(step(name, retirement)))
        assert "paul has begun to do this" in shown
        assert "Drop this" not in shown
    assert "paul is doing this" in after(signed_in, signed_in.post(step("close", retirement)))
    answer = signed_in.post(step("remove", retirement), press(retirement))
    assert "paul is doing this" in after(signed_in, answer)


def test_the_way_back_is_there_after_every_removal(signed_in, jobid, pg_cron):
    retirement = confirm(signed_in, jobid)
    signed_in.post(step("remove", retirement), press(retirement))
    for state in (
        RetirementState.WATCHING,
        RetirementState.VERIFIED,
        RetirementState.WORSE,
        RetirementState.OTHER_CALLER,
    ):
        Retirement.objects.update(state=state)
        assert 'id="form-put-back"' in signed_in.get(step("watch", retirement)).content.decode()


def test_the_watch_names_its_times_and_the_tab_says_how_far_it_is(signed_in, jobid):
    retirement = confirm(signed_in, jobid)
    signed_in.post(step("remove", retirement), press(retirement))
    page = signed_in.get(step("watch", retirement))
    assert re.search(r"<title>(\w+ · )?0 of 3 · removed, being watched · pg_cron", html_of(page))
    assert 'data-title="0 of 3 · removed, being watched · pg_cron' in html_of(page)
    told = text(page)
    assert re.search(
        r"Waiting for the plans that are due at (\d\d:\d[05](, )?){3}, the next in \d+", told
    )
    assert re.search(r"Done about \d\d:\d[16] UTC, in 1\d min", told)
    assert told.count("still to come due at") == 3
    Retirement.objects.update(state=RetirementState.VERIFIED)
    page = signed_in.get(step("watch", retirement))
    assert "0 of 3" not in html_of(page)
    assert "Waiting for" not in text(page)


def test_where_this_role_may_not_put_it_back_the_statement_is_shown(
    signed_in, jobid, pg_cron, role, acting_as
):
    role(
        "deletes_only",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "GRANT DELETE ON cron.job TO {role}",
        "CREATE POLICY deletes ON cron.job FOR SELECT TO {role} USING (true)",
        "GRANT SELECT ON task_usage_hourly_rollup_state TO {role}",
    )
    acting_as("deletes_only")
    retirement = confirm(signed_in, jobid)
    shown = text(signed_in.get(step("confirm", retirement)))
    assert "nobody has tried whether it can be put back" in shown
    assert "I know that nobody has tried" in shown
    assert "for a superuser to run" in shown
    signed_in.post(step("remove", retirement), press(retirement))
    assert set(jobs(pg_cron)) == {jobid}
    signed_in.post(step("remove", retirement), {**press(retirement), "accepted": "yes"})
    assert jobs(pg_cron) == {}
    page = signed_in.get(step("watch", retirement)).content.decode()
    assert 'id="form-put-back"' not in page
    assert "Let an administrator run this" in page
    assert "cron.schedule_in_database(" in page


def test_the_page_promises_the_way_back_that_was_tried(signed_in, jobid):
    retirement = confirm(signed_in, jobid)
    shown = text(signed_in.get(step("confirm", retirement)))
    assert "That was tried when the job was checked, and rolled back." in shown
    assert "I know that" not in shown


def test_the_page_says_that_there_is_no_way_back(signed_in, jobid, pg_cron):
    pg_cron.execute("UPDATE cron.job SET schedule = 'now and then'")
    retirement = confirm(signed_in, jobid)
    shown = text(signed_in.get(step("confirm", retirement)))
    assert "There is no way back. pg_cron refuses to schedule this job again" in shown
    assert "invalid schedule: now and then" in shown
    assert "I know that there is no way back" in shown
    assert "exactly as it was" not in shown
    signed_in.post(step("remove", retirement), press(retirement))
    assert set(jobs(pg_cron)) == {jobid}
    signed_in.post(step("remove", retirement), {**press(retirement), "accepted": "yes"})
    assert jobs(pg_cron) == {}
    shown = text(signed_in.get(step("watch", retirement)))
    assert "pg_cron refuses to schedule this job again" in shown
    assert "exactly as it was" not in shown


def test_a_database_that_is_away_is_said_on_the_page_that_watches(signed_in, jobid, settings):
    retirement = confirm(signed_in, jobid)
    signed_in.post(step("remove", retirement), press(retirement))
    settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "host": "/nowhere"}
    answer = signed_in.get(step("watch", retirement))
    assert answer.status_code == 200
    assert "pg_cron says now: no answer" in text(answer)


def test_every_page_says_that_pg_cron_is_reached_elsewhere(signed_in, jobid):
    retirement = confirm(signed_in, jobid)
    Retirement.objects.update(server="1234")
    for name in ("check", "confirm"):
        shown = text(signed_in.get(step(name, retirement)))
        assert "pg_cron is reached in database multica of server" in shown
        assert "This job is gone" not in shown
        assert "nothing left to act on" not in shown
    Retirement.objects.update(state=RetirementState.BY_HAND)
    assert "pg_cron is reached in" in text(signed_in.get(step("confirm", retirement)))
    Retirement.objects.update(state=RetirementState.TRIAL, deadline="2030-01-01T00:00Z")
    shown = text(signed_in.get(step("watch", retirement)))
    assert "pg_cron is reached in database multica of server" in shown
    assert "no answer" in shown


def test_where_the_plans_cannot_be_read_nobody_can_tell(signed_in, jobid, owner):
    owner.execute("REVOKE SELECT ON sys_cron_executions FROM multica_view")
    try:
        assert "nobody can tell" in text(signed_in.get(reverse("schedules")))
        shown = text(signed_in.get(step("check", choose(signed_in, jobid))))
    finally:
        let_read(owner)
    assert "Nobody can tell now whether it can be retired." in shown
    assert "Not yet." not in shown
    assert "This cannot be judged." in shown


def test_dropping_changes_nothing_and_ends_it(signed_in, jobid, pg_cron):
    retirement = confirm(signed_in, jobid)
    for name in ("check", "confirm"):
        assert "Drop this" in text(signed_in.get(step(name, retirement)))
    assert "Nothing was changed" in after(signed_in, signed_in.post(step("close", retirement)))
    assert set(jobs(pg_cron)) == {jobid}
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CLOSED


def test_what_is_only_not_shown_is_not_called_gone(signed_in, jobid, pg_cron, acting_as):
    acting_as("multica")
    retirement = confirm(signed_in, jobid)
    fingerprint = {"fingerprint": press(retirement)["fingerprint"]}
    told = after(signed_in, signed_in.post(step("by_hand", retirement), fingerprint))
    assert "At this moment the job is still there" in told
    assert "Only a role that sees every job can tell" in told
    pg_cron.execute("SELECT cron.alter_job(%s, username := 'postgres')", [jobid])
    told = after(signed_in, signed_in.post(step("ran_it", retirement)))
    assert "nobody can tell" in told
    assert "is not shown this job any more, which does not prove that it is gone" in told
    assert "Only a role that sees every job can tell" in told
    acting_as("postgres")
    told = text(signed_in.get(step("confirm", retirement)))
    assert "At this moment the job is still there" in told
    assert "Only a role that sees every job can tell" not in told
    pg_cron.execute("SELECT cron.unschedule(%s)", [jobid])
    assert "This job is gone." in text(signed_in.get(step("confirm", retirement)))


@pytest.mark.parametrize(
    ("way", "name"),
    [
        ("pause", "two\nlines"),
        ("pause", "two\r\nlines"),
        ("remove", "two\rlines"),
        ("remove", "two\n\nlines\n"),
    ],
)
def test_a_name_with_a_line_break_is_confirmed_without_it(signed_in, owner, pg_cron, name, way):
    """A field of one line drops every line break of what is typed or pasted into it."""
    lay_plans(owner)
    retirement = confirm(signed_in, schedule(pg_cron, name=name))
    page = signed_in.get(step("confirm", retirement)).content.decode()
    assert '<code class="typed-name">twolines</code>' in page
    form = press(retirement)
    for wrong in ("two lines", "two"):
        signed_in.post(step(way, retirement), form | {"typed": wrong})
        retirement.refresh_from_db()
        assert retirement.state == RetirementState.CONFIRMED
    signed_in.post(step(way, retirement), form | {"typed": "twolines"})
    retirement.refresh_from_db()
    assert retirement.state == (
        RetirementState.TRIAL if way == "pause" else RetirementState.WATCHING
    )


def test_hostile_names_stay_text_on_every_page(signed_in, owner, pg_cron):
    lay_plans(owner)
    name = "<script>alert(1)</script>\u202e' OR 1=1; --"
    jobid = schedule(pg_cron, name=name, owner="postgres")
    pages = [signed_in.get(path) for path in ("/schedules/", "/retire/")]
    retirement = confirm(signed_in, jobid)
    pages += [signed_in.get(step(at, retirement)) for at in ("check", "confirm")]
    signed_in.post(step("remove", retirement), press(retirement))
    assert jobs(pg_cron) == {}
    pages += [signed_in.get(step("watch", retirement)), signed_in.get("/audit/")]
    for answer in pages:
        page = answer.content.decode()
        assert answer.status_code == 200
        assert "<script>alert" not in page
        assert "\u202e" not in re.sub(r"<pre.*?</pre>", "", page, flags=re.DOTALL)


# --- Words instead of codes -----------------------------------------------------------------------


CODES = (
    gate.GateCode,
    Act.Kind,
    RetirementState,
    Visibility,
    ledger.PlanOutcome,
    findings.FindingCode,
)


def test_no_code_stands_where_a_person_reads(signed_in, jobid, pg_cron, owner):
    """Gates, acts and findings have words; what is quoted from the database keeps its own."""
    retirement = confirm(signed_in, jobid)
    acts.remove(Order(operator("paul"), retirement, current()), **press(retirement))
    retirement.refresh_from_db()
    acts.put_back(Order(operator("pia"), retirement, current()))
    other = choose(signed_in, schedule(pg_cron, name="another"))
    owner.execute("DELETE FROM sys_cron_executions WHERE plan_time > now() - interval '2 hours'")
    pages = (step("watch", retirement), step("check", other), "/audit/", "/schedules/", "/retire/")
    for path in pages:
        html_of_page = html_of(signed_in.get(path))
        read = re.sub(r"<(pre|script|template)[^>]*>.*?</\1>", " ", html_of_page,
                      flags=re.DOTALL)  # fmt: skip
        read = re.sub(r"<[^>]+>", " ", read)
        for code in (str(one.value) for kind in CODES for one in kind):
            if "_" in code:
                assert not re.search(rf"\b{code}\b", read), (path, code)


def test_a_gate_says_once_when_it_can_pass(signed_in, jobid, owner):
    retirement = choose(signed_in, jobid)
    owner.execute("DELETE FROM sys_cron_executions WHERE plan_time < now() - interval '20 minutes'")
    page = html_of(signed_in.get(step("check", retirement)))
    (shown,) = re.findall(r'<li class="gate[^>]*id="gate-success_streak">.*?</li>', page, re.DOTALL)
    assert "Not yet" in shown
    assert shown.count("At the earliest") == 1
