"""The wizard's pages for schedules outside the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse

from executions.models.retirement import Retirement, RetirementState
from executions.retirement.tick import retirement_tick
from tests.retiring import lay_plans
from tests.wizard import after, step

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


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
