"""Schedules outside the database: their commands, and the silence that proves them gone."""

from __future__ import annotations

import pytest

from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.retirement import audit, external
from executions.retirement.external import Outside
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
from tests.retiring import acting_as, audited, lay_plans, operator, pg_cron, role
from tests.watching import CADENCE, begun_before, interfere, tick

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.mark.parametrize(
    ("outside", "remove", "undo"),
    [
        (
            Outside("cron", "deploy"),
            (
                "crontab -u deploy -l | sed '/^[^#].*rollup_task_usage_hourly/s/^/#retired /'"
                " | crontab -u deploy -"
            ),
            (
                "crontab -u deploy -l | sed '/rollup_task_usage_hourly/s/^#retired //'"
                " | crontab -u deploy -"
            ),
        ),
        (
            Outside("systemd", "multica-rollup"),
            "systemctl disable --now multica-rollup.timer",
            "systemctl enable --now multica-rollup.timer",
        ),
        (
            Outside("cronjob", "rollup", "multica"),
            (
                "kubectl --namespace multica get cronjob rollup -o yaml > rollup.yaml"
                " && kubectl --namespace multica delete cronjob rollup"
            ),
            (
                "kubectl --namespace multica apply -f rollup.yaml && kubectl --namespace multica"
                """ patch cronjob rollup --type merge --patch '{"spec":{"suspend":false}}'"""
            ),
        ),
    ],
)
def test_each_kind_of_outside_schedule_has_its_exact_commands(outside, remove, undo):
    assert (outside.remove, outside.undo) == (remove, undo)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("cron", "a; rm -rf /"), ("systemd", "x y"), ("cronjob", "-n"), ("systemd", ""), ("at", "x")],
)
def test_a_name_that_cannot_be_one_never_gets_into_a_command(kind, name):
    with pytest.raises(ValueError, match="is not a valid name"):
        Outside(kind, name)


@pytest.mark.parametrize(
    "named",
    [
        ("systemd", "-Hroot@elsewhere"),
        ("systemd", "--no-block"),
        ("cron", "-r"),
        ("cronjob", "-A"),
        ("cronjob", "rollup", "--all"),
    ],
)
def test_what_a_command_would_take_for_an_option_is_no_name(named):
    with pytest.raises(ValueError, match=f"“{named[-1]}” is not a valid name: it begins"):
        Outside(*named)


def write_before(owner, newest, *ages):
    """Something outside moved the watermark before the plans of these ages."""
    plans = [newest - age * CADENCE for age in ages]
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
         WHERE plan_time = ANY (%(plans)s)
        """,
        {"plans": plans},
    )


def run_outside(owner, *ages, plans=288):
    """A day of plans with a caller outside that wrote at these ages, which somebody has removed."""
    newest = lay_plans(owner, count=plans)
    write_before(owner, newest, *ages)
    who = operator()
    retirement = external.choose(who, Outside("systemd", "rollup"))
    external.ran_it(who, retirement, current())
    assert retirement.state == RetirementState.WATCHING
    return who, retirement, newest


def test_an_outside_schedule_is_verified_by_the_silence_that_follows(owner):
    who, retirement, newest = run_outside(owner, *range(0, 288, 3))
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WATCHING
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, count=288, newest=newest)
    tick(begun_before(retirement, 4, newest))
    assert retirement.state == RetirementState.VERIFIED
    external.put_back_done(who, retirement)
    assert retirement.state == RetirementState.PUT_BACK
    assert audited(retirement)[-1] == ("put back outside", "done")


def test_an_hourly_caller_is_not_declared_gone_before_its_hour_is_over(owner):
    _who, retirement, newest = run_outside(owner, *range(6, 288, 12))
    assert retirement.watch["needed"] == 13
    tick(begun_before(retirement, 6, newest))
    assert retirement.state == RetirementState.WATCHING
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, count=288, newest=newest)
    tick(begun_before(retirement, 12, newest))
    assert retirement.state == RetirementState.WATCHING
    tick(begun_before(retirement, 13, newest))
    assert retirement.state == RetirementState.VERIFIED


def test_where_behaviour_proves_nothing_the_operator_confirms_with_their_name(owner):
    who, retirement, newest = run_outside(owner, 100, 200)
    with pytest.raises(Refused, match="The plans still decide it"):
        external.confirm_gone(who, retirement)
    tick(begun_before(retirement, 50, newest))
    assert (retirement.state, retirement.watch["word"]) == (RetirementState.WATCHING, "unproven")
    paul = operator("paul")
    with pytest.raises(Refused, match="may not"):
        external.confirm_gone(audit.Who("nobody", None), retirement)
    external.confirm_gone(paul, retirement)
    assert retirement.state == RetirementState.CONFIRMED_GONE
    assert retirement.affirmed_by == "paul"
    event = AuditEvent.objects.latest("pk")
    assert (event.user_name, event.outcome) == ("paul", "done")
    assert "Behaviour could not prove it" in event.summary
    assert event.evidence["quiet"]["writes"] == 2
    external.put_back_done(who, retirement)
    assert retirement.state == RetirementState.PUT_BACK


def test_an_outside_schedule_that_goes_on_calling_is_not_verified(owner):
    newest = lay_plans(owner, count=20)
    interfere(owner, 14)
    who = operator()
    retirement = external.choose(who, Outside("cron"))
    external.ran_it(who, retirement, current())
    tick(begun_before(retirement, 14, newest))
    assert retirement.state == RetirementState.OTHER_CALLER


def test_nobody_without_the_permission_begins_or_ends_anything_outside(owner):
    lay_plans(owner)
    with pytest.raises(Refused, match="may not"):
        external.choose(audit.Who("nobody", None), Outside("cron"))
    assert not Retirement.objects.exists()
    assert not AuditEvent.objects.exists()
