"""What reads cost on 200,000 rows: no scan of the whole table, and at most 5,000 of its rows.

To hold another read to it, add a line to ``READS``: a name, and a call that sends its queries
through the dashboard's connection.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from hashlib import md5
from uuid import UUID

import pytest

from executions.database.reading import fetch_for_dashboard
from executions.health import snapshots
from executions.health.other_jobs import assess_job
from executions.health.read import SQL, execution_of, read_facts
from executions.pages.overview import reader as overview
from executions.pages.overview import week
from executions.scheduler import leases
from tests.big_table import big_table, explaining

__all__ = ["big_table"]

pytestmark = [
    pytest.mark.django_db(databases=["default", "multica"], transaction=True),
    pytest.mark.usefixtures("big_table"),
]

MOST_ROWS_READ = 5_000
ROLLUP = {
    "job": "rollup_task_usage_hourly",
    "scope_kind": "global",
    "scope_id": "global",
    "since": "2020-01-01",
    "most": 4_000,
}

SCOPES = (b"scope1", b"scope2")
STANDING = {
    "job_name": "autopilot_schedule_dispatch",
    "scope_kinds": ["autopilot_trigger"] * 2,
    "scope_ids": [str(UUID(hex=md5(scope, usedforsecurity=False).hexdigest())) for scope in SCOPES],
    "window": timedelta(days=1),
    "reentry": True,
    "most": None,
}


def week_of_the_overview() -> None:
    week.forget()
    snapshots.forget()
    assert overview.read_overview(overview.WEEK).strip


READS: dict[str, Callable[[], object]] = {
    "facts of the rollup": read_facts,
    "overview of a week": week_of_the_overview,
    "older executions": lambda: fetch_for_dashboard(
        SQL.newest_before, ROLLUP | {"since": "2100-01-01"}
    ),
    "where a job stands for two of many scopes": lambda: fetch_for_dashboard(
        leases.SQL.standing, STANDING
    ),
    "small verdict of the busiest job": lambda: assess_job("autopilot_schedule_dispatch"),
    "small verdict of an unknown job": lambda: assess_job("no such job"),
}


@pytest.mark.parametrize("read", READS.values(), ids=list(READS))
def test_a_read_fits_the_indexes_of_the_table(read):
    with explaining() as asked:
        read()
    assert asked
    for query in asked:
        assert not query.reads_it_all, query.sql
        assert query.rows_read <= MOST_ROWS_READ, (query.rows_read, query.sql)


def test_what_is_read_is_what_is_there():
    rows = fetch_for_dashboard(SQL.newest_before, ROLLUP | {"since": "2100-01-01"})
    assert execution_of(rows[0]).plan_time >= execution_of(rows[-1]).plan_time
    assert "SUCCESS" in {row["status"] for row in rows}
