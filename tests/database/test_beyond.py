"""A time that Python cannot hold is named, in every column, and everything else stays readable."""

from __future__ import annotations

import json

import psycopg
import pytest
from django.core.management import call_command

from executions.database.problems import diagnose
from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.health.assessment import as_json, assess
from executions.health.findings import FindingCode, Severity
from executions.health.read import read_facts
from executions.health.verdict import Level
from executions.pgcron.inventory import read_inventory
from executions.rollup.watermark import read_watermark
from executions.text.beyond import FAR_FUTURE, FAR_PAST
from tests import scenarios
from tests.factories import usage
from tests.retiring import pg_cron, schedule
from tests.scenarios import fetch_in, still_moment

__all__ = ["pg_cron"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

BEYOND = ["infinity", "-infinity", "0044-03-15 12:00:00+00 BC", "12026-01-01 00:00:00+00"]
EXECUTION_COLUMNS = [
    "plan_time",
    "next_retry_at",
    "heartbeat_at",
    "stale_after",
    "started_at",
    "finished_at",
]


@pytest.fixture
def world(owner):
    return scenarios.healthy(owner, still_moment(owner))


def look(world):
    return assess(read_facts(fetch=fetch_in(world)))


def severities(assessment):
    return {one.code: one.severity for one in assessment.verdict.findings}


def named(assessment) -> str:
    (found,) = [
        one
        for one in assessment.verdict.findings
        if one.code is FindingCode.CLOCK_OR_FOREIGN_WRITER
    ]
    assert found.severity is Severity.WARNING
    return f"{found.summary} {found.advice}"


@pytest.mark.parametrize("on_alias", [True, False], ids=["dashboard", "plain connection"])
@pytest.mark.parametrize("value", BEYOND)
def test_a_time_beyond_the_calendar_is_read_as_its_end(owner, connect, value, on_alias):
    fetch = fetch_for_dashboard if on_alias else fetch_on(connect("multica_view"))
    (row,) = fetch("SELECT %(value)s::timestamptz AS at, now() AS now", {"value": value})
    assert row["at"] == (FAR_PAST if value in BEYOND[1:3] else FAR_FUTURE)
    assert FAR_PAST < row["now"] < FAR_FUTURE


@pytest.mark.parametrize("value", BEYOND)
@pytest.mark.parametrize("column", EXECUTION_COLUMNS)
def test_a_row_with_such_a_time_is_named_and_costs_no_other_finding(owner, world, column, value):
    owner.execute(
        f"UPDATE sys_cron_executions SET {column} = %s WHERE plan_time = %s",
        [value, world.plan_time(5)],
    )
    assessment = look(world)
    assert assessment.facts.unreadable == {}
    assert severities(assessment).keys() <= {
        FindingCode.CLOCK_OR_FOREIGN_WRITER,
        FindingCode.PLAN_GAP,
    }
    assert assessment.verdict.level is Level.DEGRADED
    said = named(assessment)
    assert f"sys_cron_executions.{column}" in said
    select = said[said.index("SELECT") :].split(";")[0]
    assert owner.execute(select).rowcount == 1
    json.dumps(as_json(assessment, world.now))


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("watermark_at", "infinity", FindingCode.WATERMARK_FUTURE),
        ("watermark_at", "12026-01-01 00:00:00+00", FindingCode.WATERMARK_FUTURE),
        ("watermark_at", "-infinity", FindingCode.WATERMARK_LAG),
        ("watermark_at", "0044-03-15 12:00:00+00 BC", FindingCode.WATERMARK_LAG),
        ("last_run_started_at", "infinity", None),
        ("last_run_finished_at", "-infinity", None),
    ],
)
def test_the_state_row_with_such_a_time_is_named(owner, world, column, value, code):
    owner.execute(f"UPDATE task_usage_hourly_rollup_state SET {column} = %s", [value])
    assessment = look(world)
    assert assessment.facts.unreadable == {}
    expected = {FindingCode.CLOCK_OR_FOREIGN_WRITER: Severity.WARNING}
    if code:
        expected[code] = Severity.CRITICAL
    assert severities(assessment) == expected
    said = named(assessment)
    assert f"task_usage_hourly_rollup_state.{column}" in said
    select = said[said.index("SELECT") :].split(";")[0]
    assert owner.execute(select).rowcount == 1


def test_a_watermark_without_end_is_told_in_words(owner, world):
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = 'infinity'")
    (future,) = [
        one for one in look(world).verdict.findings if one.code is FindingCode.WATERMARK_FUTURE
    ]
    assert "a time after the year 9999" in str(future.summary)
    assert "a time after the year 9999" in future.summary.html()


@pytest.mark.parametrize("value", BEYOND)
def test_where_such_a_time_cannot_be_read_its_table_is_named_with_the_statement(owner, value):
    """A runner reads with the driver's own loader, and its job stops at such a row."""
    scenarios.healthy(owner)
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = %s", [value])
    with pytest.raises(psycopg.DataError) as caught:
        read_watermark(owner)
    todo = diagnose(caught.value).todo
    statements = [f"SELECT{part}" for part in str(todo).split("SELECT")[1:]]
    shown = [owner.execute(one[: one.index(";")]).rowcount for one in statements]
    assert shown == [0, 1]
    assert "sys_cron_executions" in statements[0]
    assert "task_usage_hourly_rollup_state" in statements[1]


@pytest.mark.parametrize("value", BEYOND)
def test_the_queue_with_such_a_time_is_named(owner, world, value):
    usage(owner, world.now)
    owner.execute("DELETE FROM task_usage")
    owner.execute("UPDATE task_usage_hourly_dirty SET enqueued_at = %s", [value])
    said = named(look(world))
    assert "task_usage_hourly_dirty.enqueued_at" in said


@pytest.mark.parametrize("value", BEYOND)
def test_the_runs_of_a_job_with_such_times_are_shown(pg_cron, connect, value):
    jobid = schedule(pg_cron, owner="postgres")
    pg_cron.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, status, start_time, end_time)"
        " VALUES (%s, 1, 'succeeded', %s, %s)",
        [jobid, value, value],
    )
    inventory = read_inventory(fetch_on(pg_cron), fetch_for_dashboard)
    (candidate,) = inventory.candidates
    assert candidate.runs[0].started_at in {FAR_PAST, FAR_FUTURE}


@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize("value", BEYOND)
@pytest.mark.parametrize("column", ["created_at", "updated_at"])
def test_the_backfill_names_such_usage_leaves_it_out_and_does_the_rest(
    owner, capsys, column, value, dry
):
    scenarios.healthy(owner)
    now = scenarios.database_now(owner)
    usage(owner, now)
    odd = usage(owner, now)
    others = ", updated_at = NULL" if column == "created_at" else ""
    owner.execute(f"UPDATE task_usage SET {column} = %s{others} WHERE id = %s", [value, odd["id"]])
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = %s", [value])
    call_command("backfill_task_usage_hourly", "--dry-run" if dry else "--lock-timeout=60s")
    said = capsys.readouterr().out
    assert f"task_usage.{column}" in said
    assert "task_usage_hourly_rollup_state.watermark_at" in said
    select = said[said.index("SELECT") :].split(";")[0]
    assert owner.execute(select).rowcount == 1
    assert "1 month of usage" in said
    if not dry:
        assert "Done: usage is summed up to" in said
        assert owner.execute("SELECT FROM task_usage_hourly").rowcount == 1
