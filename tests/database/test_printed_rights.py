"""With exactly what `manage.py permissions` prints, everything works and no secret is read.

That each printed right is needed is tried by `tests/faults/each_right.py`, which `bin/audit` runs.
"""

from __future__ import annotations

import psycopg
import pytest

from executions.database import second_tries
from tests.printed import RUNNER, VIEWER, printed
from tests.retiring import pg_cron, role

__all__ = ["pg_cron", "printed", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SECRETS = [
    "SELECT custom_env FROM agent",
    "SELECT mcp_config FROM agent",
    "SELECT * FROM agent",
    "SELECT title FROM issue",
    "SELECT description FROM issue",
    "SELECT context FROM agent_task_queue",
    "SELECT result FROM agent_task_queue",
    "SELECT settings FROM workspace",
]


def test_a_viewer_opens_every_page_and_reads_no_secret(printed, connect, every_page):
    printed.grant(VIEWER, "viewer")
    assert "\n\n".join(printed.complaints_of_pages(every_page)) == ""
    viewer = connect(VIEWER, database="upstream")
    for statement in SECRETS:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            viewer.execute(statement)


def test_a_runner_rolls_up_backfills_and_prunes_and_reads_no_secret(printed, connect):
    printed.grant(VIEWER, "viewer")
    printed.grant(RUNNER, "runner")
    assert printed.complaints_of_the_runner() == []
    runner = connect(RUNNER, database="upstream")
    assert runner.execute("SELECT FROM task_usage_hourly").rowcount == 1
    for statement in [
        *SECRETS,
        "DELETE FROM task_usage_hourly_rollup_state",
        "INSERT INTO task_usage_hourly_dirty DEFAULT VALUES",
        "UPDATE task_usage_hourly_dirty SET enqueued_at = now()",
    ]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            runner.execute(statement)


def test_without_a_right_there_is_a_sentence_and_never_a_traceback(printed, every_page):
    """Both roles may connect and nothing else."""
    for name in (VIEWER, RUNNER):
        printed.run("upstream", f"GRANT CONNECT ON DATABASE upstream TO {name}")
    said = [*printed.complaints_of_pages(every_page), *printed.complaints_of_the_runner()]
    assert len(said) >= 10
    assert not [one for one in said if "Traceback" in one or " 500:" in one]


def test_without_usage_of_the_schema_that_right_is_named_and_nothing_is_called_missing(
    printed, every_page
):
    """PostgreSQL says of tables in such a schema that they do not exist."""
    for name, purpose in ((VIEWER, "viewer"), (RUNNER, "runner")):
        printed.grant(name, purpose)
        printed.run("upstream", f"REVOKE USAGE ON SCHEMA public FROM {name}")
    second_tries.forget()
    pages = printed.complaints_of_pages(["/", "/executions/"])
    runner = printed.complaints_of_the_runner()
    said = [*pages, *runner]
    assert not [
        one
        for one in said
        if "not Multica's database" in one or "v0.3.17" in one or "does not exist" in one
    ]
    both = f"GRANT USAGE ON SCHEMA public TO {VIEWER}, {RUNNER};"
    assert [one for one in pages if both in one]
    assert len(runner) == 4
    assert f"GRANT USAGE ON SCHEMA public TO {RUNNER};" in runner[0]
    assert all(both in one for one in runner[1:]), runner
