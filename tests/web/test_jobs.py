"""Every job in the table: its scopes, its newest plans, and its small verdict."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections
from django.test.utils import CaptureQueriesContext

from executions.health import snapshots
from executions.health.assessment import assess
from executions.health.other_jobs import assess_job
from executions.health.read import read_facts
from executions.pages.history import jobs, table
from executions.pages.history.filters import Filters
from executions.pages.history.jobs import read_all_jobs
from executions.pages.overview.reader import read_overview
from executions.text.sentences import Ago, At, say, together
from tests import scenarios
from tests.factories import ExecutionFactory
from tests.retiring import pg_cron, schedule
from tests.scenarios import database_now
from tests.time_limits import cut_off

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


def plan(owner, now, age, **columns):
    return ExecutionFactory(connection=owner, plan_time=now - age * MINUTE, **columns)


def show(viewer, query=""):
    answer = viewer.get(f"/jobs/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html)).replace("&#x27;", "'")


def verdict(name):
    found = {job.name: job.verdict for job in read_all_jobs(Filters()).jobs}
    return found[name].level


def test_with_nothing_kept_and_jobs_of_pg_crons_to_judge_it_asks_12_times(
    viewer, owner, pg_cron, settings
):
    scenarios.healthy(owner)
    pg_cron.execute("GRANT USAGE ON SCHEMA cron TO multica_view")
    pg_cron.execute("GRANT SELECT ON cron.job TO multica_view")
    schedule(pg_cron, owner="multica_view")
    settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
    try:
        with CaptureQueriesContext(connections["multica"]) as asked:
            show(viewer)
    finally:
        pg_cron.execute("REVOKE ALL ON SCHEMA cron FROM multica_view")
        pg_cron.execute("REVOKE ALL ON cron.job FROM multica_view")
    assert any("cron.job" in query["sql"] for query in asked)
    assert len(asked) <= 12


def test_every_job_is_there_with_its_newest_plans_the_newest_last(owner, now):
    made = [plan(owner, now, 5 * n) for n in range(1, 20)]
    plan(owner, now, 10, job_name="a")
    first, rollup = read_all_jobs(Filters()).jobs
    assert (first.name, rollup.name) == ("a", "rollup_task_usage_hourly")
    shown = [cell.plan.id for cell in rollup.plans]
    assert shown == [row["id"] for row in reversed(made[: jobs.SHOWN_PLANS])]
    assert rollup.is_regular
    assert not first.is_regular


@pytest.mark.parametrize("world", scenarios.WORLDS)
def test_the_rollups_verdict_is_the_overviews_and_that_of_checkrollup(owner, world):
    scenarios.WORLDS[world](owner)
    overview = read_overview().verdict
    assert assess(read_facts()).verdict.level is overview.level
    shown = [job.verdict for job in read_all_jobs(Filters()).jobs if job.is_regular]
    assert shown == ([] if world in {"fresh", "never_ran"} else [overview])


def scopes(count, halted=0, **columns):
    """A plan for each scope, minutes old; some failed for good."""
    return [
        {"age": n, "scope_id": f"s{n}"} | ({"exhausted": True} if n < halted else columns)
        for n in range(count)
    ]


def in_turn(*plans):
    """Plans of one scope, a quarter of an hour apart, the newest first."""
    return [{"age": 15 * n + 5} | columns for n, columns in enumerate(plans)]


GOOD, RETRIED, FAILED, FOR_GOOD = {}, {"retried": True}, {"failed": True}, {"exhausted": True}
MIXES = {
    "all is well": (scopes(20), "healthy"),
    "one scope in twenty halted": (scopes(20, halted=1), "healthy"),
    "three scopes in twenty halted": (scopes(20, halted=3), "degraded"),
    "every scope halted": (scopes(20, halted=20), "failing"),
    "its only scope halted": (in_turn(FOR_GOOD, GOOD), "degraded"),
    "nothing ever succeeded": (in_turn(FOR_GOOD, FOR_GOOD), "failing"),
    "halted and well again": (in_turn(GOOD, FOR_GOOD), "healthy"),
    "being retried": (in_turn(FAILED, GOOD), "healthy"),
    "two in eight given up": (in_turn(GOOD, FAILED, GOOD, FAILED, *[GOOD] * 4), "degraded"),
    "six of twelve retried": (in_turn(*[GOOD, RETRIED] * 6), "degraded"),
    "five of twelve retried": (in_turn(*[GOOD, RETRIED] * 5), "healthy"),
    "quiet for three days": ([{"age": 60 * 24 * 3}], "healthy"),
    "many scopes, quiet for two days": (
        [{"age": 60 * 48, "scope_id": f"s{n}"} for n in range(3)],
        "healthy",
    ),
    "it runs": (in_turn({"running": True}, GOOD), "healthy"),
    "a lease over for half a minute": (in_turn({"lease": 0.5}, GOOD), "healthy"),
    "a lease over for two minutes": (in_turn({"lease": 2}, GOOD), "failing"),
    "a lease over for hours": (in_turn(GOOD, {"lease": 180}), "healthy"),
}


@pytest.mark.parametrize(("plans", "expected"), MIXES.values(), ids=list(MIXES))
def test_any_other_job_is_judged_as_checkrollup_judges_it(owner, plans, expected):
    moment = database_now(owner)
    for one in plans:
        columns = dict(one)
        if "lease" in columns:
            over = moment - columns.pop("lease") * MINUTE
            columns |= {"running": True, "stale_after": over}
        plan(owner, moment, columns.pop("age"), job_name="pilot", **columns)
    plan(owner, moment, 1, job_name="another", exhausted=True)
    assert verdict("pilot") == expected
    assert assess_job("pilot").verdict.level == expected


def test_an_irregular_job_shows_executions_and_no_gaps(viewer, owner, now):
    plan(owner, now, 10, job_name="pilot", scope_kind="trigger", scope_id="one")
    plan(owner, now, 300, job_name="pilot", scope_kind="trigger", scope_id="two")
    shown = text(show(viewer))
    assert "nothing is said about gaps" in shown
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
    plan(owner, now, 5, job_name="other")
    with cut_off("-- What ended lately"):
        shown = text(show(viewer))
    assert "The database took too long" in shown
    assert "rollup_task_usage_hourly" in shown
    assert "What came of it could not be looked at" in shown
    assert "Ended in 24 h" not in shown


def test_scopes_that_take_too_long_to_find_are_not_said_to_be_none(viewer, owner, now):
    plan(owner, now, 5, job_name="other")
    with cut_off("-- The first scopes of each job"):
        shown = text(show(viewer))
    assert "The database took too long" in shown
    assert "0 scopes" not in shown
    assert "Ended in 24 h 1" in shown


def test_a_job_beyond_the_first_names_is_there_when_it_is_named(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(table, "MOST_JOBS", 2)
    for name in ("a", "b", "c", "zebra"):
        plan(owner, now, 5, job_name=name)
    plan(owner, now, 5)
    html = show(viewer)
    assert "The first 3 jobs" not in text(html)
    assert "Only 3 jobs are shown, the first by name; there may be more." in text(html)
    assert [job.name for job in read_all_jobs(Filters()).jobs] == [
        "a",
        "b",
        "rollup_task_usage_hourly",
    ]
    named = text(show(viewer, "?job=zebra"))
    assert "Ended in 24 h 1" in named
    assert "there may be more" not in named
    assert "The table has no execution of this job" in show(viewer, "?job=gone")


def test_a_refresh_brings_a_sentence_that_says_something_else(viewer, owner, now):
    """The level stays, and so does every row of the job's: only the watermark moves."""
    scenarios.healthy(owner)
    before = read_all_jobs(Filters())
    snapshots.forget()
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = watermark_at + interval '61 s'"
    )
    after = read_all_jobs(Filters())
    levels = [[job.verdict.level for job in read.jobs] for read in (before, after)]
    assert levels[0] == levels[1]
    assert before.version != after.version


def test_the_mere_passing_of_time_changes_no_sentence():
    moment = datetime(2026, 11, 24, 12, tzinfo=UTC)
    one, other = (
        together(
            say("Stops at %(at)s.", at=At(moment, now)),
            say("%(ago)s, for %(span)s.", ago=Ago(moment, now), span=now - moment),
        )
        for now in (moment + MINUTE, moment + timedelta(days=2))
    )
    assert str(one) != str(other)
    assert one.still() == other.still()
