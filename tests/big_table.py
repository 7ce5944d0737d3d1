"""200,000 executions for the tests that look at query plans: docs/contract.md section 2's mix.

One job with a single scope and a plan every five minutes, and one with 2,000 scopes. They are made
once for a module that asks for ``big_table``. Such a module must not ask for ``owner``, which
empties the tables after each test.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.db import connections

from executions.database.connections import connect
from multica_admin.cluster import Cluster
from tests import environment
from tests.emptying import empty_multica

TABLE = "sys_cron_executions"
SCOPES = 2_000
ROLLUP_PLANS = 8_000
DISPATCH_PLANS = 96  # for each scope

# Every 97th plan failed for good, every 193rd waits for its retry. Two runners take turns.
FILL = """
INSERT INTO sys_cron_executions (job_name, scope_kind, scope_id, plan_time, status, attempt,
    runner_id, lease_token, heartbeat_at, stale_after, started_at, finished_at, duration_ms,
    rows_affected, result, error_code, error_msg)
SELECT job, kind, scope, plan_time, CASE WHEN failed THEN 'FAILED' ELSE 'SUCCESS' END,
       CASE WHEN number %% 97 = 0 THEN 3 ELSE 1 END,
       'runner-' || number %% 2, gen_random_uuid(), started, started + interval '30 minutes',
       started, started + interval '120 ms', 120, number %% 50, '{}',
       CASE WHEN failed THEN 'handler_error' END,
       CASE WHEN failed THEN 'connection ' || number || ' was lost' END
  FROM (SELECT job, kind, scope, number, plan_time,
               number %% 97 = 0 OR number %% 193 = 0 AS failed,
               plan_time + interval '5 minutes' + number %% 7 * interval '1 second' AS started
          FROM (SELECT 'rollup_task_usage_hourly' AS job, 'global' AS kind, 'global' AS scope,
                       number,
                       date_trunc('hour', now()) - number * interval '5 minutes' AS plan_time
                  FROM generate_series(1, %(rollup)s) AS number
                UNION ALL
                SELECT 'autopilot_schedule_dispatch', 'autopilot_trigger',
                       md5('scope' || scope)::uuid::text, scope + plan,
                       date_trunc('hour', now()) - plan * interval '12 hours'
                           + scope %% 60 * interval '1 minute' - interval '6 minutes'
                  FROM generate_series(1, %(scopes)s) AS scope,
                       generate_series(1, %(plans)s) AS plan) AS plans) AS rows
 ORDER BY plan_time
"""

RUNNING = """
INSERT INTO sys_cron_executions (job_name, scope_kind, scope_id, plan_time, status, runner_id,
    lease_token, heartbeat_at, stale_after, started_at)
SELECT 'autopilot_schedule_dispatch', 'autopilot_trigger', md5('scope' || scope)::uuid::text,
       date_trunc('hour', now()), 'RUNNING', 'runner-0', gen_random_uuid(), now(),
       now() + (scope - 3) * interval '10 minutes', now()
  FROM generate_series(1, 6) AS scope
"""


@pytest.fixture(scope="module")
def big_table(cluster: Cluster) -> Iterator[None]:
    conninfo = cluster.conninfo(environment.DATABASE, "multica")
    with connect(conninfo, application_name="big table") as owner:
        owner.execute(FILL, {"rollup": ROLLUP_PLANS, "scopes": SCOPES, "plans": DISPATCH_PLANS})
        owner.execute(RUNNING)
        owner.execute("VACUUM ANALYZE sys_cron_executions")
        yield
        empty_multica(owner)


@dataclass
class Asked:
    """What was asked of Multica's side, with the plan that PostgreSQL really ran."""

    sql: str
    plan: dict[str, Any]
    scans: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.scans = [node for node in _nodes(self.plan) if node.get("Relation Name") == TABLE]

    @property
    def rows_read(self) -> int:
        """The rows of the table that were read, including those that a filter then dropped."""
        return sum(
            round(
                node["Actual Loops"]
                * (
                    node["Actual Rows"]
                    + node.get("Rows Removed by Filter", 0)
                    + node.get("Rows Removed by Index Recheck", 0)
                )
            )
            for node in self.scans
            if node["Node Type"] != "Bitmap Index Scan"
        )

    @property
    def sorts(self) -> bool:
        return any("Sort" in node["Node Type"] for node in _nodes(self.plan))

    @property
    def reads_it_all(self) -> bool:
        return any(node["Node Type"] == "Seq Scan" for node in self.scans)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)


@contextmanager
def explaining() -> Iterator[list[Asked]]:
    """Collects every statement that is sent to Multica's side, each explained as it runs.

    Raises:
        psycopg.Error: PostgreSQL cannot explain a statement, so it would go unseen.
    """
    asked: list[Asked] = []

    def explain(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        cursor = context["cursor"]
        cursor.cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
        found = cursor.cursor.fetchone()[0]
        plan = json.loads(found) if isinstance(found, str) else found
        asked.append(Asked(sql, plan[0]["Plan"]))
        return execute(sql, params, many, context)

    with ExitStack() as stack:
        stack.enter_context(connections["multica"].execute_wrapper(explain))
        yield asked
