"""`manage.py checkretirement`: its object, its sentences and its exit statuses."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from executions.models.retirement import Retirement
from executions.retirement.report import NOTHING, REFUSED, RETIRABLE, UNKNOWN
from tests.inventories import MAY_LOOK, SEES_ALL, run
from tests.retiring import ROLLUP, acting_as, jobs, lay_plans, pg_cron, role, schedule
from tests.rights import let_read

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

GATES = {
    "visible", "privileged", "may_deactivate", "loaded", "same_database", "command_matches",
    "success_streak", "backend_runner", "watermark_advancing", "no_critical_findings",
    "no_run_in_flight",
}  # fmt: skip


def test_checkretirement_gives_the_object_of_the_interface(owner, pg_cron, capsys):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    status, said = run(capsys, "--json")
    told = json.loads(said)
    assert status == RETIRABLE
    [candidate] = told.pop("candidates")
    assert told == {
        "retirable": True,
        "visibility": "full",
        "extension": {
            "installed": True,
            "version": "1.4-1",
            "database": "multica",
            "launcher": "running",
        },
        "other_workloads": 0,
    }
    gates = candidate.pop("gates")
    assert candidate == {
        "jobid": jobid,
        "jobname": "rollup_task_usage_hourly",
        "owner": "multica",
        "database": "multica",
        "schedule": "1 1 1 1 *",
        "command": ROLLUP,
        "active": True,
        "match": "exact",
        "retirable": True,
        "trial": True,
        "by_hand": False,
        "earliest": None,
    }
    assert {gate["code"] for gate in gates} == GATES
    assert all(set(gate) == {"code", "passed", "summary", "evidence"} for gate in gates)
    assert set(jobs(pg_cron)) == {jobid}


def test_checkretirement_says_that_it_is_refused_and_when_it_can_pass(owner, pg_cron, capsys):
    lay_plans(owner, status=lambda back: None if back == 4 else "SUCCESS")
    schedule(pg_cron)
    status, said = run(capsys, "--json")
    [candidate] = json.loads(said)["candidates"]
    assert status == REFUSED
    assert candidate["earliest"].endswith("Z")
    assert not candidate["retirable"]


def test_checkretirement_says_that_there_is_nothing_only_where_it_sees_all(
    pg_cron, capsys, acting_as
):
    assert run(capsys)[0] == NOTHING
    for name, said in (("multica", "may not see other owners"), ("multica_view", "not the same")):
        acting_as(name)
        status, text = run(capsys)
        assert status == UNKNOWN
        assert said in text


def test_checkretirement_can_be_asked_about_one_job(owner, pg_cron, capsys):
    lay_plans(owner)
    one, other = schedule(pg_cron), schedule(pg_cron, name="two", command=f"{ROLLUP}; SELECT 1")
    assert run(capsys, "--jobid", str(one))[0] == RETIRABLE
    status, text = run(capsys, "--jobid", str(other))
    assert status == REFUSED
    assert f"SELECT cron.unschedule({other});" in text
    assert run(capsys, "--jobid", "4711")[0] == NOTHING


def test_checkretirement_cannot_tell_when_the_database_is_away(pg_cron, capsys, settings):
    settings.RETIRE_CONNINFO = {"host": "/nowhere", "dbname": "multica"}
    status, said = run(capsys, "--json")
    told = json.loads(said)
    assert status == UNKNOWN
    assert (told["visibility"], told["candidates"]) == ("unknown", [])
    assert told["other_workloads"] is None
    status, text = run(capsys)
    assert "We cannot tell" in text


@pytest.fixture
def unreadable(owner):
    """The dashboard's role may not read the plans while the test runs."""
    owner.execute("REVOKE SELECT ON sys_cron_executions FROM multica_view")
    yield
    let_read(owner)


@pytest.mark.usefixtures("unreadable")
def test_checkretirement_cannot_tell_where_the_plans_cannot_be_read(pg_cron, capsys):
    first, second = schedule(pg_cron), schedule(pg_cron, name="two")
    status, text = run(capsys)
    assert status == UNKNOWN
    for jobid in (first, second):
        assert re.search(rf"\({jobid}, .*\): nobody can tell whether it can be retired", text)
    assert text.count("This cannot be judged.") == 1
    assert text.count("Let an administrator run the statements") == 1
    status, said = run(capsys, "--json")
    assert status == UNKNOWN
    for candidate in json.loads(said)["candidates"]:
        assert {gate["code"] for gate in candidate["gates"]} == GATES
        assert not candidate["retirable"]


@pytest.mark.usefixtures("unreadable")
def test_checkretirement_refuses_what_another_gate_refuses_without_the_plans(pg_cron, capsys):
    schedule(pg_cron, command=f"{ROLLUP}; SELECT 1")
    status, text = run(capsys)
    assert status == REFUSED
    assert "cannot be retired now" in text


@pytest.mark.usefixtures("unreadable")
def test_checkretirement_does_not_refuse_a_removal_for_the_trial_alone(
    pg_cron, capsys, role, acting_as
):
    """A role that may remove another owner's job need not be one that may pause it."""
    rights = (
        "GRANT SELECT, DELETE ON cron.job TO {role}",
        "GRANT SELECT ON cron.job_run_details TO {role}",
    )
    removes_all = "CREATE POLICY removes_all ON cron.job FOR DELETE TO {role} USING (true)"
    schedule(pg_cron)
    acting_as(role("remover", MAY_LOOK, SEES_ALL, removes_all, *rights))
    status, text = run(capsys)
    assert "- may_deactivate" in text
    assert status == UNKNOWN


def test_checkretirement_names_the_database_that_has_the_extension(capsys, settings):
    settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "dbname": "postgres"}
    status, text = run(capsys)
    assert status == UNKNOWN
    assert "multica: set RETIRE_DATABASE_URL" in text


def test_checkretirement_without_our_own_tables_cannot_tell_and_says_so_in_a_sentence(
    owner, pg_cron, capsys, monkeypatch
):
    schedule(pg_cron)
    monkeypatch.setattr(Retirement._meta, "db_table", "no_such_table")
    status, text = run(capsys)
    assert status == UNKNOWN
    assert "no_such_table" in text


@pytest.mark.parametrize("how", [(), ("--json",)])
@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (("--jobid", "abc"), {}, "--jobid"),
        ((), {"RETIREMENT_STREAK": "abc"}, "RETIREMENT_STREAK"),
        ((), {"RETIRE_DATABASE_URL": "nonsense://"}, "RETIRE_DATABASE_URL"),
    ],
)
def test_checkretirement_says_nothing_on_stdout_of_what_it_was_given_wrongly(
    how, arguments, variables, named
):
    """It exits 2 as for nothing to retire; an empty stdout is how a monitor tells them apart."""
    done = subprocess.run(
        [sys.executable, "manage.py", "checkretirement", *how, *arguments],
        cwd=Path(__file__).parents[2],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (NOTHING, "")
    assert named in done.stderr


def test_checkretirement_says_on_stdout_that_there_is_nothing(pg_cron, capsys):
    status, said = run(capsys)
    assert (status, said) == (NOTHING, "No job leads to the rollup.\n")
    status, said = run(capsys, "--json")
    assert (status, json.loads(said)["candidates"]) == (NOTHING, [])
