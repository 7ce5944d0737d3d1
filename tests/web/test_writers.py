"""Who moves the watermark: all who ask get the same answer about the same planted plans."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from executions.health.findings import Case
from executions.health.findings.writer import other_writer
from executions.health.read import read_facts
from executions.retirement import watch
from executions.retirement.quiet import quiet_period
from tests import scenarios
from tests.scenarios import CADENCE, DELAY, DayOfPlans, fetch_in

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

AGES = (1, 4, 7, 10)
SECOND = timedelta(seconds=1)


def found_further(world: DayOfPlans, age: int, by: timedelta) -> None:
    """A run finds the watermark further than the runs before it left it."""
    world.marks[age] = (world.reached_before(age) + by, world.started_at(age) - DELAY)


def a_jump(world: DayOfPlans, age: int) -> None:
    found_further(world, age, 2 * timedelta(minutes=1))


def two_seconds(world: DayOfPlans, age: int) -> None:
    found_further(world, age, 2 * SECOND)


def rounding(world: DayOfPlans, age: int) -> None:
    found_further(world, age, SECOND)


def a_second_attempt(world: DayOfPlans, age: int) -> None:
    a_jump(world, age)
    world.change(age, retried=True)


def a_failure_before(world: DayOfPlans, age: int) -> None:
    a_jump(world, age)
    world.change(age + 1, exhausted=True)


def an_outlived_successor(world: DayOfPlans, age: int) -> None:
    """The plan two before ended after the plan before, and reached further than that one says."""
    reached = world.started_at(age + 2) - CADENCE
    world.marks[age + 1] = (reached, reached)
    world.marks[age + 2] = (world.reached_before(age + 2), world.started_at(age) - DELAY)
    world.marks[age] = (world.started_at(age) - DELAY, world.started_at(age) - DELAY)


def a_rival_that_takes_the_lock(world: DayOfPlans, age: int) -> None:
    mark = world.started_at(age) - DELAY - timedelta(minutes=1)
    world.marks[age] = (mark, mark)


def no_state_row(world: DayOfPlans, age: int) -> None:
    world.marks[age] = (None, None)


def a_gap(world: DayOfPlans, age: int) -> None:
    a_jump(world, age)
    world.drop([age + 1])


@pytest.mark.parametrize(
    ("plant", "jumps"),
    [
        (a_jump, True),
        (two_seconds, True),
        (a_rival_that_takes_the_lock, True),
        (a_gap, True),
        (rounding, False),
        (a_second_attempt, False),
        (a_failure_before, False),
        (an_outlived_successor, False),
        (no_state_row, False),
    ],
)
def test_finding_watch_quiet_period_and_page_agree_who_moved_the_watermark(
    owner, viewer, plant: Callable[[DayOfPlans, int], None], jumps: bool
):
    world = scenarios.sound(owner, scenarios.still_moment(owner))
    for age in sorted(AGES, reverse=True):
        plant(world, age)
    world.write()
    case = Case.of(read_facts(fetch=fetch_in(world)))
    assert case is not None
    expected = {world.plan_time(age) for age in AGES} if jumps else set()

    finding = other_writer(case)
    named = finding.evidence["jumps"] if finding else []
    assert {jump["before_plan"] for jump in named} == expected

    assert watch.other_writers(case, case.ledger.cells[-13:]) == len(expected)
    assert quiet_period(case).writes == len(expected)

    told = {
        row.plan_time
        for row in case.rows[:13]
        if "something else moved it on" in viewer.get(f"/executions/{row.id}/").content.decode()
    }
    assert told == expected
