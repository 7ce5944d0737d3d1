"""An operator can close a retirement as moved only if it can never continue."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from django.db.models import F
from django.urls import reverse

from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.retirement import acts, audit, moved, wizard
from executions.retirement.acts import Order
from executions.retirement.refusals import NotPermitted, Refused
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.retiring import (
    acting_as,
    audited,
    confirmed,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    press,
    role,
    schedule,
)

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def paused(owner, pg_cron):
    lay_plans(owner)
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    acts.pause(Order(who, retirement, current()), **press(retirement))
    return retirement


def begun_on_another_server():
    Retirement.objects.update(server="1234567890")


def gone(settings):
    settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "dbname": "dropped"}


def page(client, retirement):
    answer = client.get(reverse("retire_stuck", args=[retirement.pk]))
    assert answer.status_code == 200
    return answer.content.decode()


def test_what_can_go_on_is_not_closed_as_moved(admin_client, paused):
    assert "so it can go on" in page(admin_client, paused)
    with pytest.raises(Refused, match="so this can go on"):
        moved.close_as_moved(operator("paul"), paused)
    paused.refresh_from_db()
    assert paused.state == RetirementState.TRIAL
    assert audited(paused)[-1] == (moved.MOVED, "refused")


def test_after_a_move_to_another_server_an_operator_closes_it_with_their_name(
    admin_client, pg_cron, paused
):
    begun_on_another_server()
    watch = admin_client.get(reverse("retire_watch", args=[paused.pk])).content.decode()
    assert reverse("retire_stuck", args=[paused.pk]) in watch
    shown = page(admin_client, paused)
    assert f"SELECT cron.alter_job({paused.jobid}, active := true);" in shown
    assert "form-moved" in shown
    answer = admin_client.post(reverse("retire_moved", args=[paused.pk]), follow=True)
    assert "Closed as moved. Nothing was changed in pg_cron." in answer.content.decode()
    paused.refresh_from_db()
    assert paused.state == RetirementState.MOVED
    assert "pg_cron is reached in" in paused.reason
    event = AuditEvent.objects.latest("pk")
    assert (event.user_name, event.action, event.outcome) == ("admin", moved.MOVED, "done")
    assert event.evidence["was"] == "trial"
    assert jobs(pg_cron)[paused.jobid]["active"] is False
    assert "A schedule is being retired" not in admin_client.get("/").content.decode()
    Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2), looked_at=None)
    assert retirement_tick(current()) == 0


def test_a_database_that_is_gone_leaves_nothing_open_for_ever(admin_client, paused, settings):
    gone(settings)
    watch = admin_client.get(reverse("retire_watch", args=[paused.pk])).content.decode()
    assert reverse("retire_stuck", args=[paused.pk]) in watch
    assert "form-moved" in page(admin_client, paused)
    moved.close_as_moved(operator("paul"), paused)
    assert paused.state == RetirementState.MOVED


def test_where_the_database_only_does_not_answer_nobody_can_tell(admin_client, paused, settings):
    settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "host": "/nowhere"}
    shown = page(admin_client, paused)
    assert "Nobody can tell now whether this can go on" in shown
    assert "form-moved" not in shown
    with pytest.raises(psycopg.OperationalError):
        moved.close_as_moved(operator("paul"), paused)
    paused.refresh_from_db()
    assert paused.state == RetirementState.TRIAL


def test_one_that_was_only_begun_is_closed_the_same_and_can_be_begun_anew(pg_cron, owner):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    begun_on_another_server()
    moved.close_as_moved(who, retirement)
    assert retirement.state == RetirementState.MOVED
    assert wizard.choose(who, jobid).pk != retirement.pk
    with pytest.raises(Refused):
        moved.close_as_moved(who, retirement)


def test_an_act_that_a_crash_left_open_there_is_given_up_once_it_is_surely_over(paused):
    begun_on_another_server()
    act = Act.objects.create(
        retirement=paused, kind="activate", user_name="olga", statement="s", job=paused.job,
        xid="77", server="1234567890", database="multica",
    )  # fmt: skip
    with pytest.raises(Refused, match="is doing this at the moment"):
        moved.close_as_moved(operator("paul"), paused)
    Act.objects.update(intended_at=F("intended_at") - timedelta(minutes=6))
    moved.close_as_moved(operator("paula"), paused)
    act.refresh_from_db()
    assert (paused.state, act.outcome) == (RetirementState.MOVED, "failed")
    assert "Nobody can tell any more" in act.detail


def test_nobody_without_the_permission_closes_anything(viewer, paused):
    begun_on_another_server()
    with pytest.raises(NotPermitted):
        moved.close_as_moved(audit.Who("nobody", None), paused)
    assert viewer.get(reverse("retire_stuck", args=[paused.pk])).status_code == 403
    assert viewer.post(reverse("retire_moved", args=[paused.pk])).status_code == 403
    paused.refresh_from_db()
    assert paused.state == RetirementState.TRIAL
