"""Near misses of the findings, and what is found in a world."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.demo.stage import hidden, hold_lock, renamed, sessions_shown
from executions.health.assessment import Assessment, assess
from executions.health.findings import Finding, FindingCode
from executions.health.read import read_facts
from tests import scenarios
from tests.factories import usage
from tests.scenarios import DayOfPlans, fetch_in, sound, still_moment

__all__ = ["hidden", "hold_lock", "renamed", "sessions_shown"]
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def now(owner):
    return still_moment(owner)


def look(world: DayOfPlans) -> Assessment:
    return assess(read_facts(fetch=fetch_in(world)))


def shown(assessment: Assessment) -> dict[FindingCode, Finding]:
    """The findings that stand by themselves."""
    found = {}
    for finding in assessment.verdict.findings:
        assert finding.code not in found or finding.code is FindingCode.NOT_AVAILABLE
        found[finding.code] = finding
    return found


def only(assessment: Assessment, code: FindingCode) -> Finding:
    found = shown(assessment)
    assert list(found) == [code], [str(finding.summary) for finding in found.values()]
    return found[code]


def explained(finding: Finding) -> list[FindingCode]:
    return [one.code for one in finding.explains]


def a_little_late(owner, now):
    world = sound(owner, now)
    world.drop([0])
    return world.write()


def just_past_its_lease(owner, now):
    world = sound(owner, now)
    world.change(0, running=True, stale_after=now - timedelta(seconds=50))
    return world.write()


def one_long_run(owner, now):
    world = sound(owner, now)
    world.change(3, duration_ms=270_000)
    return world.write()


def one_attempt_left(owner, now):
    world = sound(owner, now)
    world.change(0, failed=True, attempt=2)
    return world.write()


def a_long_run_that_was_not_held(owner, now):
    world = sound(owner, now)
    world.change(3, duration_ms=240_000, finished_at=world.started_at(3) + 4.2 * MINUTE)
    return world.write()


def odd_times_that_can_be(owner, now):
    world = sound(owner, now)
    world.change(5, duration_ms=0)
    world.add(plan_time=world.plan_time(9) + MINUTE, job_name="autopilot_schedule_dispatch")
    return world.write()


def results_without_watermarks(owner, now):
    world = sound(owner, now)
    world.change(range(3), result={})
    return world.write()


def almost_in_the_future(owner, now):
    world = sound(owner, now)
    world.state = {"watermark_at": now - 5 * MINUTE + timedelta(seconds=59)}
    return world.write()


def idle_runs(owner, now):
    world = sound(owner, now)
    world.change(range(12), rows_affected=0)
    return world.write()


def lagging_by_a_little(owner, now):
    return scenarios.lagging(owner, now, behind=4 * MINUTE)


def behind_and_staying_there(owner, now):
    return scenarios.lagging(owner, now, behind=40 * DAY)


def two_jumps(owner, now):
    return scenarios.other_writer(owner, now, ages=(2, 6))


def roll_up_some(owner, now):
    world = scenarios.healthy(owner, now)
    row = usage(owner, now - 3 * HOUR)
    owner.execute(
        "SELECT rollup_task_usage_hourly_window(%s, %s)", [now - 24 * HOUR, now - 10 * MINUTE]
    )
    return world, row
