"""Findings on the watermark and on who moves it, with real rows and near misses."""

from __future__ import annotations

from datetime import datetime

import pytest

from executions.health.findings import FindingCode, Severity
from executions.health.verdict import Level
from tests import scenarios
from tests.near_misses import (
    HOUR,
    almost_in_the_future,
    behind_and_staying_there,
    explained,
    idle_runs,
    lagging_by_a_little,
    look,
    now,
    only,
    results_without_watermarks,
    shown,
    two_jumps,
)
from tests.scenarios import CADENCE, sound

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_a_missing_state_row_is_critical(owner, now):
    assessment = look(scenarios.stateless(owner, now))
    finding = only(assessment, FindingCode.STATE_ROW_MISSING)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence == {"state_rows": 0, "successes_without_watermark": 3}


def test_results_without_watermarks_beside_a_state_row_are_nothing(owner, now):
    assert shown(look(results_without_watermarks(owner, now))) == {}


def test_a_watermark_in_the_future_is_critical_and_explains_idle_runs(owner, now):
    finding = only(look(scenarios.ahead_of_time(owner, now)), FindingCode.WATERMARK_FUTURE)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["watermark_at"] == now + 2 * HOUR
    assert explained(finding) == [FindingCode.LOCK_LOST]


@pytest.mark.parametrize(
    ("mark", "code"),
    [
        ("0001-01-01T00:00:00Z", FindingCode.WATERMARK_LAG),
        ("9999-12-31T23:59:59Z", FindingCode.WATERMARK_FUTURE),
    ],
)
def test_a_watermark_at_an_end_of_the_calendar_is_critical(owner, now, mark, code):
    world = sound(owner, now)
    world.state = {"watermark_at": datetime.fromisoformat(mark)}
    assessment = look(world.write())
    assert shown(assessment)[code].severity is Severity.CRITICAL
    assert assessment.facts.unreadable == {}


def test_a_watermark_within_a_minute_of_the_newest_possible_is_not_in_the_future(owner, now):
    assert shown(look(almost_in_the_future(owner, now))) == {}


def test_a_watermark_32_minutes_old_while_runs_succeed_is_a_warning(owner, now):
    finding = only(look(scenarios.lagging(owner, now)), FindingCode.WATERMARK_LAG)
    assert finding.severity is Severity.WARNING
    assert len(finding.evidence["latest_runs"]) == 3


def test_a_watermark_more_than_an_hour_old_is_critical(owner, now):
    world = scenarios.lagging(owner, now, behind=2 * HOUR)
    assert only(look(world), FindingCode.WATERMARK_LAG).severity is Severity.CRITICAL


def test_a_watermark_of_eleven_minutes_is_no_lag(owner, now):
    assert shown(look(lagging_by_a_little(owner, now))) == {}


def test_a_lag_that_failures_bring_is_under_the_silence_that_they_are(owner, now):
    world = sound(owner, now)
    world.change((0, 1), exhausted=True)
    world.state = {"watermark_at": world.started_at(2) - CADENCE}
    assert explained(only(look(world.write()), FindingCode.EXHAUSTED_FAILURE)) == []
    world.change(2, exhausted=True)
    world.state = {"watermark_at": world.started_at(3) - CADENCE}
    found = shown(look(world.write()))
    assert list(found) == [FindingCode.EXHAUSTED_FAILURE, FindingCode.LATEST_STALE]
    assert explained(found[FindingCode.LATEST_STALE]) == [FindingCode.WATERMARK_LAG]


@pytest.mark.parametrize(
    "world", [scenarios.lagging_after_a_failure, scenarios.locked_out_for_hours]
)
def test_an_old_failure_hides_no_watermark_that_stands_still(owner, now, world):
    assessment = look(world(owner, now))
    found = shown(assessment)
    assert found[FindingCode.WATERMARK_LAG].severity is Severity.CRITICAL
    assert found[FindingCode.PLAN_ABANDONED].severity is Severity.INFO
    assert assessment.verdict.level is Level.FAILING
    assert str(assessment.verdict.summary).startswith("Usage numbers stop at ")


def test_a_silence_is_as_grave_as_the_lag_from_before_it(owner, now):
    world = sound(owner, now)
    world.drop(range(3))
    world.state = {"watermark_at": now - 3 * HOUR}
    assessment = look(world.write())
    finding = only(assessment, FindingCode.LATEST_STALE)
    assert finding.severity is Severity.CRITICAL
    assert explained(finding) == [FindingCode.WATERMARK_LAG]
    assert assessment.verdict.level is Level.FAILING


def test_days_behind_and_a_day_nearer_with_each_plan_is_catching_up(owner, now):
    finding = only(look(scenarios.catching_up(owner, now)), FindingCode.WATERMARK_CATCHING_UP)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["plans_left"] == 40
    assert explained(finding) == [FindingCode.WATERMARK_LAG]


def test_days_behind_without_getting_nearer_is_a_lag(owner, now):
    world = behind_and_staying_there(owner, now)
    assert only(look(world), FindingCode.WATERMARK_LAG).severity is Severity.CRITICAL


def test_three_runs_in_an_hour_that_lost_the_lock_are_a_warning(owner, now):
    finding = only(look(scenarios.losing_the_lock(owner, now)), FindingCode.LOCK_LOST)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["in_the_last_hour"] == 3


def test_two_lost_locks_are_for_information(owner, now):
    world = sound(owner, now)
    world.lose_the_lock(5, 3)
    assert only(look(world.write()), FindingCode.LOCK_LOST).severity is Severity.INFO


def test_idle_runs_lost_no_lock(owner, now):
    assert shown(look(idle_runs(owner, now))) == {}


def test_watermarks_that_jump_between_plans_betray_another_writer(owner, now):
    assessment = look(scenarios.other_writer(owner, now))
    finding = only(assessment, FindingCode.OTHER_WRITER)
    assert finding.severity is Severity.INFO
    assert finding.evidence["jumps_in_the_last_12_pairs"] == 4
    assert assessment.verdict.level is Level.HEALTHY
    assert "Something besides the scheduler moved the watermark" in str(assessment.verdict.summary)


def test_one_jump_or_two_are_a_backfill_or_a_call_by_hand(owner, now):
    assert shown(look(two_jumps(owner, now))) == {}


def test_a_run_that_outlived_its_successor_is_no_other_writer(owner, now):
    world = sound(owner, now)
    for age in (2, 5, 8, 11):
        world.lose_the_lock(age)
        world.change(age + 1, duration_ms=301_000)
        world.marks[age - 1] = (
            world.started_at(age + 1) - CADENCE,
            world.started_at(age - 1) - CADENCE,
        )
        before = world.reached_before(age + 1)
        world.marks[age] = (before, before)
    assert list(shown(look(world.write()))) == [FindingCode.LOCK_LOST]


def test_a_failed_attempt_that_moved_the_watermark_is_no_other_writer(owner, now):
    world = sound(owner, now)
    for age in (2, 5, 8):
        world.change(age, retried=True)
        world.marks[age] = (world.started_at(age) - CADENCE, world.started_at(age) - CADENCE)
    assert list(shown(look(world.write()))) == [FindingCode.MASKED_RETRIES]


def test_runs_that_lose_to_another_writer_are_explained_by_it(owner, now):
    assessment = look(scenarios.rival_wins(owner, now))
    finding = only(assessment, FindingCode.OTHER_WRITER)
    assert explained(finding) == [FindingCode.LOCK_LOST]
    assert assessment.verdict.level is Level.HEALTHY
