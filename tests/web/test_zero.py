"""Usage shows zero: the page and ``manage.py diagnose`` say the same, in words and as JSON."""

import json
import re
from datetime import datetime
from html import unescape

import pytest

from executions.demo.gallery import SCENARIOS, played
from executions.demo.rows import usage
from executions.demo.stage import Stage
from executions.demo.worlds import database_now
from executions.demo.zeros import MINUTE, all_is_well, first_usage, passed_by
from executions.health import snapshots
from executions.health.diagnosis.look import CauseCode
from executions.management import looking
from multica_admin.cluster import ClusterError
from tests.commands import run_command
from tests.near_misses import hidden
from tests.waiting import let_a_near_plan_come_due
from tests.zero_worlds import ZEROS

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

QUESTIONS = [
    "right_database", "raw_usage", "tasks_reported_none", "runtimes", "runtime_deleted", "buckets",
    "scheduler_installed", "scheduler_runs", "watermark_moves", "blocked", "only_recent",
    "one_workspace",
]  # fmt: skip

OF_CAUSES = [
    (one, code) for one in SCENARIOS.values() for code in one.codes if isinstance(code, CauseCode)
]


def text(answer):
    """What a reader sees, in one line."""
    shown = re.sub(r"<[^>]+>", "", answer.content.decode())
    return re.sub(r"\s+", " ", unescape(shown)).strip()


def told():
    done = run_command("diagnose", "--json")
    return done.status, json.loads(done.said)


def test_each_scenario_shows_its_cause_and_no_other(viewer, owner, superuser, connect):
    """By page and command, also when its world was written again. One database for all of them."""
    let_a_near_plan_come_due(owner)
    for scenario, cause in OF_CAUSES:
        with played(scenario, Stage(owner, superuser, connect)) as lay:
            lay()
            lay()
            if scenario.cause:  # the demo's week, which the others remove
                usage(owner, database_now(owner) - 2 * MINUTE)
            snapshots.forget()
            page = viewer.get("/rollup/zero/")
            status, said = told()
        assert page.context["zero"].cause.code is cause, scenario.name
        assert said["cause"] == cause
        shown = text(page)
        assert str(page.context["zero"].cause.title) in shown
        is_there = cause in {CauseCode.USAGE_IS_THERE, CauseCode.TOO_RECENT}
        assert (status == 0) is is_there
        is_wrong = not is_there and cause is not CauseCode.CANNOT_TELL
        assert (f"bin/run --scenario {scenario.name}" in shown) is is_wrong
        if cause not in {CauseCode.OTHER_SCHEMA, CauseCode.CANNOT_TELL}:
            assert [one.code for one in page.context["zero"].questions] == QUESTIONS


def test_json_has_the_documented_shape(owner):
    passed_by(owner)
    status, said = told()
    assert status == 1
    assert said.keys() == {
        "cause", "summary", "finding", "verdict", "checked_at", "questions", "next_step",
    }  # fmt: skip
    assert said["verdict"] == "degraded"  # the hour that was passed by is drift
    assert datetime.fromisoformat(said["checked_at"]).tzinfo
    assert [one["code"] for one in said["questions"]] == QUESTIONS
    for one in said["questions"]:
        assert one.keys() == {"code", "question", "answer", "summary", "evidence", "sql"}
        assert one["answer"] in {"yes", "no", "unknown"}
        assert one["summary"]
    steps = said["next_step"]["steps"]
    assert said["next_step"].keys() == {"summary", "steps"}
    assert any("backfill_task_usage_hourly" in step["commands"]["here"] for step in steps)


def test_the_text_says_cause_answers_and_next_step(owner):
    all_is_well(owner)
    done = run_command("diagnose")
    assert done.status == 0
    lines = done.said.splitlines()
    assert lines[0].startswith("usage_is_there: It is there:")
    assert any(line.startswith("Is there raw usage? yes: ") for line in lines)
    assert any(line.startswith("Next step: Look at") for line in lines)
    assert "SELECT" not in done.said
    assert "SELECT created_at AS newest" in run_command("diagnose", "--sql").said


def test_what_cannot_be_read_exits_with_3(owner):
    all_is_well(owner)
    with hidden(owner, "task_usage_hourly_rollup_state"):
        status, said = told()
    assert (status, said["cause"]) == (3, "cannot_tell")
    assert said["next_step"]["summary"]


def test_a_dashboard_that_is_not_started_exits_with_3(monkeypatch, owner):
    def not_started():
        raise ClusterError("No embedded PostgreSQL runs here.")

    monkeypatch.setattr(looking, "ensure_running", not_started)
    status, said = told()
    assert (status, said["cause"]) == (3, "cannot_tell")
    assert "No embedded PostgreSQL runs here." in said["summary"]


def test_the_page_shows_the_statement_behind_an_answer(viewer, owner):
    passed_by(owner)
    page = viewer.get("/rollup/zero/").content.decode()
    assert "SELECT created_at AS newest" in unescape(page)
    assert "backfill_task_usage_hourly" in page
    assert 'href="/rollup/zero/" aria-current="page"' in page


def test_usage_that_is_there_looks_as_the_verdict_does(viewer, owner):
    with ZEROS["nothing_waits"].made(owner):
        page = viewer.get("/rollup/zero/")
        status, said = told()
    assert (status, said["cause"], said["verdict"]) == (0, "usage_is_there", "failing")
    assert page.context["zero"].word == "failing"
    assert "the verdict on the rollup is failing" in text(page)


@pytest.mark.parametrize("changed_at", ["infinity", "20000-01-01"])
def test_usage_that_changes_in_the_far_future_is_said_to_be_so(viewer, owner, changed_at):
    first_usage(owner)
    owner.execute("UPDATE task_usage SET updated_at = %s::timestamptz", [changed_at])
    shown = text(viewer.get("/rollup/zero/"))
    assert "dated a time after the year 9999, which is in the future" in shown
    assert told()[0] == 0


def test_a_finding_leads_to_its_explanation(viewer, owner):
    with ZEROS["stopped"].made(owner):
        page = viewer.get("/rollup/zero/").content.decode()
    assert 'href="/explain/latest_stale/"' in page
