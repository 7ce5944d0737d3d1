"""Retiring a pg_cron job for good, with a real pg_cron: what works, and what is refused."""

from __future__ import annotations

import pytest

from executions.retirement import acts, wizard
from executions.retirement.acts import Order
from executions.retirement.refusals import Refused, SomebodyElse
from executions.retirement.rules import current
from executions.retirement_models import Act, AuditEvent, Retirement, State
from tests.retiring import (
    audited,
    confirmed,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    press,
    retire,
    role,
    schedule,
)

__all__ = ["pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_a_redundant_job_is_removed_and_everything_says_so(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    kept = schedule(pg_cron, name="other work", command="VACUUM task_usage", owner="postgres")
    retirement = retire(operator(), jobid)
    assert set(jobs(pg_cron)) == {kept}
    assert retirement.state == State.WATCHING
    act = retirement.acts.get()
    assert (act.outcome, act.role, act.user_name) == (Act.Outcome.DONE, "postgres", "olga")
    assert act.statement == f"SELECT cron.unschedule({jobid});"
    assert audited(retirement) == [("remove", "intended"), ("remove", "done")]
