"""The rollup's page reads ends of indexes and bounded counts, even with a lot of usage."""

import json

import pytest

from executions.database.sql import load
from executions.rollup.queue import MOST_COUNTED

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ROWS = 50_000
FILL = (
    "SET session_replication_role = replica",
    (
        "INSERT INTO task_usage (id, task_id, provider, model, input_tokens, output_tokens,"
        " cache_read_tokens, cache_write_tokens, created_at, updated_at)"
        " SELECT gen_random_uuid(), gen_random_uuid(), 'p', 'm', 1, 1, 1, 1,"
        " now() - number * interval '1 minute',"
        " CASE WHEN number % 100 > 0 THEN now() - number * interval '1 minute' END"
        f" FROM generate_series(1, {ROWS}) AS number"
    ),
    (
        "INSERT INTO task_usage_hourly (bucket_hour, workspace_id, runtime_id, agent_id, provider,"
        " model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, task_count,"
        " event_count)"
        " SELECT date_trunc('hour', now()) - number * interval '1 minute', gen_random_uuid(),"
        f" gen_random_uuid(), gen_random_uuid(), 'p', 'm', 1, 1, 1, 1, 1, 1"
        f" FROM generate_series(1, {ROWS}) AS number"
    ),
    (
        "INSERT INTO task_usage_hourly_dirty (bucket_hour, workspace_id, runtime_id, agent_id,"
        " provider, model)"
        " SELECT now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'p', 'm'"
        f" FROM generate_series(1, {ROWS})"
    ),
    "RESET session_replication_role",
    "VACUUM ANALYZE task_usage",
    "VACUUM ANALYZE task_usage_hourly",
    "VACUUM ANALYZE task_usage_hourly_dirty",
)


@pytest.fixture
def much_usage(superuser):
    for statement in FILL:
        superuser.execute(statement)


def nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.usefixtures("much_usage")
@pytest.mark.parametrize(
    ("name", "parameters", "most"),
    [("newest", {}, 10), ("queue_depth", {"most": MOST_COUNTED + 1}, MOST_COUNTED + 10)],
)
def test_a_read_of_the_page_looks_at_few_rows(superuser, name, parameters, most):
    statement = f"EXPLAIN (ANALYZE, FORMAT JSON) {getattr(load('rollup'), name)}"
    row = superuser.execute(statement, parameters).fetchone()
    found = row["QUERY PLAN"]
    (explained,) = json.loads(found) if isinstance(found, str) else found
    scans = [node for node in nodes(explained["Plan"]) if "Relation Name" in node]
    assert len(scans) >= 2
    assert sum(node["Actual Rows"] + node.get("Rows Removed by Filter", 0) for node in scans) < most
