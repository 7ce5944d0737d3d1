"""Who may act in the wizard, and how signing in again carries an act on."""

from __future__ import annotations

import re
import time

import pytest
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from executions.accounts.roles import OPERATOR, VIEWER
from executions.models.retirement import AuditEvent
from executions.retirement import wizard
from tests.people import PASSWORD, make_user
from tests.retiring import audited, jobid, jobs, operator, pg_cron, press
from tests.wizard import (
    STEPS,
    after,
    asked_again,
    confirm,
    confirmed_by_somebody,
    everything,
    html_of,
    sent,
    step,
    text,
)

__all__ = ["jobid", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


ACTS = ("pause", "remove", "activate", "put_back")


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
