"""A job whose host is not known to be Multica's server is not called redundant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from psycopg import sql

from executions.database.connections import Connection
from executions.health.assessment import assess
from executions.health.read import read_facts
from tests.retiring import acting_as, lay_plans, pg_cron, role, schedule

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def verdict() -> str:
    return str(assess(read_facts()).verdict.summary)


@pytest.mark.parametrize(("column", "value"), [("nodename", "db2.example.com"), ("nodeport", 6543)])
def test_the_verdict_does_not_offer_to_remove_a_job_of_an_unknown_host(
    owner: Connection, pg_cron: Connection, column: str, value: object
) -> None:
    lay_plans(owner)
    jobid = schedule(pg_cron)
    assert f"pg_cron job {jobid} repeats the work and can be removed" in verdict()
    change = sql.SQL("UPDATE cron.job SET {} = %s").format(sql.Identifier(column))
    pg_cron.execute(change, [value])
    said = verdict()
    assert "can be removed" not in said
    assert f"pg_cron job {jobid} calls rollup_task_usage_hourly() on " in said
    assert f"{value}" in said
    assert "which is not known to be this server" in said
    (call,) = read_facts().rollup_calls
    assert not call.repeats


def test_jobs_that_only_another_role_sees_are_known_by_their_host_too(
    owner: Connection, pg_cron: Connection, acting_as: Callable[[str], None]
) -> None:
    lay_plans(owner)
    acting_as("postgres")
    jobid = schedule(pg_cron)
    assert f"pg_cron job {jobid} repeats the work and can be removed" in verdict()
