"""A confirmed retirement that a test acts on, and the rights of a role that sees its job."""

from __future__ import annotations

import pytest

from tests.retiring import confirmed, lay_plans, operator, schedule

SEES_JOBS = (
    "GRANT USAGE ON SCHEMA cron TO {role}",
    "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
    "GRANT SELECT ON task_usage_hourly_rollup_state TO {role}",
)


class World:
    """A confirmed retirement, and the ways to spoil it."""

    def __init__(self, owner, pg_cron, cluster):
        self.owner, self.pg_cron, self.cluster = owner, pg_cron, cluster
        self.running = None
        lay_plans(owner)
        self.jobid = schedule(pg_cron)
        self.who = operator()
        self.retirement = confirmed(self.who, self.jobid)


@pytest.fixture
def world(owner, pg_cron, cluster):
    made = World(owner, pg_cron, cluster)
    yield made
    if made.running is not None:
        made.running.close()
