"""The wizard's pages and forms: what they show, and that nothing happens without every right."""

from __future__ import annotations

import html
import re
import time
from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from executions.accounts.roles import OPERATOR, VIEWER
from executions.database.connections import connect as open_connection
from executions.health import findings, ledger
from executions.health.facts.pg_cron import Visibility
from executions.models import Runner
from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.retirement import acts, wizard
from executions.retirement.acts import Order
from executions.retirement.gates import gate
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.people import just_signed_in, make_user
from tests.retiring import (
    ROLLUP,
    acting_as,
    audited,
    confirmed,
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

__all__ = ["acting_as", "jobid", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

PASSWORD = "correct horse battery"
STEPS = (
    "affirm", "checked", "close", "pause", "remove", "activate", "put_back", "by_hand", "ran_it",
    "brought_back", "gone", "moved",
)  # fmt: skip
ACTS = ("pause", "remove", "activate", "put_back")


@pytest.fixture
def olga(db):
    return make_user("olga", OPERATOR)


@pytest.fixture
def signed_in(olga):
    """A browser whose operator has signed in just now."""
    return just_signed_in(olga)


def step(name, retirement):
    return reverse(f"retire_{name}", args=[retirement.pk])


def choose(client, jobid):
    answer = client.post(reverse("retire_choose", args=[jobid]))
    assert answer.status_code == 302
    return Retirement.objects.latest("pk")


def confirm(client, jobid):
    retirement = choose(client, jobid)
    client.post(step("checked", retirement))
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CONFIRMED
    return retirement


def text(answer):
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())).strip()


def after(client, answer):
    """The page that a form led to."""
    assert answer.status_code == 302
    return text(client.get(answer.headers["Location"], follow=True))


def everything(superuser):
    """Every row of pg_cron's jobs and of our own tables that a step may change."""
    tables = ("retirement", "act", "auditevent")
    ours = [superuser.execute(f"TABLE multica_admin.executions_{name}").fetchall()
            for name in tables]  # fmt: skip
    return jobs(superuser), ours


# --- Who may ------------------------------------------------------------------------------------


def test_the_pages_are_for_operators(viewer, jobid):
    retirement = wizard.choose(operator("paul"), jobid)
    for path in (reverse("retire"), *(step(at, retirement) for at in ("at", "check", "watch"))):
        assert viewer.get(path).status_code == 403, path


def test_without_the_permission_no_form_does_anything_or_writes_a_line(
    viewer, jobid, pg_cron, caplog
):
    retirement = confirmed_by_somebody(jobid)
    before = everything(pg_cron)
    for name in STEPS:
        assert viewer.post(step(name, retirement), press(retirement)).status_code == 403, name
    assert viewer.post(reverse("retire_choose", args=[jobid])).status_code == 403
    assert viewer.post(reverse("retire_outside", args=["cron"])).status_code == 403
    assert everything(pg_cron) == before
    logged = [record for record in caplog.records if record.name == "executions.retirement.wizard"]
    assert len(logged) == len(STEPS) + 2
    assert {record.user_name for record in logged} == {"vera"}
    assert {record.about for record in logged} == {retirement.label, "cron"}


@pytest.mark.parametrize("name", ACTS)
def test_a_permission_that_was_withdrawn_meanwhile_is_refused_and_logged(
    signed_in, olga, jobid, pg_cron, caplog, name
):
    retirement = confirm(signed_in, jobid)
    olga.groups.set([Group.objects.get(name=VIEWER)])
    before = everything(pg_cron)
    assert signed_in.post(step(name, retirement), press(retirement)).status_code == 403
    assert everything(pg_cron) == before
    (logged,) = [one for one in caplog.records if one.name == "executions.retirement.wizard"]
    assert (logged.user_name, logged.action, logged.about) == ("olga", name, retirement.label)


def confirmed_by_somebody(jobid):
    return confirmed(operator("paul"), jobid)


@pytest.fixture
def not_lately(olga):
    """A browser whose operator has not signed in lately; the password is ``PASSWORD``."""
    olga.set_password(PASSWORD)
    olga.save()
    client = Client()
    client.force_login(olga)
    return client


