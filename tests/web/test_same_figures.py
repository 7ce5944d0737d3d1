"""A figure of one job and the same 24 hours is the same on every page."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.health.assessment import assess
from executions.health.other_jobs import assess_job
from executions.health.read import read_facts
from executions.pages.history.filters import Filters
from executions.pages.history.jobs import read_all_jobs
from executions.pages.history.runners import read_runners
from executions.pages.overview.reader import read_overview
from executions.scheduler.jobs import ROLLUP
from tests import scenarios
from tests.factories import ExecutionFactory
from tests.scenarios import database_now

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize("job", [ROLLUP.name, "pilot"])
def test_durations_are_of_successes_and_every_later_attempt_was_retried(owner, job):
    now = database_now(owner).replace(second=0, microsecond=0)
    for age, columns in enumerate(
        (
            {"duration_ms": 100},
            {"duration_ms": 300, "retried": True},
            {"duration_ms": 90_000, "exhausted": True},
            {"duration_ms": 200},
        )
    ):
        plan_time = now - timedelta(hours=1) - age * 5 * MINUTE
        ExecutionFactory(connection=owner, job_name=job, plan_time=plan_time, **columns)
    (shown,) = read_all_jobs(Filters()).jobs
    (runner,) = read_runners(Filters(job=job)).tallies
    figures = (assess(read_facts()) if job == ROLLUP.name else assess_job(job)).figures
    assert shown.lately is not None
    assert (figures.retried_24h, figures.p50_ms, figures.p95_ms) == (2, 200, 290)
    assert (shown.lately.tried_again, shown.lately.p95_ms) == (2, 290)
    assert (runner.p50_ms, runner.p95_ms) == (200, 290)
    if job == ROLLUP.name:
        assert (read_overview().p50_ms, read_overview().p95_ms) == (200, 290)


def test_a_sound_day_has_as_many_plans_on_each_page(owner):
    scenarios.healthy(owner)
    ledger = read_overview().ledger
    assert ledger is not None
    begun = [cell for cell in ledger.cells if cell.execution]
    runners = read_runners(Filters())
    assert runners.since == ledger.cells[0].plan_time
    assert runners.plans == len(begun) == 288


def test_a_beginning_that_is_asked_for_is_kept_as_it_is(owner):
    scenarios.healthy(owner)
    since = database_now(owner) - timedelta(hours=2, seconds=7)
    assert read_runners(Filters(since=since)).since == since
