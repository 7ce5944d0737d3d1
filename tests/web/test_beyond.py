"""Pages with times that Python cannot hold: they stand, and say so in words."""

from __future__ import annotations

import pytest

from tests import scenarios

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.mark.parametrize("value", ["infinity", "-infinity"])
def test_every_page_stands_and_says_it_in_words(viewer, owner, value):
    world = scenarios.healthy(owner)
    owner.execute(
        "UPDATE sys_cron_executions SET plan_time = %(value)s, started_at = %(value)s,"
        " finished_at = %(value)s, heartbeat_at = %(value)s, stale_after = %(value)s,"
        " next_retry_at = %(value)s, created_at = %(value)s, updated_at = %(value)s"
        " WHERE plan_time = %(plan)s",
        {"value": value, "plan": world.plan_time(3)},
    )
    owner.execute("UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = %s", [value])
    (row,) = owner.execute(
        "SELECT id FROM sys_cron_executions WHERE NOT isfinite(plan_time)"
    ).fetchall()
    words = "a time after the year 9999" if value == "infinity" else "a time before the year 1"
    told = 0
    for path in (
        "/",
        "/executions/",
        f"/executions/{row['id']}/",
        "/runners/",
        "/errors/",
        "/jobs/",
        "/schedules/",
        "/executions/export.csv",
        "/executions/export.jsonl",
    ):
        answer = viewer.get(path)
        assert answer.status_code == 200, path
        content = b"".join(answer) if answer.streaming else answer.content
        told += words in content.decode()
    assert told >= 2
