"""Every finding has a setting in which it appears and a near miss in which it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime

import pytest

from executions.database.connections import Connection
from executions.health.assessment import Assessment
from executions.health.findings import Finding, FindingCode
from tests import scenarios
from tests.near_misses import (
    MINUTE,
    a_little_late,
    a_long_run_that_was_not_held,
    almost_in_the_future,
    behind_and_staying_there,
    hidden,
    hold_lock,
    idle_runs,
    just_past_its_lease,
    lagging_by_a_little,
    look,
    now,
    odd_times_that_can_be,
    one_attempt_left,
    one_long_run,
    renamed,
    results_without_watermarks,
    roll_up_some,
    sessions_shown,
    shown,
    two_jumps,
)
from tests.scenarios import DayOfPlans, sound

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def everything(assessment: Assessment) -> set[FindingCode]:
    """The findings, also those that another explains."""

    def unfold(findings: Iterable[Finding]) -> Iterator[FindingCode]:
        for finding in findings:
            yield finding.code
            yield from unfold(finding.explains)

    return set(unfold(assessment.verdict.findings))


# Sound worlds that look broken.
def a_single_run(owner, now):
    return sound(owner, now, plans=1).write()


@dataclass(frozen=True)
class Stage:
    """What a setting is made with."""

    owner: Connection
    superuser: Connection
    connect: Callable[..., Connection]
    now: datetime


Setting = Callable[[Stage], AbstractContextManager[DayOfPlans]]


def in_world(make: Callable[[Connection, datetime], DayOfPlans]) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[DayOfPlans]:
        yield make(stage.owner, stage.now)

    return setting


def without(table: str) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[DayOfPlans]:
        world = scenarios.healthy(stage.owner, stage.now)
        with renamed(stage.owner, table):
            yield world

    return setting


def not_shown(table: str) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[DayOfPlans]:
        world = scenarios.healthy(stage.owner, stage.now)
        with hidden(stage.owner, table):
            yield world

    return setting


@contextmanager
def lock_kept_by_somebody_idle(stage: Stage) -> Iterator[DayOfPlans]:
    world = scenarios.locked_out(stage.owner, stage.now + 20 * MINUTE)
    hold_lock(stage.connect("multica"))
    with sessions_shown(stage.superuser):
        yield world


@contextmanager
def lock_held_at_work(stage: Stage) -> Iterator[DayOfPlans]:
    world = scenarios.locked_out(stage.owner, stage.now)
    busy = stage.connect("multica")
    with busy.transaction():
        hold_lock(busy)
        yield world


@contextmanager
def buckets_that_add_up(stage: Stage) -> Iterator[DayOfPlans]:
    yield roll_up_some(stage.owner, stage.now)[0]


@contextmanager
def buckets_that_do_not_add_up(stage: Stage) -> Iterator[DayOfPlans]:
    world, _row = roll_up_some(stage.owner, stage.now)
    stage.owner.execute("UPDATE task_usage_hourly SET input_tokens = input_tokens + 1")
    yield world


def of_so_many_rows(rows: int) -> Setting:
    @contextmanager
    def setting(stage: Stage) -> Iterator[DayOfPlans]:
        world = scenarios.healthy(stage.owner, stage.now)
        stage.superuser.execute(
            "UPDATE pg_class SET reltuples = %s WHERE oid = 'sys_cron_executions'::regclass", [rows]
        )
        yield world

    return setting


# For each finding a setting in which it appears, and a similar one in which it does not.
# `tests/faults/test_standby.py` has a real standby; every world here is a near miss of it.
SETTINGS: dict[FindingCode, tuple[Setting, Setting]] = {
    FindingCode.SCHEDULER_NOT_INSTALLED: (
        without("sys_cron_executions"),
        in_world(scenarios.never_ran),
    ),
    FindingCode.NO_EXECUTIONS: (in_world(scenarios.never_ran), in_world(a_single_run)),
    FindingCode.LATEST_STALE: (in_world(scenarios.stale), in_world(a_little_late)),
    FindingCode.STATE_ROW_MISSING: (
        in_world(scenarios.stateless),
        in_world(results_without_watermarks),
    ),
    FindingCode.WATERMARK_FUTURE: (
        in_world(scenarios.ahead_of_time),
        in_world(almost_in_the_future),
    ),
    FindingCode.WATERMARK_LAG: (in_world(scenarios.lagging), in_world(lagging_by_a_little)),
    FindingCode.WATERMARK_CATCHING_UP: (
        in_world(scenarios.catching_up),
        in_world(behind_and_staying_there),
    ),
    FindingCode.LOCK_LOST: (in_world(scenarios.losing_the_lock), in_world(idle_runs)),
    FindingCode.LOCK_LEAKED: (lock_kept_by_somebody_idle, lock_held_at_work),
    FindingCode.RUNNING_STALE: (in_world(scenarios.abandoned_run), in_world(just_past_its_lease)),
    FindingCode.PLAN_GAP: (in_world(scenarios.gap), in_world(one_long_run)),
    FindingCode.PLAN_ABANDONED: (in_world(scenarios.abandoned_plans), in_world(scenarios.retrying)),
    FindingCode.EXHAUSTED_FAILURE: (in_world(scenarios.exhausted), in_world(one_attempt_left)),
    FindingCode.MASKED_RETRIES: (in_world(scenarios.retried_often), in_world(one_attempt_left)),
    FindingCode.OTHER_WRITER: (in_world(scenarios.other_writer), in_world(two_jumps)),
    FindingCode.BLOCKED_TICK: (in_world(scenarios.blocked), in_world(a_long_run_that_was_not_held)),
    FindingCode.CLOCK_OR_FOREIGN_WRITER: (
        in_world(scenarios.wrong_clock),
        in_world(odd_times_that_can_be),
    ),
    FindingCode.ROLLUP_DRIFT: (buckets_that_do_not_add_up, buckets_that_add_up),
    FindingCode.TABLE_GROWTH: (of_so_many_rows(1_500_000), of_so_many_rows(999_999)),
    FindingCode.NOT_AVAILABLE: (not_shown("task_usage_hourly_dirty"), in_world(scenarios.healthy)),
}


@pytest.fixture
def stage(owner, superuser, connect, now):
    return Stage(owner, superuser, connect, now)


def test_no_finding_but_the_standbys_is_without_a_setting():
    assert set(FindingCode) - SETTINGS.keys() == {FindingCode.STANDBY}


@pytest.mark.parametrize("code", list(SETTINGS))
def test_every_finding_has_a_setting_in_which_it_appears(stage, code):
    appears, _near_miss = SETTINGS[code]
    with appears(stage) as world:
        assert code in shown(look(world))


@pytest.mark.parametrize("code", list(SETTINGS))
def test_every_finding_has_a_near_miss_in_which_it_does_not_appear(stage, code):
    _appears, near_miss = SETTINGS[code]
    with near_miss(stage) as world:
        assert {code, FindingCode.STANDBY}.isdisjoint(everything(look(world)))
