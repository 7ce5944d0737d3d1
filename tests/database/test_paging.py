"""Pages of executions are complete and in order, even if rows share a time or disappear."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from executions.models import Execution
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import GLOBAL, BadFilter, Filters
from executions.pages.history.paging import Page, PageReader
from executions.pages.history.walks import Walk, choose
from executions.scheduler.spec import Scope
from executions.scheduler.states import ExecutionState
from tests.factories import ExecutionFactory, insert_many

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SIZE = 5
SEVERAL = [GLOBAL, Scope("global", "other")]


def fill(owner, count=60, jobs=("a", "b"), times=7, seed=1, **columns):
    """Rows of several jobs and scopes that share few times, in no order; their ids."""
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        ended = NOW - MINUTE * chance.randrange(times)
        rows.append(
            ExecutionFactory.build(
                id=UUID(int=chance.getrandbits(128)),
                job_name=jobs[number % len(jobs)],
                scope_kind="trigger",
                scope_id=f"scope-{number}",
                plan_time=ended - 5 * MINUTE,
                started_at=ended,
                finished_at=ended,
                status="FAILED" if number % 3 == 0 else "SUCCESS",
                error_code="odd" if number % 4 == 0 else None,
                **columns,
            )
        )
    insert_many(owner, "sys_cron_executions", rows)
    return rows


def walk_of(looks=None, **filters):
    walk = choose(Filters(**filters), SEVERAL, NOW)
    if looks is None:
        return walk
    return Walk(tuple(replace(segment, looks=looks) for segment in walk.segments))


def read(walk, cursor, size=SIZE):
    return PageReader(walk).page(Execution.objects.all(), cursor, size)


def total(walk):
    return PageReader(walk).total()


def sample(walk):
    looks, reached = PageReader(walk).samples()
    return [row for look in looks for row in Execution.objects.filter(look)], reached


def pages(walk, size=SIZE) -> Iterator[Page]:
    page = read(walk, None, size)
    for _number in range(500):
        yield page
        if page.older is None:
            return
        page = read(walk, Cursor.read(str(page.older)), size)
    pytest.fail("the pages never end")


def ids(walk, size=SIZE):
    return [row.id for page in pages(walk, size) for row in page.rows]


def newest_first(rows, column="finished_at"):
    return [row["id"] for row in sorted(rows, key=lambda r: (r[column], r["id"]), reverse=True)]


@pytest.mark.parametrize("looks", [None, 3, 8, 9, 25])
@pytest.mark.parametrize("times", [1, 2, 7, 40])
def test_pages_together_are_the_whole_list_once_and_in_order(owner, looks, times):
    rows = fill(owner, times=times, seed=times)
    assert ids(walk_of(looks)) == newest_first(rows)


@pytest.mark.parametrize("looks", [None, 3, 8, 25])
def test_sifted_pages_leave_nothing_out_however_short_a_look_is(owner, looks):
    rows = fill(owner, times=6)
    wanted = [row for row in rows if row["error_code"] == "odd"]
    assert ids(walk_of(looks, error="odd")) == newest_first(wanted)


def test_going_back_shows_the_pages_that_were_shown(owner):
    fill(owner, times=4)
    for walk in (walk_of(), walk_of(12), walk_of(error="odd"), walk_of(12, error="odd")):
        shown = list(pages(walk))
        forward = [row.id for page in shown for row in page.rows]
        page, seen = shown[-1], [row.id for row in shown[-1].rows]
        while page.newer:
            page = read(walk, Cursor.read(str(page.newer)), SIZE)
            fresh = [row.id for row in page.rows if row.id not in seen]
            seen = fresh + seen
        assert seen == forward


def test_the_row_under_the_cursor_may_go_without_moving_the_next_page(owner):
    rows = fill(owner, times=2)
    expected = newest_first(rows)
    first = read(walk_of(), None, SIZE)
    owner.execute("DELETE FROM sys_cron_executions WHERE id = %s", [first.rows[-1].id])
    second = read(walk_of(), first.older, SIZE)
    assert [row.id for row in second.rows] == expected[SIZE : 2 * SIZE]


def test_new_rows_on_top_do_not_move_the_next_page(owner):
    rows = fill(owner)
    first = read(walk_of(), None, SIZE)
    ExecutionFactory(connection=owner, plan_time=NOW)
    second = read(walk_of(), first.older, SIZE)
    assert [row.id for row in second.rows] == newest_first(rows)[SIZE : 2 * SIZE]
    back = read(walk_of(), second.newer, SIZE)
    assert [row.id for row in back.rows] == newest_first(rows)[:SIZE]


def test_running_rows_come_first_and_the_list_goes_on_behind_them(owner):
    rows = fill(owner, count=9)
    running = [
        ExecutionFactory(
            connection=owner,
            running=True,
            plan_time=NOW + number * MINUTE,
            started_at=NOW,
            stale_after=NOW + number * MINUTE,
        )
        for number in range(7)
    ]
    expected = newest_first(running, "stale_after") + newest_first(rows)
    assert ids(walk_of()) == expected
    assert [row.id for row in next(pages(walk_of())).rows] == expected[:SIZE]


def test_one_job_and_scope_are_in_the_order_of_their_plans(owner):
    plans = [
        ExecutionFactory(
            connection=owner, plan_time=NOW - n * 5 * MINUTE, finished_at=NOW + n * MINUTE
        )
        for n in range(12)
    ]
    fill(owner)
    walk = walk_of(job="rollup_task_usage_hourly", scope=Scope())
    assert walk.by_plan_time
    assert ids(walk) == [plan["id"] for plan in plans]
    assert ids(walk_of(4, job="rollup_task_usage_hourly", scope=Scope(), runner="nobody")) == []


def test_the_failures_of_a_job_are_found_behind_any_number_of_successes(owner):
    for number in range(20):
        ExecutionFactory(connection=owner, plan_time=NOW - number * 5 * MINUTE)
    old = ExecutionFactory(connection=owner, exhausted=True, plan_time=NOW - 200 * MINUTE)
    walk = walk_of(3, job="rollup_task_usage_hourly", status=ExecutionState.FAILED)
    assert ids(walk) == [old["id"]]


def test_a_look_that_found_too_little_says_how_far_it_reached(owner):
    rows = fill(owner, times=30, error_msg="x")
    page = read(walk_of(10, runner="nobody"), None, SIZE)
    assert page.rows == []
    assert page.reached == sorted((row["finished_at"] for row in rows), reverse=True)[9]
    assert page.older is not None


def test_a_total_is_exact_where_a_look_sees_everything_and_a_lower_bound_where_not(owner):
    fill(owner, count=12)
    assert (total(walk_of()).count, total(walk_of()).exact) == (12, True)
    assert (total(walk_of(error="odd")).count, total(walk_of()).exact) == (3, True)
    cut = total(walk_of(5))
    assert (cut.count, cut.exact) == (5, False)


def test_a_cursor_of_another_order_is_refused(owner):
    with pytest.raises(BadFilter, match="another order"):
        read(walk_of(), Cursor("scope", NOW), SIZE)


def test_a_sample_is_the_first_look_whole(owner):
    rows = fill(owner, count=20, times=20)
    found, reached = sample(walk_of())
    assert {row.id for row in found} == {row["id"] for row in rows}
    assert reached is None
    found, reached = sample(walk_of(6))
    assert reached is not None
    assert all(row.finished_at > reached for row in found)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (ExecutionState.RUNNING, {"running"}),
        (ExecutionState.STALE, {"stale"}),
        (ExecutionState.SUCCESS, {"success"}),
        (ExecutionState.FAILED, {"abandoned", "exhausted", "retrying"}),
        (ExecutionState.RETRYING, {"retrying"}),
    ],
)
@pytest.mark.parametrize(
    "narrowed",
    [{}, {"job": "job"}, {"job": "job", "scope": Scope()}, {"scope": Scope()}],
    ids=["all", "job", "job and scope", "scope"],
)
def test_each_status_finds_its_rows_on_every_walk(owner, status, expected, narrowed):
    ages = {"running": 0, "success": 2, "abandoned": 3, "exhausted": 4, "stale": 5}
    for name, age in ages.items():
        ExecutionFactory(
            connection=owner,
            job_name="job",
            runner_id=name,
            plan_time=NOW - age * 5 * MINUTE,
            stale_after=NOW + (MINUTE if name == "running" else -MINUTE),
            **{"success": {}, "abandoned": {"failed": True}}.get(name, {name: True}),
        )
    ExecutionFactory(
        connection=owner,
        job_name="job",
        scope_id="other",
        runner_id="retrying",
        plan_time=NOW,
        failed=True,
    )
    walk = choose(Filters(status=status, **narrowed), SEVERAL, NOW)
    found = {row.runner_id for page in pages(walk) for row in page.rows}
    assert found == (expected - {"retrying"} if "scope" in narrowed else expected)


@pytest.mark.parametrize("value", ["infinity", "-infinity"])
@pytest.mark.parametrize("filters", [{}, {"job": "a"}], ids=["everything", "one job"])
def test_pages_of_infinite_times_show_each_row_once(owner, value, filters):
    made = fill(owner, jobs=("a",))
    owner.execute("UPDATE sys_cron_executions SET finished_at = %s", [value])
    found = [row.id for page in pages(walk_of(**filters)) for row in page.rows]
    assert sorted(found) == sorted(row["id"] for row in made)
