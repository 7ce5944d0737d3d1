"""``manage.py checkrollup`` gives the page's verdict in every state of the database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.core.management import call_command
from django.db import connections
from django.utils.translation import override

from executions.demo.worlds import PLANS
from executions.health import snapshots
from executions.health.other_jobs import assess_job
from executions.management import looking
from multica_admin.cluster import ClusterError
from tests import scenarios
from tests.factories import ExecutionFactory
from tests.rights import let_read
from tests.scenarios import database_now
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ROOT = Path(__file__).parents[2]
FIGURES = {
    "latest_success_age_seconds": (float, type(None)),
    "latest_plan_age_seconds": (float, type(None)),
    "watermark_lag_seconds": (float, type(None)),
    "last_run_age_seconds": (float, type(None)),
    "success_streak": int,
    "plans_expected_24h": int,
    "plans_missing_24h": int,
    "retried_24h": int,
    "failed_24h": int,
    "runners_24h": int,
    "p50_ms": (float, type(None)),
    "p95_ms": (float, type(None)),
}


def check(*arguments: str) -> SimpleNamespace:
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("checkrollup", *arguments, stdout=out)
    return SimpleNamespace(status=end.value.code, out=out.getvalue())


def test_people_read_their_language_and_programs_english(owner):
    scenarios.healthy(owner)
    english = check_json()
    with override("zh-hans"):
        chinese, programs = check(), check_json()
    assert chinese.out.startswith("healthy: 用量")
    assert programs.summary[:20] == english.summary[:20] == "Usage is up to date "


def check_json(*arguments: str) -> SimpleNamespace:
    done = check("--json", *arguments)
    return SimpleNamespace(status=done.status, **json.loads(done.out))


def assert_shape(done: SimpleNamespace) -> None:
    """Every name and type of docs/interfaces.md."""
    assert vars(done).keys() == {
        "status", "job", "verdict", "summary", "checked_at", "findings",
        "silences", "figures",
    }  # fmt: skip
    assert datetime.fromisoformat(done.checked_at).tzinfo is not None
    assert done.figures.keys() == FIGURES.keys()
    for name, types in FIGURES.items():
        assert isinstance(done.figures[name], types), name
    for finding in done.findings:
        assert_finding(finding)


def assert_finding(finding: dict) -> None:
    assert finding.keys() == {"code", "severity", "summary", "evidence", "advice", "explains"}
    assert finding["severity"] in {"info", "warning", "critical"}
    assert isinstance(finding["evidence"], dict)
    for explained in finding["explains"]:
        assert_finding(explained)


@pytest.mark.parametrize(
    ("world", "verdict", "status"),
    [
        (scenarios.healthy, "healthy", 0),
        (scenarios.gap, "degraded", 1),
        (scenarios.stopped, "failing", 2),
    ],
)
def test_the_exit_status_is_the_verdict(owner, world, verdict, status):
    world(owner)
    done = check_json()
    assert (done.verdict, done.status) == (verdict, status)
    assert done.job == "rollup_task_usage_hourly"
    assert_shape(done)


def test_the_verdict_is_that_of_the_page(owner):
    scenarios.stopped(owner)
    page = snapshots.take()
    done = check_json()
    assert (done.verdict, done.summary) == (page.verdict.level, str(page.verdict.summary))
    assert [finding["code"] for finding in done.findings] == [
        finding.code for finding in page.verdict.findings
    ]


def test_the_time_is_the_databases(owner):
    before = database_now(owner)
    checked_at = datetime.fromisoformat(check_json().checked_at)
    assert before <= checked_at <= database_now(owner)


def test_the_text_says_verdict_findings_and_what_to_do(owner):
    scenarios.stopped(owner)
    done = check()
    lines = done.out.splitlines()
    assert lines[0].startswith("failing: Usage numbers stop at ")
    assert lines[1].startswith("Checked at ")
    assert lines[3].startswith("critical latest_stale: ")
    assert lines[4] == "  First check that Multica's backend is running and reaches this database."
    assert lines[5].startswith("  critical watermark_lag: ")
    assert done.status == 2


@pytest.mark.parametrize("table", ["sys_cron_executions", "task_usage_hourly_rollup_state"])
def test_a_basic_that_may_not_be_read_is_unknown(owner, table):
    scenarios.healthy(owner)
    owner.execute(f"REVOKE SELECT ON {table} FROM multica_view")
    try:
        done = check_json()
    finally:
        let_read(owner)
    assert (done.verdict, done.status) == ("unknown", 3)
    assert done.findings[0]["code"] == "not_available"
    assert_shape(done)


def run_before_nothing(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own; no database answers it."""
    return subprocess.run(
        [sys.executable, "manage.py", "checkrollup", *arguments],
        cwd=ROOT,
        env=os.environ | {"DATABASE_URL": "host=/nowhere dbname=multica user=multica_view"},
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )


def test_a_database_that_is_away_is_unknown_in_words_and_in_json_without_a_traceback():
    """Each process waits its seconds for a connection, so they wait at the same time."""
    jobs = ("rollup_task_usage_hourly", "autopilot_schedule_dispatch")
    with ThreadPoolExecutor() as together:
        in_words = together.submit(run_before_nothing)
        as_json = [together.submit(run_before_nothing, "--json", "--job", job) for job in jobs]
    said = in_words.result()
    assert said.returncode == 3
    assert said.stdout.startswith("unknown: We cannot tell whether usage is up to date.")
    assert "Traceback" not in said.stdout + said.stderr
    for job, done in zip(jobs, (one.result() for one in as_json), strict=True):
        shown = SimpleNamespace(status=done.returncode, **json.loads(done.stdout))
        assert (shown.verdict, shown.status, shown.job) == ("unknown", 3, job)
        assert "cannot look" in shown.summary
        assert "Traceback" not in done.stderr
        assert_shape(shown)


def test_an_embedded_database_that_cannot_start_is_unknown(monkeypatch):
    def refuse() -> bool:
        raise ClusterError("No PostgreSQL was found.")

    monkeypatch.setattr(looking, "ensure_running", refuse)
    for arguments in ((), ("--job", "another")):
        done = check_json(*arguments)
        assert (done.verdict, done.status) == ("unknown", 3)
        assert "No PostgreSQL was found." in done.summary
        assert_shape(done)


def test_another_job_has_its_own_small_verdict(owner):
    started = database_now(owner)
    ExecutionFactory(
        connection=owner,
        job_name="autopilot_schedule_dispatch",
        scope_kind="autopilot_trigger",
        scope_id="one",
        plan_time=started,
        started_at=started,
    )
    done = check_json("--job", "autopilot_schedule_dispatch")
    assert (done.verdict, done.status) == ("healthy", 0)
    assert_shape(done)
    assert done.summary == str(assess_job("autopilot_schedule_dispatch").verdict.summary)


def test_a_job_that_nobody_knows_is_unknown():
    done = check_json("--job", "no such job")
    assert (done.verdict, done.status) == ("unknown", 3)
    assert_shape(done)


def test_looking_writes_nothing(owner):
    scenarios.healthy(owner)
    statements = []

    def note(execute, sql, params, many, context):
        statements.append(sql)
        return execute(sql, params, many, context)

    with connections["multica"].execute_wrapper(note):
        check()
    assert statements
    row = owner.execute("SELECT count(*) AS n FROM sys_cron_executions").fetchone()
    assert row["n"] == PLANS
