"""Every query of every history page on 200,000 rows uses an index and reads few rows.

The test catches a page's queries, has PostgreSQL explain them as they really run, and compares them
with docs/contract.md section 2: no sequential scan of the table, at most 5,000 of its rows.
"""

from __future__ import annotations

import hashlib
import uuid
from types import SimpleNamespace

import psycopg
import pytest
from django.db import connections

from executions.models import Execution
from executions.pages.history import errors, execution, jobs, plans, runners
from executions.pages.history import rows_of_export as export
from executions.pages.history.filters import parse
from tests.big_table import SCOPES, big_table, explaining

__all__ = ["big_table"]

pytestmark = [
    pytest.mark.django_db(databases=["default", "multica"], transaction=True),
    pytest.mark.usefixtures("big_table"),
]

MOST_ROWS = 5_000
MOST_QUERIES = 12
ROLLUP = "job=rollup_task_usage_hourly"
DISPATCH = "job=autopilot_schedule_dispatch"
SCOPE = f"scope=autopilot_trigger/{uuid.UUID(hashlib.md5(b'scope7').hexdigest())}"

NARROWED = [
    "",
    ROLLUP,
    DISPATCH,
    f"{ROLLUP}&scope=global/global",
    f"{DISPATCH}&{SCOPE}",
    SCOPE,
    "job=nothing_like_it",
    "since=2026-01-01",
    "until=2030-01-01",
    f"{ROLLUP}&since=2026-01-01",
    "runner=runner-1",
    "runner=nobody",
    "error=handler_error",
    "q=connection",
    "q=nothing+like+it",
    f"{ROLLUP}&q=nothing+like+it",
    f"{DISPATCH}&runner=nobody&error=none",
]
STATUSES = ["", "status=RUNNING", "status=STALE", "status=SUCCESS", "status=FAILED"]
QUERIES = sorted(
    {
        "&".join(part for part in (narrowed, status) if part)
        for narrowed in NARROWED
        for status in (*STATUSES, "status=RETRYING")
    }
)


def check(asked):
    assert asked, "the page asked nothing"
    assert len(asked) <= MOST_QUERIES
    for one in asked:
        assert not one.reads_it_all, one.sql
        assert one.rows_read <= MOST_ROWS, (one.rows_read, one.sql)


@pytest.mark.parametrize("query", QUERIES)
def test_a_page_of_plans_and_the_pages_around_it(query):
    filters = parse(query)
    with explaining() as asked:
        first = plans.read_plans(filters)
        plans.form(SimpleNamespace(htmx=False), filters, first)
    check(asked)
    if first.page.older is None:
        return
    with explaining() as asked:
        second = plans.read_plans(filters.at(first.page.older))
    check(asked)
    with explaining() as asked:
        plans.read_plans(filters.at(second.page.newer))
    check(asked)


@pytest.mark.parametrize("query", [ROLLUP, f"{ROLLUP}&runner=runner-1", f"{DISPATCH}&{SCOPE}"])
def test_the_plans_of_one_scope_come_as_the_index_has_them(query):
    """A sort reads the whole scope if the planner thinks that it is small, and it often does."""
    with explaining() as asked:
        plans.read_plans(parse(query))
    (rows,) = (one for one in asked if "LIMIT 51" in one.sql)
    assert not rows.sorts


@pytest.mark.parametrize("job", ["rollup_task_usage_hourly", "autopilot_schedule_dispatch"])
@pytest.mark.parametrize("status", ["SUCCESS", "FAILED"])
def test_one_execution(job, status):
    found = Execution.objects.filter(job_name=job, status=status).order_by("-plan_time")[3]
    with explaining() as asked:
        assert execution.read_execution(found.id).row.execution == found
    check(asked)


@pytest.mark.parametrize("query", ["", ROLLUP, DISPATCH, f"{DISPATCH}&{SCOPE}", "runner=runner-1"])
@pytest.mark.parametrize("window", ["24h", "7d"])
def test_the_runners(query, window):
    filters = parse(query, {"window": [window]}).choosing(window=window)
    with explaining() as asked:
        runners.read_runners(filters)
    check(asked)


@pytest.mark.parametrize("query", ["", ROLLUP, DISPATCH, f"{DISPATCH}&{SCOPE}", "q=lost"])
@pytest.mark.parametrize("window", ["24h", "7d", "30d"])
def test_the_errors(query, window):
    filters = parse(query, {"window": [window]}).choosing(window=window)
    with explaining() as asked:
        assert errors.read_errors(filters).groups or query
    check(asked)


@pytest.mark.parametrize("query", ["", ROLLUP, DISPATCH])
def test_the_jobs(query):
    with explaining() as asked:
        found = jobs.read_all_jobs(parse(query))
    check(asked)
    assert found.jobs


def test_a_job_of_thousands_of_scopes_shows_the_first_of_them():
    (job,) = jobs.read_all_jobs(parse(DISPATCH)).jobs
    assert SCOPES > len(job.scopes) == jobs.SHOWN_SCOPES
    assert job.more_scopes


@pytest.mark.parametrize("query", ["", ROLLUP, "status=FAILED", "q=nothing+like+it"])
def test_each_page_of_an_export(query):
    with explaining() as asked:
        started = export.start_export(parse(query))
        pages = started.pages()
        for _number in range(3):
            next(pages, None)
    for one in asked:
        assert not one.reads_it_all, one.sql
        assert one.rows_read <= MOST_ROWS, (one.rows_read, one.sql)


@pytest.mark.parametrize("statement", ["SET statement_timeout = '5s'", "TABLE nothing_like_it"])
def test_a_statement_that_cannot_be_explained_does_not_go_unseen(statement):
    with explaining(), pytest.raises(psycopg.Error), connections["multica"].cursor() as cursor:
        cursor.execute(statement)
