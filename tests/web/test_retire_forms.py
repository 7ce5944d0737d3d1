"""The wizard's forms: mistyped, forged, replayed and too late, none of them does anything."""

from __future__ import annotations

import html
import re

import pytest
from django.test import Client
from django.urls import reverse

from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.rules import current
from tests.people import PASSWORD
from tests.retiring import audited, jobid, jobs, operator, pg_cron, press, schedule
from tests.wizard import (
    STEPS,
    after,
    asked_again,
    choose,
    confirm,
    confirmed_by_somebody,
    everything,
    html_of,
    step,
    text,
)

__all__ = ["jobid", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


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


REASON = "OPS-17: Multica runs it itself <now>"


@pytest.mark.parametrize("again", [False, True], ids=["at once", "after signing in again"])
def test_the_reason_of_an_act_stands_on_every_line_of_it(not_lately, jobid, pg_cron, again):
    retirement = confirmed_by_somebody(jobid)
    if again:
        form = asked_again(not_lately, "remove", retirement, why=REASON)
        not_lately.post("/confirm/", form)
    else:
        not_lately.post("/confirm/", {"password": PASSWORD})
        not_lately.post(step("remove", retirement), press(retirement) | {"why": f" {REASON} "})
    assert jobs(pg_cron) == {}
    lines = AuditEvent.objects.filter(retirement_id=retirement.pk).order_by("pk")
    assert [(line.outcome, line.why) for line in lines] == [("intended", REASON), ("done", REASON)]
    for path in (step("watch", retirement), "/audit/?q=OPS-17"):
        assert html.escape(REASON) in html_of(not_lately.get(path))


def test_the_reason_is_kept_beside_a_mistyped_name(signed_in, jobid):
    retirement = confirmed_by_somebody(jobid)
    form = press(retirement) | {"typed": "usage", "why": REASON}
    answer = signed_in.post(step("pause", retirement), form)
    page = html_of(signed_in.get(answer.headers["Location"]))
    assert re.search(rf'id="why-pause" name="why" value="{html.escape(REASON)}"', page)
    assert 'id="why-remove" name="why" value=""' in page
    assert AuditEvent.objects.get().why == REASON


def test_no_act_fails_because_of_its_reason(signed_in, jobid):
    retirement = confirmed_by_somebody(jobid)
    signed_in.post(step("close", retirement), {"why": "a\0b" + "c" * 2_000})
    assert AuditEvent.objects.get().why == "a[U+0000]b" + "c" * 497 + "…"


def test_every_form_that_acts_asks_why(signed_in, jobid):
    retirement = confirmed_by_somebody(jobid)
    page = html_of(signed_in.get(step("confirm", retirement)))
    asked = {"why-pause", "why-remove", "why-by-hand", "why-close"}
    assert set(re.findall(r'<input[^>]* id="(why-[\w-]+)" name="why"', page)) == asked
    signed_in.post(step("remove", retirement), press(retirement))
    page = html_of(signed_in.get(step("watch", retirement)))
    asked = {"why-put-back", "why-brought-back"}
    assert set(re.findall(r'<input[^>]* id="(why-[\w-]+)" name="why"', page)) == asked
    assert 'id="why-once"' in html_of(signed_in.get(reverse("rollup_run")))


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
