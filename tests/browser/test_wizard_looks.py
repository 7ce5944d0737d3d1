"""Every page of the wizard as it looks in each state: usable by everybody, at any width."""

from __future__ import annotations

import pytest
from django.urls import reverse

from executions.models.retirement import Retirement, RetirementState
from executions.retirement import acts, external, wizard
from executions.retirement.acts import Order
from executions.retirement.external import Outside
from executions.retirement.rules import current
from tests.browser.measuring import looked_at
from tests.retiring import confirmed, jobs, lay_plans, operator, pg_cron, press, schedule
from tests.sizes import AT_FULL_SIZE

__all__ = ["pg_cron"]

NASTY = "rollup <b>of</b> \u202eegasu " + "every-hour-" * 8


@pytest.fixture
def begun(owner, pg_cron):
    """Jobs with names and commands that no layout expects, and retirements in every state."""
    lay_plans(owner, status=lambda back: None if back == 13 else "SUCCESS")
    schedule(pg_cron, name="left alone", command="SELECT rollup_task_usage_hourly(); VACUUM")
    paul = operator("paul")
    retirement = confirmed(paul, schedule(pg_cron, name=NASTY, owner="postgres"))
    outside = external.choose(paul, Outside("cronjob", "usage-" * 12 + "rollup", "multica"))
    return paul, retirement, outside


def pages(paul, retirement, outside):
    """Brings the retirement from state to state; yields the address to look at in each."""
    yield "/schedules/"
    yield "/retire/"
    yield reverse("retire_check", args=[retirement.pk])
    yield reverse("retire_confirm", args=[retirement.pk])
    record, proved = Retirement.objects.filter(pk=retirement.pk), retirement.evidence
    failed = {"result": "impossible", "said": "invalid schedule: " + "now-and-then-" * 9}
    record.update(evidence={**proved, "put_back": {**proved["put_back"], **failed}})
    yield reverse("retire_confirm", args=[retirement.pk])
    record.update(evidence=proved)
    yield reverse("retire_confirm", args=[outside.pk])
    Retirement.objects.filter(pk=retirement.pk).update(state=RetirementState.BY_HAND)
    yield reverse("retire_confirm", args=[retirement.pk])
    retirement.refresh_from_db()
    wizard.confirm(paul, retirement, current())
    acts.pause(Order(paul, retirement, current()), **press(retirement))
    yield reverse("retire_watch", args=[retirement.pk])
    yield "/"
    server = retirement.server
    Retirement.objects.filter(pk=retirement.pk).update(server="1")
    yield reverse("retire_stuck", args=[retirement.pk])
    Retirement.objects.filter(pk=retirement.pk).update(server=server)
    external.ran_it(paul, outside, current())
    yield reverse("retire_watch", args=[outside.pk])
    acts.activate(Order(paul, retirement, current()), reason="It went worse.")
    again = confirmed(paul, retirement.jobid)
    acts.remove(Order(paul, again, current()), **press(again))
    for state in (RetirementState.WATCHING, RetirementState.WORSE, RetirementState.VERIFIED):
        Retirement.objects.filter(pk=again.pk).update(state=state, reason="Why it is so. " * 9)
        yield reverse("retire_watch", args=[again.pk])
    yield reverse("retire_left", args=[again.pk])
    yield "/schedules/"
    yield "/audit/"


def test_every_state_of_the_wizard_is_usable_by_everybody(page, begun, pg_cron):
    found = []
    for path in pages(*begun):
        assert page.goto(path).status == 200, path
        found += [
            f"{path}: {criterion}, {said}"
            for criterion, said in looked_at(page, in_dark=AT_FULL_SIZE)
        ]
    assert "\n".join(found) == ""
    assert len(jobs(pg_cron)) == 1