@pytest.mark.parametrize("name", ACTS)
def test_without_signing_in_again_no_act_is_begun(not_lately, jobid, pg_cron, name):
    retirement = confirmed_by_somebody(jobid)
    before = everything(pg_cron)
    answer = not_lately.post(step(name, retirement), press(retirement))
    assert answer.headers["Location"].startswith("/confirm/?")
    asked = not_lately.get(answer.headers["Location"])
    wrong = not_lately.post("/confirm/", sent(asked) | {"password": "guess"})
    assert wrong.status_code == 403
    what = {"pause": "Pause {}", "remove": "Remove {}",
            "activate": "Activate {} again", "put_back": "Put {} back"}[name]  # fmt: skip
    for page in (asked, wrong):
        assert what.format(f"{retirement.label} (rollup_task_usage_hourly)") in text(page)
    assert everything(pg_cron) == before


def sent(page):
    """What the form of a page sends by itself."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html_of(page))
    return {name: html.unescape(value) for name, value in fields if name != "csrfmiddlewaretoken"}


def html_of(answer):
    return answer.content.decode()


def asked_again(client, name, retirement, **changed):
    """The page that asks for the password after an act was sent, ready to be answered."""
    answer = client.post(step(name, retirement), press(retirement) | changed)
    return sent(client.get(answer.headers["Location"])) | {"password": PASSWORD}


def test_signing_in_again_carries_the_act_on_and_nothing_is_typed_twice(not_lately, jobid, pg_cron):
    retirement = confirmed_by_somebody(jobid)
    answer = not_lately.post("/confirm/", asked_again(not_lately, "remove", retirement))
    assert "is removed" in after(not_lately, answer)
    assert jobs(pg_cron) == {}
    assert audited(retirement) == [("remove", "intended"), ("remove", "done")]
    assert AuditEvent.objects.latest("pk").user_name == "olga"


@pytest.mark.parametrize(("name", "back"), [("pause", "activate"), ("remove", "put_back")])
def test_every_act_is_carried_on(not_lately, jobid, pg_cron, name, back):
    retirement = confirmed_by_somebody(jobid)
    for act in (name, back):
        session = not_lately.session
        session.pop("confirmed_at", None)
        session.save()
        not_lately.post("/confirm/", asked_again(not_lately, act, retirement))
        assert audited(retirement)[-2:] == [(act, "intended"), (act, "done")]


def test_a_word_about_the_way_back_is_carried_on_too(not_lately, jobid, pg_cron):
    pg_cron.execute("UPDATE cron.job SET schedule = 'now and then'")
    retirement = confirmed_by_somebody(jobid)
    not_lately.post("/confirm/", asked_again(not_lately, "remove", retirement, accepted="yes"))
    assert jobs(pg_cron) == {}


def test_an_act_is_carried_on_once(not_lately, jobid, pg_cron):
    retirement = confirmed_by_somebody(jobid)
    form = asked_again(not_lately, "pause", retirement)
    not_lately.post("/confirm/", form)
    not_lately.post(step("activate", retirement))
    lines = len(audited(retirement))
    shown = after(not_lately, not_lately.post("/confirm/", form))
    assert "Nothing was changed" in shown
    assert len(audited(retirement)) == lines


def test_an_act_is_carried_on_only_for_who_sent_it(not_lately, jobid, pg_cron):
    retirement = confirmed_by_somebody(jobid)
    form = asked_again(not_lately, "remove", retirement)
    paul = make_user("pia", OPERATOR)
    paul.set_password(PASSWORD)
    paul.save()
    for client in (Client(), not_lately):  # also in the very same browser
        client.force_login(paul)
        client.post("/confirm/", form)
    assert set(jobs(pg_cron)) == {jobid}
    assert audited(retirement) == []


def test_an_act_is_carried_on_only_from_the_page_that_names_it(not_lately, jobid, pg_cron):
    """Of two tabs the later one counts; and the link to sign in again begins nothing."""
    retirement = confirmed_by_somebody(jobid)
    first = asked_again(not_lately, "remove", retirement)
    asked_again(not_lately, "pause", retirement)
    not_lately.post("/confirm/", first)
    not_lately.post("/confirm/", {"password": PASSWORD, "next": "/"})
    assert jobs(pg_cron)[jobid]["active"]
    assert audited(retirement) == []


def test_an_act_that_waited_too_long_is_not_carried_on(not_lately, jobid, pg_cron, monkeypatch):
    retirement = confirmed_by_somebody(jobid)
    form = asked_again(not_lately, "remove", retirement)
    later = time.time() + 601
    monkeypatch.setattr("executions.accounts.confirmation.time.time", lambda: later)
    assert "Nothing was changed" in after(not_lately, not_lately.post("/confirm/", form))
    assert audited(retirement) == []


def test_a_carried_act_is_refused_like_any_other_where_the_job_has_changed(
    not_lately, jobid, pg_cron
):
    retirement = confirmed_by_somebody(jobid)
    form = asked_again(not_lately, "remove", retirement, fingerprint="0" * 32)
    shown = after(not_lately, not_lately.post("/confirm/", form))
    assert "has changed since this page was shown" in shown
    assert audited(retirement) == [("remove", "refused")]


def test_the_password_is_taken_only_from_our_own_form(olga, jobid, pg_cron):
    olga.set_password(PASSWORD)
    olga.save()
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    retirement = confirmed_by_somebody(jobid)
    page = client.get(f"/confirm/?next={step('at', retirement)}")
    token = re.search(r'csrfmiddlewaretoken" value="([^"]+)"', html_of(page))[1]
    form = press(retirement) | {"csrfmiddlewaretoken": token}
    asked = client.get(client.post(step("remove", retirement), form).headers["Location"])
    forged = client.post("/confirm/", sent(asked) | {"password": PASSWORD})
    assert forged.status_code == 403
    assert set(jobs(pg_cron)) == {jobid}


# --- A name that is mistyped ----------------------------------------------------------------------


@pytest.mark.parametrize("name", ["pause", "remove"])
@pytest.mark.parametrize("again", [False, True], ids=["at once", "after signing in again"])
def test_a_mistyped_name_stands_in_its_field_with_the_message_at_it(
    not_lately, jobid, pg_cron, name, again
):
    retirement = confirmed_by_somebody(jobid)
    typed, client = 'rollup_task_"usage', not_lately
    if again:
        form = asked_again(client, name, retirement, typed=typed)
        answer = client.post("/confirm/", form)
    else:
        client.post("/confirm/", {"password": PASSWORD})
        answer = client.post(step(name, retirement), press(retirement) | {"typed": typed})
    page = client.get(answer.headers["Location"], follow=True)
    field = re.search(rf'<input[^>]* id="typed-{name}"[^>]*>', html_of(page))[0]
    assert f'value="{html.escape(typed)}"' in field
    assert 'aria-invalid="true"' in field
    assert f'aria-describedby="typed-{name}-error"' in field
    assert "autofocus" in field
    said = "The name typed is not rollup_task_usage_hourly. Nothing was changed."
    assert re.search(rf'id="typed-{name}-error"[^>]*>{said}<', html_of(page))
    assert text(page).count(said) == 1
    assert html_of(page).count("aria-invalid") == html_of(page).count("autofocus") == 1
    assert audited(retirement) == [(name, "refused")]
    assert said not in text(client.get(step("confirm", retirement)))


def test_a_mistyped_name_is_told_where_its_field_is_gone(signed_in, owner, jobid):
    retirement = confirmed_by_somebody(jobid)
    answer = signed_in.post(step("remove", retirement), press(retirement) | {"typed": "usage"})
    owner.execute("DELETE FROM sys_cron_executions")  # without plans no condition holds
    page = signed_in.get(answer.headers["Location"], follow=True)
    assert 'id="typed-remove"' not in html_of(page)
    assert text(page).count("The name typed is not rollup_task_usage_hourly") == 1


@pytest.mark.parametrize(
    ("kind", "form", "field"),
    [
        ("cron", {"name": "no such user!"}, "cron-name"),
        ("systemd", {"name": "a b.timer"}, "systemd-name"),
        ("systemd", {"name": ""}, "systemd-name"),
        ("cronjob", {"name": "Usage", "namespace": "multica"}, "cronjob-name"),
        ("cronjob", {"name": "usage", "namespace": "Multi ca"}, "cronjob-namespace"),
    ],
)
def test_a_mistyped_name_outside_stands_in_its_field_too(signed_in, owner, kind, form, field):
    page = signed_in.post(reverse("retire_outside", args=[kind]), form)
    assert page.status_code == 400
    wrong = re.search(rf'<input[^>]* id="{field}"[^>]*>', html_of(page))[0]
    value = form["namespace" if field.endswith("namespace") else "name"]
    assert f'value="{value}"' in wrong
    assert 'aria-invalid="true"' in wrong
    assert f'aria-describedby="{field}-error"' in wrong
    assert "autofocus" in wrong
    assert f'id="{field}-error"' in html_of(page)
    assert re.search(r'aria-current="page">Schedules<', html_of(page))
    assert html_of(page).count("aria-invalid") == 1
    for name, given in form.items():
        assert f'id="{kind}-{name}" name="{name}" value="{given}"' in html_of(page)


def test_a_form_without_its_token_is_refused(olga, jobid, pg_cron):
    client = Client(enforce_csrf_checks=True)
    client.force_login(olga)
    retirement = confirmed_by_somebody(jobid)
    before = everything(pg_cron)
    for name in STEPS:
        assert client.post(step(name, retirement), press(retirement)).status_code == 403, name
    assert everything(pg_cron) == before


def test_a_get_of_a_form_is_no_way_to_send_it(signed_in, jobid, pg_cron):
    retirement = confirm(signed_in, jobid)
    before = everything(pg_cron)
    for name in STEPS:
        assert signed_in.get(step(name, retirement), press(retirement)).status_code == 405, name
    assert signed_in.get(reverse("retire_choose", args=[jobid])).status_code == 405
    assert everything(pg_cron) == before


def test_no_page_changes_anything_when_it_is_looked_at(signed_in, jobid, pg_cron, every_page):
    """Every page of the dashboard and of a retirement in every state, live parts too."""
    retirement = confirm(signed_in, jobid)
    for state in RetirementState:
        Retirement.objects.filter(pk=retirement.pk).update(
            state=state, deadline="2026-01-01T00:00Z", watched_since="2026-01-01T00:00Z"
        )
        before = everything(pg_cron)
        pages = (*every_page, *(step(at, retirement) for at in ("at", "check", "confirm", "watch")))
        for path in pages if state == RetirementState.CHOSEN else pages[-4:]:
            for headers in ({}, {"HX-Request": "true"}):
                assert signed_in.get(path, headers=headers).status_code in {200, 302}, path
        assert everything(pg_cron) == before


# --- Forged, old and replayed forms ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("forged", "told"),
    [
        ({"typed": "something else"}, "The name typed is not rollup_task_usage_hourly"),
        ({"typed": ""}, "The name typed is not"),
        ({"fingerprint": "0" * 32}, "has changed since this page was shown"),
        ({"fingerprint": "ünicode"}, "has changed since this page was shown"),
        ({"fingerprint": ""}, "has changed since this page was shown"),
        ({"fingerprint": "f" * 5000}, "has changed since this page was shown"),
    ],
)
@pytest.mark.parametrize("name", ["pause", "remove"])
def test_a_forged_form_does_nothing_and_says_so(signed_in, jobid, pg_cron, name, forged, told):
    retirement = confirm(signed_in, jobid)
    before = jobs(pg_cron)
    answer = signed_in.post(step(name, retirement), press(retirement) | forged)
    assert told in after(signed_in, answer)
    assert jobs(pg_cron) == before
    assert audited(retirement) == [(name, "refused")]


def test_a_replayed_form_does_nothing_and_names_who_did_it(signed_in, jobid, pg_cron):
    retirement = confirm(signed_in, jobid)
    form = press(retirement)
    assert "is removed" in after(signed_in, signed_in.post(step("remove", retirement), form))
    again = schedule(pg_cron)
    told = after(signed_in, signed_in.post(step("remove", retirement), form))
    assert "olga did that" in told
    assert set(jobs(pg_cron)) == {again}
    assert audited(retirement).count(("remove", "done")) == 1


def test_the_second_operator_is_told_who_was_first(signed_in, jobid, pg_cron):
    retirement = confirm(signed_in, jobid)
    paul = operator("paul")
    acts.remove(Order(paul, Retirement.objects.get(pk=retirement.pk), current()),
                **press(retirement))  # fmt: skip
    answer = signed_in.post(step("remove", retirement), press(retirement))
    assert "paul did that" in after(signed_in, answer)


def test_a_job_that_was_altered_meanwhile_is_shown_with_what_changed(signed_in, jobid, pg_cron):
    retirement = confirm(signed_in, jobid)
    pg_cron.execute("UPDATE cron.job SET schedule = '7 7 * * *' WHERE jobid = %s", [jobid])
    answer = signed_in.post(step("remove", retirement), press(retirement))
    page = after(signed_in, answer)
    assert "schedule: 1 1 1 1 * → 7 7 * * *" in page
    assert "1 1 1 1 * → 7 7 * * *" in text(signed_in.get(step("confirm", retirement)))
    assert set(jobs(pg_cron)) == {jobid}


def test_steps_in_the_wrong_order_are_refused(signed_in, jobid, pg_cron):
    retirement = choose(signed_in, jobid)
    before = jobs(pg_cron)
    for name in ("pause", "remove", "activate", "put_back", "by_hand", "ran_it", "brought_back"):
        after(signed_in, signed_in.post(step(name, retirement), press(retirement)))
    assert jobs(pg_cron) == before
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CHOSEN
    assert not Act.objects.exists()
    outcomes = set(AuditEvent.objects.values_list("outcome", flat=True))
    assert outcomes == {"refused"}


def test_an_unknown_retirement_or_job_is_said_to_be_unknown(signed_in, pg_cron):
    assert signed_in.get("/retire/999/check/").status_code == 404
    assert signed_in.post("/retire/999/remove/").status_code == 404
    answer = signed_in.post(reverse("retire_choose", args=[999]))
    assert "sees no job 999" in after(signed_in, answer)


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


@pytest.mark.parametrize("name", ["two\nlines", "two\r\nlines", "two\rlines", "two\n\nlines\n"])
@pytest.mark.parametrize("way", ["pause", "remove"])
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


# --- Outside the database -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "form", "command"),
    [
        ("cron", {"name": "root"}, "crontab -u root -l |"),
        ("cron", {"name": ""}, "crontab -l |"),
        ("systemd", {"name": "rollup"}, "systemctl disable --now rollup.timer"),
        ("cronjob", {"name": "usage", "namespace": "multica"}, "delete cronjob usage"),
    ],
)
def test_each_kind_outside_gets_its_exact_command(signed_in, owner, kind, form, command):
    lay_plans(owner)
    answer = signed_in.post(reverse("retire_outside", args=[kind]), form)
    assert command in after(signed_in, answer).replace("&#x27;", "'")
    retirement = Retirement.objects.latest("pk")
    told = after(signed_in, signed_in.post(step("ran_it", retirement)))
    assert "Whether it is gone shows in the plans that follow" in told
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.WATCHING
    signed_in.post(step("brought_back", retirement))
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.PUT_BACK


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("cron", "root; rm -rf /"),
        ("systemd", ""),
        ("systemd", "$(reboot)"),
        ("systemd", "-Hroot@elsewhere"),
        ("cronjob", "Not A Label"),
        ("at", "x"),
    ],
)
def test_what_cannot_be_a_name_never_becomes_a_command(signed_in, owner, kind, name):
    answer = signed_in.post(reverse("retire_outside", args=[kind]), {"name": name})
    assert answer.status_code == 400
    assert not Retirement.objects.exists()


def test_the_pages_say_how_long_the_silence_of_an_outside_caller_is_watched_and_why(
    signed_in, owner
):
    newest = lay_plans(owner, count=288)
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
         WHERE extract(epoch FROM %(newest)s - plan_time)::int %% 3600 = 1800
        """,
        {"newest": newest},
    )
    answer = signed_in.post(reverse("retire_outside", args=["cron"]), {"name": "root"})
    told = after(signed_in, answer)
    assert "It takes 13 plans, about 1 h 5 min" in told
    retirement = Retirement.objects.latest("pk")
    told = after(signed_in, signed_in.post(step("ran_it", retirement)))
    assert "It takes 13 plans" in told
    assert "At the earliest" in told
    assert 'id="form-gone"' not in told


def test_where_behaviour_proves_nothing_the_page_asks_the_operator(signed_in, owner):
    lay_plans(owner, count=288)
    signed_in.post(reverse("retire_outside", args=["cron"]), {"name": "root"})
    retirement = Retirement.objects.latest("pk")
    told = after(signed_in, signed_in.post(step("ran_it", retirement)))
    assert "Behaviour cannot prove that it is gone" in told
    assert 'id="form-gone"' not in told
    retirement.refresh_from_db()
    since = retirement.watched_since - timedelta(minutes=30)
    Retirement.objects.update(watched_since=since, looked_at=None)
    retirement_tick()
    assert 'id="form-gone"' in signed_in.get(step("watch", retirement)).content.decode()
    told = after(signed_in, signed_in.post(step("gone", retirement)))
    assert "Removed, as" in told
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CONFIRMED_GONE


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
