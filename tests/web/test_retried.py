"""All pages agree on whether a FAILED row with attempts left is tried again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from executions.health.assessment import assess
from executions.health.findings import FindingCode
from executions.health.read import read_facts
from executions.pages.history.errors import AfterFailure, read_errors
from executions.pages.history.execution import read_execution
from executions.pages.history.filters import Filters
from executions.pages.history.jobs import read_all_jobs
from executions.pages.history.plans import read_plans
from executions.pages.history.rows_of_export import start_export
from executions.pages.overview.reader import read_overview
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import newest_due
from executions.scheduler.states import ExecutionState
from tests.factories import ExecutionFactory
from tests.scenarios import database_now

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

CADENCE = ROLLUP.cadence
JOB_OF_MULTICA = "autopilot_schedule_dispatch"


def failed(owner, buckets, **columns):
    """The newest plan of its scope, so many buckets before the newest due plan. It failed once."""
    newest = newest_due(ROLLUP, database_now(owner))
    return ExecutionFactory(
        connection=owner,
        plan_time=newest - buckets * CADENCE,
        failed=True,
        next_retry_at=newest - buckets * CADENCE + timedelta(minutes=6),
        **columns,
    )


def states(row):
    """What each selector makes of the row: by the name of its page."""
    (job,) = (one for one in read_all_jobs(Filters()).jobs if one.name == row["job_name"])
    (group,) = read_errors(Filters(job=row["job_name"])).groups
    (exported,) = next(start_export(Filters(job=row["job_name"])).pages())
    detail = read_execution(row["id"])
    found = {
        "plans": read_plans(Filters()).rows[0].state,
        "jobs, a scope": job.scopes[0].state,
        "jobs, a plan": job.plans[-1].state,
        "errors": ExecutionState.RETRYING
        if group.failures[0].outcome is AfterFailure.RETRYING
        else ExecutionState.FAILED,
        "execution": detail.row.state,
        "its next moment": ExecutionState.RETRYING
        if detail.moments[-1].title == "Next retry"
        else ExecutionState.FAILED,
        "export": ExecutionState(exported["state"]),
    }
    for narrowed in ({}, {"job": row["job_name"]}):
        rows = read_plans(Filters(status=ExecutionState.RETRYING, **narrowed)).rows
        found[f"the filter {narrowed}"] = ExecutionState.RETRYING if rows else ExecutionState.FAILED
    return found


@pytest.mark.parametrize(
    ("columns", "buckets", "expected"),
    [
        # One bucket ahead stays the newest due one even if a bucket ends while the test runs.
        ({}, -1, ExecutionState.RETRYING),
        ({}, 1, ExecutionState.FAILED),
        ({}, 8, ExecutionState.FAILED),
        ({"job_name": JOB_OF_MULTICA}, 8, ExecutionState.RETRYING),
    ],
)
def test_every_page_says_the_same_of_one_row(owner, columns, buckets, expected):
    row = failed(owner, buckets, **columns)
    found = states(row)
    assert found == dict.fromkeys(found, expected)


@pytest.mark.parametrize(("buckets", "given_up"), [(-1, False), (8, True)])
def test_the_overview_and_its_finding_say_so_too(owner, buckets, given_up):
    failed(owner, buckets)
    codes = {one.code for one in assess(read_facts()).verdict.findings}
    overview = read_overview()
    assert (FindingCode.PLAN_ABANDONED in codes) == given_up
    assert overview.recent[0].state == (
        ExecutionState.FAILED if given_up else ExecutionState.RETRYING
    )


def test_what_is_not_tried_again_is_not_called_a_retry_that_is_overdue(viewer, owner):
    row = failed(owner, 8)
    shown = viewer.get(f"/executions/{row['id']}/").content.decode()
    assert "Next retry" not in shown
    assert "The time for a retry is over" in shown
    errors = re.sub(r"<[^>]+>", " ", viewer.get("/errors/").content.decode())
    assert "1 not tried again" in errors
