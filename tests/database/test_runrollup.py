"""`manage.py runrollup`: its lines, its exit statuses and its refusals."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import pytest
from django.test import override_settings

from executions.models import Runner as Row
from executions.scheduler import leases
from executions.scheduler.spec import HandlerError
from tests.retiring import pg_cron
from tests.runrollup import environment_conninfo, once, other_jobs
from tests.scheduling import execution, executions
from tests.short_jobs import job

__all__ = ["other_jobs", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

PLAN_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d[05]:00Z"


def test_once_runs_the_due_plan_and_prints_one_line_about_it(owner):
    lines, _said = once()
    row = execution(owner)
    assert re.fullmatch(
        rf"{PLAN_TIME} rollup_task_usage_hourly global/global WON SUCCESS 0 \d+", lines[0]
    )
    assert lines[1:] == ["This runner ran the plan."]
    assert lines[0].startswith(f"{row['plan_time']:%Y-%m-%dT%H:%M:%SZ}")
    assert (row["status"], row["runner_id"]) == ("SUCCESS", Row.objects.get().runner_id)
    assert Row.objects.get().kind == "command"


def test_once_is_content_when_another_runner_has_the_plan_and_says_so(owner):
    once("--runner-id", "first")
    lines, _said = once("--runner-id", "second")
    assert re.fullmatch(
        rf"{PLAN_TIME} rollup_task_usage_hourly global/global CONFLICT SUCCESS - -", lines[0]
    )
    assert lines[1] == "Another runner has this plan: first."


def test_once_is_content_when_a_failed_plan_waits_for_its_retry_and_says_so(owner, other_jobs):
    def fail(_context):
        raise HandlerError("no price list")

    other_jobs(job(handler=fail, cadence=timedelta(days=1), retry_backoff=(timedelta(hours=1),)))
    once("--runner-id", "first", expect=1)
    lines, _said = once("--runner-id", "second")
    assert " CONFLICT FAILED - -" in lines[0]
    assert lines[1] == "The plan failed and nothing is due for it now; its last runner was first."


def test_once_is_content_when_nothing_is_due_and_says_so(owner, other_jobs):
    other_jobs(job(planner=lambda spec, standing: []))
    assert once()[0] == ["- test_job global/global - - - -", "Nothing is due for test_job."]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_once_exits_with_2_where_a_planner_crashes_and_says_why(owner, other_jobs, arguments):
    def crash(_spec, _standing):
        raise LookupError("no plan")

    other_jobs(job(name="a", planner=crash), job(name="b"))
    lines, said = once(*arguments, expect=2)
    assert said == ("Nobody can tell what is due for a. The planner failed: LookupError: no plan.")
    assert not [line for line in lines if "Nothing is due" in line]
    assert execution(owner)["status"] == "SUCCESS"
    if arguments:
        assert json.loads(lines[0])["error_msg"] == "The planner failed: LookupError: no plan"
    else:
        assert lines[2:] == ["This runner ran the plan."]


def test_once_exits_with_2_where_a_tick_fails_and_says_why(owner, other_jobs, monkeypatch):
    def stumble(*_arguments):
        raise OverflowError("too far")

    monkeypatch.setattr(leases, "read_standings", stumble)
    other_jobs(job())
    _lines, said = once(expect=2)
    assert said == "The tick failed: OverflowError: too far."


def test_json_is_one_object_a_line_with_the_agreed_names(owner):
    (line,), _said = once("--json")
    report = json.loads(line)
    assert re.fullmatch(PLAN_TIME, report["plan_time"])
    assert (report["job"], report["scope"]) == ("rollup_task_usage_hourly", "global/global")
    assert (report["outcome"], report["status"], report["rows"]) == ("WON", "SUCCESS", 0)
    assert report["duration_ms"] == execution(owner)["duration_ms"]


def test_once_exits_with_1_when_the_handler_failed_and_says_why(owner, other_jobs):
    def fail(_context):
        raise HandlerError("no price list")

    other_jobs(job(handler=fail))
    lines, _said = once(expect=1)
    assert " WON FAILED - " in lines[0]
    assert lines[1] == "This runner ran the plan and it failed: no price list"


def test_only_the_job_that_is_named_is_run(owner, other_jobs):
    other_jobs(job(name="a"), job(name="b"))
    once("--job", "b")
    assert execution(owner)["job_name"] == "b"


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "soon", "3601"])
def test_an_impossible_tick_interval_is_refused_in_a_sentence(owner, interval):
    lines, said = once("--tick-interval", interval, expect=2)
    assert lines == []
    assert said.startswith(f"--tick-interval is {interval}; give a number")
    assert executions(owner) == []


def test_an_unknown_job_is_refused_by_name_with_the_known_ones(owner):
    _lines, said = once("--job", "nonsense", expect=2)
    assert "no job named 'nonsense'; the jobs are rollup_task_usage_hourly" in said


def test_an_empty_runner_id_is_refused(owner):
    _lines, said = once("--runner-id", " ", expect=2)
    assert "--runner-id is ' '" in said


def test_a_database_that_is_away_is_a_sentence(owner, tmp_path):
    with override_settings(RUNNER_CONNINFO={"host": str(tmp_path), "dbname": "x"}):
        _lines, said = once(expect=2)
    assert "cannot" in said or "connection" in said
    assert len(said.strip().splitlines()) == 1


def test_a_database_without_the_table_is_a_sentence_that_names_it(owner):
    with override_settings(RUNNER_CONNINFO=environment_conninfo() | {"dbname": "postgres"}):
        _lines, said = once(expect=2)
    assert "no table sys_cron_executions" in said
    assert "v0.3.17" in said
