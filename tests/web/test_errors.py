"""The page Errors groups failures by code and message, counts them and says what followed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from executions.pages.history import errors, table
from executions.pages.history.errors import read_errors
from executions.pages.history.filters import Filters
from executions.pages.history.messages import pattern_of
from executions.pages.live import forget_shared
from executions.scheduler.states import ExecutionState
from tests.factories import ExecutionFactory
from tests.time_limits import cut_off

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


def plan(owner, now, age, **columns):
    return ExecutionFactory(connection=owner, plan_time=now - age * MINUTE, **columns)


def show(viewer, query=""):
    answer = viewer.get(f"/errors/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


@pytest.mark.parametrize(
    ("message", "pattern"),
    [
        ("pid 4711 waited 12.5 s", "pid ‹n› waited ‹n› s"),
        ("task 7c1f2d9a-0000-4000-8000-00000000BEEF is gone", "task ‹id› is gone"),
        ("at 2026-11-24T09:30:11.5+01:00 it broke", "at ‹time› it broke"),
        ("pointer 0xDEADBEEF, commit 3f9a2c1b77", "pointer ‹hex›, commit ‹hex›"),
        ("a decade of  facade\n\tfeedbeef", "a decade of facade feedbeef"),
        ("10.0.0.1:5432 refused", "‹n›:‹n› refused"),
    ],
)
def test_numbers_and_ids_are_made_equal_and_words_are_not(message, pattern):
    assert pattern_of(message) == pattern


def test_messages_that_differ_in_numbers_only_are_one_group(owner, now):
    for n in range(3):
        plan(owner, now, 10 + 5 * n, exhausted=True, error_msg=f"pid {n} was lost")
    plan(owner, now, 30, exhausted=True, error_msg="disk full")
    plan(owner, now, 35, exhausted=True, error_msg="pid 7 was lost", error_code="canceled")
    found = {(one.code, one.pattern): one for one in read_errors(Filters()).groups}
    assert set(found) == {
        ("handler_error", "pid ‹n› was lost"),
        ("handler_error", "disk full"),
        ("canceled", "pid ‹n› was lost"),
    }
    group = found["handler_error", "pid ‹n› was lost"]
    assert len(group.failures) == 3
    assert group.sample == "pid 0 was lost"
    assert (group.last_seen - group.first_seen) == 10 * MINUTE


def test_what_became_of_each_plan_is_counted(owner, now):
    plan(owner, now, 30, exhausted=True)
    plan(owner, now, 25, failed=True)
    plan(owner, now, 20)
    plan(owner, now, 5, failed=True, scope_id="other")
    (group,) = read_errors(Filters()).groups
    assert (group.exhausted, group.abandoned, group.retrying) == (1, 1, 1)
    assert group.recovered == 2
    assert group.scopes == 2


@pytest.mark.parametrize(("newest", "works"), [({}, True), ({"exhausted": True}, False)])
def test_a_scope_works_again_by_its_newest_plan_that_ended(owner, now, newest, works):
    plan(owner, now, 30, exhausted=True, error_msg="first")
    plan(owner, now, 20, **newest)
    plan(owner, now, 5, running=True)
    groups = {one.pattern: one for one in read_errors(Filters()).groups}
    assert groups["first"].recovered == works


def test_the_plans_hit_are_links_and_the_sample_is_whole(viewer, owner, now):
    message = "<b>" + "m" * 3_900 + "\u202eend"
    row = plan(owner, now, 10, exhausted=True, error_msg=message)
    html = show(viewer)
    assert f'href="/executions/{row["id"]}/"' in html
    assert "&lt;b&gt;" + "m" * 3_900 + "[U+202E]end" in html


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(job="other"), {"d"}),
        (Filters(runner="r"), {"b"}),
        (Filters(error="canceled"), {"c"}),
        (Filters(q="AAA"), {"a"}),
        (Filters(q="100%"), {"e"}),
        (Filters(status=ExecutionState.FAILED), {"a", "b", "c", "d", "e"}),
        (Filters(status=ExecutionState.RETRYING), {"d"}),
        (Filters(status=ExecutionState.SUCCESS), set()),
    ],
)
def test_the_filters_hold_here_too(owner, now, filters, expected):
    plan(owner, now, 10)
    plan(owner, now, 15, failed=True, error_msg="a " + "-" * 400 + "aaa")
    plan(owner, now, 20, failed=True, error_msg="b", runner_id="r")
    plan(owner, now, 25, failed=True, error_msg="c", error_code="canceled")
    plan(owner, now, 30, failed=True, error_msg="d", job_name="other")
    plan(owner, now, 35, failed=True, error_msg="e 100% gone")
    assert {one.pattern[0] for one in read_errors(filters).groups} == expected


def test_the_window_is_a_week_and_can_be_chosen(viewer, owner, now):
    plan(owner, now, 60 * 24 * 8, exhausted=True, error_msg="long ago")
    plan(owner, now, 60 * 30, exhausted=True, error_msg="yesterday")
    assert "yesterday" in show(viewer)
    assert "long ago" not in show(viewer)
    assert "long ago" in show(viewer, "?window=30d")
    assert "yesterday" not in show(viewer, "?window=24h")
    assert "long ago" in show(viewer, f"?since={now - timedelta(days=9):%Y-%m-%d}")


def test_each_job_gets_its_share_and_how_far_it_reached_is_told(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(errors, "MOST_ROWS", 6)
    for n in range(1, 8):
        plan(owner, now, 5 * n, exhausted=True, error_msg=f"busy x{n * 'y'}", job_name="busy")
    plan(owner, now, 300, exhausted=True, error_msg="rare")
    html = show(viewer)
    assert "rare" in html
    assert "They reach back to" in text(html)
    assert f"{now - 15 * MINUTE:%Y-%m-%d %H:%M:%S}" in text(html)


def test_no_error_nothing_like_this_and_nothing_yet_are_told_apart(viewer, owner, now):
    assert "No plan has run yet" in show(viewer)
    plan(owner, now, 10)
    assert "Nothing failed in this time" in show(viewer)
    assert "No error matches these filters" in show(viewer, "?runner=x")


def test_it_says_that_a_retry_wipes_the_error(viewer, owner, now):
    assert "wipes the error of its plan" in text(show(viewer))


def test_a_refresh_costs_a_204_while_nothing_changes(viewer, owner, now):
    plan(owner, now, 10, exhausted=True)
    part = viewer.get("/errors/", headers={"HX-Request": "true"})
    known = {"HX-Request": "true", "X-Data-Version": part.headers["X-Data-Version"]}
    assert viewer.get("/errors/", headers=known).status_code == 204


def nothing(owner, now):
    pass


def one_of_a_long_message(owner, now):
    return plan(owner, now, 10, exhausted=True, error_msg="m" * 400 + "before")["id"]


def one_to_be_retried(owner, now):
    plan(owner, now, 10, failed=True, job_name="another")


def sixty_kinds(owner, now):
    for age in range(60):
        plan(owner, now, 10 + age, exhausted=True, error_msg="w" * (age + 1))


@pytest.mark.parametrize(
    ("before", "happens"),
    [
        (nothing, lambda owner, now, _: plan(owner, now, 10)),
        (nothing, lambda owner, now, _: plan(owner, now, 10, exhausted=True)),
        (
            one_of_a_long_message,
            lambda owner, now, row: owner.execute(
                "UPDATE sys_cron_executions SET error_msg = %s WHERE id = %s",
                ["m" * 400 + "after", row],
            ),
        ),
        (
            one_to_be_retried,
            lambda owner, now, _: plan(owner, now, 5, running=True, job_name="another"),
        ),
        (one_of_a_long_message, lambda owner, now, _: plan(owner, now, 5)),
        (sixty_kinds, lambda owner, now, _: plan(owner, now, 200, exhausted=True, error_msg="old")),
    ],
    ids=["first success", "first failure", "message", "given up", "works again", "one kind more"],
)
def test_a_refresh_is_answered_whenever_something_that_is_shown_changes(
    viewer, owner, now, before, happens
):
    row = before(owner, now)
    version = viewer.get("/errors/", headers={"HX-Request": "true"}).headers["X-Data-Version"]
    happens(owner, now, row)
    forget_shared()
    known = {"HX-Request": "true", "X-Data-Version": version}
    assert viewer.get("/errors/", headers=known).status_code == 200


def test_a_refresh_is_answered_when_a_table_is_no_longer_empty_whichever_job_is_looked_at(
    viewer, owner, now
):
    address = "/errors/?job=rollup_task_usage_hourly"
    version = viewer.get(address, headers={"HX-Request": "true"}).headers["X-Data-Version"]
    plan(owner, now, 10)
    forget_shared()
    known = {"HX-Request": "true", "X-Data-Version": version}
    assert viewer.get(address, headers=known).status_code == 200


def test_a_read_that_takes_too_long_is_told_while_the_page_stands(viewer, owner, now):
    plan(owner, now, 5)
    with cut_off("-- The newest FAILED"):
        shown = text(show(viewer))
    assert "The database took too long" in shown
    assert "wipes the error of its plan" in shown


@pytest.fixture
def many_jobs(owner, now, monkeypatch):
    """More names than a page looks at, all of them before the rollup's."""
    monkeypatch.setattr(table, "MOST_JOBS", 3)
    for name in "abcde":
        plan(owner, now, 5, job_name=name)


def test_the_rollup_is_looked_at_however_many_names_come_before_it(viewer, owner, now, many_jobs):
    plan(owner, now, 10, exhausted=True, error_msg="the disk is full")
    assert "the disk is full" in show(viewer)


def test_where_names_were_cut_off_nothing_is_said_of_them(viewer, owner, now, many_jobs):
    plan(owner, now, 10, job_name="e", exhausted=True, error_msg="not seen")
    plan(owner, now, 10)
    shown = text(show(viewer))
    assert "Nothing failed" not in shown
    assert "Every plan" not in shown
    assert "Only 4 jobs were looked at, the first by name; there may be more." in shown
    named = text(show(viewer, "?job=e"))
    assert "not seen" in named
    assert "there may be more" not in named


def test_where_all_names_fit_nothing_is_cut_off(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(table, "MOST_JOBS", 3)
    for name in "abc":
        plan(owner, now, 5, job_name=name)
    assert "there may be more" not in text(show(viewer))
