"""Every job in the table: its scopes, its newest plans, and its small verdict."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from executions.selectors import jobs
from executions.selectors.filters import Filters
from executions.selectors.jobs import read_all_jobs
from tests.factories import ExecutionFactory
from tests.time_limits import cut_off

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def now(owner):
    return owner.execute("SELECT date_trunc('minute', now()) AS now").fetchone()["now"]


def plan(owner, now, age, **columns):
    return ExecutionFactory(connection=owner, plan_time=now - age * MINUTE, **columns)


def show(viewer, query=""):
    answer = viewer.get(f"/jobs/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'")


def verdict(name="rollup_task_usage_hourly"):
    found = {job.name: job.verdict for job in read_all_jobs(Filters()).jobs}
    return found[name].word


def test_every_job_is_there_with_its_newest_plans_the_newest_last(owner, now):
    made = [plan(owner, now, 5 * n) for n in range(1, 20)]
    plan(owner, now, 10, job_name="a")
    first, rollup = read_all_jobs(Filters()).jobs
    assert (first.name, rollup.name) == ("a", "rollup_task_usage_hourly")
    shown = [cell.plan.id for cell in rollup.plans]
    assert shown == [row["id"] for row in reversed(made[: jobs.SHOWN_PLANS])]
    assert rollup.is_regular
    assert not first.is_regular


@pytest.mark.parametrize(
    ("plans", "expected"),
    [
        ({5: {}, 10: {}}, "healthy"),
        ({5: {"exhausted": True}, 10: {}}, "failing"),
        ({5: {"failed": True}, 10: {}}, "degraded"),
        ({5: {"stale": True, "heartbeat": 60}, 10: {}}, "failing"),
        ({5: {}, 10: {"exhausted": True}}, "healthy"),
        ({5: {}, 10: {"exhausted": True}, 15: {"exhausted": True}}, "degraded"),
        ({25: {}, 30: {}}, "degraded"),
        ({90: {}}, "failing"),
        ({5: {"running": True}, 10: {}}, "healthy"),
    ],
)
def test_a_regular_job_is_judged_by_its_newest_plans_and_their_age(owner, now, plans, expected):
    for age, columns in plans.items():
        if columns.pop("heartbeat", None):
            columns["stale_after"] = now - MINUTE
        plan(owner, now, age, **columns)
    assert verdict() == expected


def test_an_irregular_job_is_never_late(owner, now):
    plan(owner, now, 60 * 24 * 3, job_name="monthly")
    assert verdict("monthly") == "healthy"


@pytest.mark.parametrize(
    ("failed", "expected"), [(0, "healthy"), (1, "healthy"), (3, "degraded"), (20, "failing")]
)
def test_a_job_of_many_scopes_is_judged_by_its_last_day(owner, now, failed, expected):
    for n in range(20):
        plan(owner, now, n, job_name="pilot", scope_id=f"s{n}", exhausted=n < failed)
    assert verdict("pilot") == expected


def test_nothing_in_its_last_day_is_unknown_and_a_lost_lease_is_not_well(owner, now):
    for n in range(2):
        plan(owner, now, 60 * 30, job_name="pilot", scope_id=f"s{n}")
        plan(owner, now, 10, job_name="lost", scope_id=f"s{n}")
    plan(owner, now, 1, job_name="lost", running=True, stale_after=now - MINUTE, scope_id="s0")
    assert verdict("pilot") == "unknown"
    assert verdict("lost") == "degraded"


def test_an_irregular_job_shows_executions_and_no_gaps(viewer, owner, now):
    plan(owner, now, 10, job_name="pilot", scope_kind="trigger", scope_id="one")
    plan(owner, now, 300, job_name="pilot", scope_kind="trigger", scope_id="two")
    shown = text(show(viewer))
    assert "nothing is said of gaps" in shown
    assert "2 scopes" in shown
    assert "trigger/one" in shown


def test_ten_thousand_scopes_break_nothing(viewer, owner, now):
    owner.execute(
        "INSERT INTO sys_cron_executions (job_name, scope_id, plan_time, status, lease_token,"
        " started_at, finished_at) SELECT 'pilot', to_char(n, 'FM\"s\"00000'), %(at)s, 'SUCCESS',"
        " gen_random_uuid(), %(at)s, %(at)s FROM generate_series(0, 9999) AS n",
        {"at": now - MINUTE},
    )
    html = show(viewer)
    assert "More than 20 scopes" in text(html)
    assert html.count("global/s0") == jobs.SHOWN_SCOPES
    assert "which reach back to" in text(html)
    assert viewer.get("/executions/?job=pilot").status_code == 200


def test_one_job_alone_and_one_that_is_not_there(viewer, owner, now):
    assert "No job has run yet" in show(viewer)
    plan(owner, now, 5)
    plan(owner, now, 5, job_name="other")
    html = show(viewer, "?job=other")
    assert "rollup_task_usage_hourly" not in html
    assert "The table has no execution of this job" in show(viewer, "?job=gone")


def test_hostile_names_are_shown_harmless(viewer, owner, now):
    evil = "<b>\"'\u202e" + "x" * 300
    plan(owner, now, 5, job_name=evil, scope_id=evil)
    html = show(viewer)
    assert "<b>" not in html
    assert "&lt;b&gt;&quot;&#x27;[U+202E]" + "x" * 300 in html


def test_a_refresh_costs_a_204_while_nothing_changes(viewer, owner, now):
    plan(owner, now, 5)
    part = viewer.get("/jobs/", headers={"HX-Request": "true"})
    known = {"HX-Request": "true", "X-Data-Version": part.headers["X-Data-Version"]}
    assert viewer.get("/jobs/", headers=known).status_code == 204


def test_a_read_that_takes_too_long_is_told_while_the_page_stands(viewer, owner, now):
    plan(owner, now, 5)
    with cut_off("-- What ended lately"):
        shown = text(show(viewer))
    assert "The database took too long" in shown
    assert "rollup_task_usage_hourly" in shown
