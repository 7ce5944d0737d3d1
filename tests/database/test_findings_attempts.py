"""Findings on attempts and their times, with real rows and near misses."""

from __future__ import annotations

import pytest

from executions.health.findings import FindingCode, Severity
from tests import scenarios
from tests.near_misses import (
    DAY,
    MINUTE,
    a_long_run_that_was_not_held,
    explained,
    look,
    now,
    odd_times_that_can_be,
    one_attempt_left,
    only,
    shown,
)
from tests.scenarios import sound

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_two_abandoned_plans_among_the_last_twelve_are_a_warning(owner, now):
    finding = only(look(scenarios.abandoned_plans(owner, now)), FindingCode.PLAN_ABANDONED)
    assert finding.severity is Severity.WARNING
    assert [row["plan_time"] for row in finding.evidence["executions"]] == [
        now - 27 * MINUTE,
        now - 42 * MINUTE,
    ]
    assert finding.evidence["executions"][0]["error_code"] == "handler_error"


def test_one_abandoned_plan_is_for_information(owner, now):
    world = sound(owner, now)
    world.change((4, 20), failed=True)
    assert only(look(world.write()), FindingCode.PLAN_ABANDONED).severity is Severity.INFO


def test_a_failed_newest_plan_that_is_still_retried_is_not_abandoned(owner, now):
    assert shown(look(scenarios.retrying(owner, now))) == {}


def test_a_newest_plan_without_attempts_is_critical_and_explains_the_rest(owner, now):
    finding = only(look(scenarios.exhausted(owner, now)), FindingCode.EXHAUSTED_FAILURE)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["executions"][0]["plan_time"] == now - 7 * MINUTE
    assert explained(finding) == [FindingCode.PLAN_ABANDONED]


def test_an_older_failure_without_attempts_is_as_an_abandoned_plan(owner, now):
    world = sound(owner, now)
    world.change(8, exhausted=True)
    assert only(look(world.write()), FindingCode.EXHAUSTED_FAILURE).severity is Severity.INFO
    world.change(4, exhausted=True)
    assert only(look(world.write()), FindingCode.EXHAUSTED_FAILURE).severity is Severity.WARNING


def test_a_second_attempt_that_failed_with_one_left_is_not_exhausted(owner, now):
    assert shown(look(one_attempt_left(owner, now))) == {}


def test_six_retried_plans_of_twelve_are_a_warning(owner, now):
    finding = only(look(scenarios.retried_often(owner, now)), FindingCode.MASKED_RETRIES)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["of_the_last_12"] == 6


def test_first_attempts_that_succeed_or_fail_hide_no_error(owner, now):
    world = sound(owner, now)
    world.change((4, 9), failed=True)
    assert FindingCode.MASKED_RETRIES not in shown(look(world.write()))


def test_a_single_retried_plan_is_for_information(owner, now):
    world = sound(owner, now)
    world.change(7, retried=True)
    finding = only(look(world.write()), FindingCode.MASKED_RETRIES)
    assert (finding.severity, finding.evidence["count"]) == (Severity.INFO, 1)


def test_five_retried_plans_of_twelve_are_for_information(owner, now):
    world = sound(owner, now)
    world.change(range(1, 11, 2), retried=True)
    finding = only(look(world.write()), FindingCode.MASKED_RETRIES)
    assert (finding.severity, finding.evidence["count"]) == (Severity.INFO, 5)


def test_a_run_held_six_minutes_longer_than_it_took_is_a_warning(owner, now):
    finding = only(look(scenarios.blocked(owner, now)), FindingCode.BLOCKED_TICK)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["executions"][0]["waited_seconds"] == 359.9


def test_a_run_held_for_two_minutes_is_for_information(owner, now):
    world = scenarios.blocked(owner, now, held=2 * MINUTE)
    assert only(look(world), FindingCode.BLOCKED_TICK).severity is Severity.INFO


def test_a_run_that_took_its_time_was_not_blocked(owner, now):
    assert shown(look(a_long_run_that_was_not_held(owner, now))) == {}


def test_impossible_times_are_a_warning_with_each_kind_named(owner, now):
    world = scenarios.wrong_clock(owner, now)
    finding = only(look(world), FindingCode.CLOCK_OR_FOREIGN_WRITER)
    assert finding.severity is Severity.WARNING
    times = {
        kind: [row["plan_time"] for row in finding.evidence[kind]]
        for kind in ("finished_before_started", "in_the_future", "off_the_grid")
    }
    assert times == {
        "finished_before_started": [world.plan_time(5)],
        "in_the_future": [world.plan_time(0) + DAY],
        "off_the_grid": [world.plan_time(9) + 2 * MINUTE],
    }


def test_a_run_that_ends_as_it_begins_and_other_jobs_grids_are_possible(owner, now):
    assert shown(look(odd_times_that_can_be(owner, now))) == {}
