"""Each right that `manage.py permissions` prints is revoked in turn, and something breaks.

What breaks says so in a sentence. It takes minutes: `bin/audit rights`.
"""

from __future__ import annotations

import pytest
from django.db import connections

from tests.commands import run_command
from tests.printed import RUNNER, VIEWER, printed
from tests.retiring import pg_cron, role

__all__ = ["pg_cron", "printed", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


NOTHING_BUT_MIGRATIONS = (
    "DELETE FROM sys_cron_executions",
    "DELETE FROM task_usage",
    "UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = NULL, watermark_at = now()",
    "INSERT INTO schema_migrations (version, applied_at) VALUES ('001', now() - interval '9 days')",
)
CANNOT_TELL = "cannot tell how old the database is"


def anew(right):
    """Make the pages connect again, because only a new connection checks the right to connect."""
    if "CONNECT" in right.take:
        connections["multica"].close()
        connections["multica"].close_pool()


def taken_in_turn(printed, rights, complaints):
    """What the lack of each right leads to, and the rights whose lack goes unnoticed."""
    unnoticed = []
    for right in rights:
        printed.run(right.database, right.take)
        anew(right)
        said = complaints()
        printed.run(right.database, right.give)
        anew(right)
        assert not [one for one in said if "Traceback" in one or " 500:" in one], right
        if not said:
            unnoticed.append(str(right))
    return unnoticed


def of_age(right):
    """Whether the right is needed only if no execution tells how old the database is."""
    return "schema_migrations" in right.take


def test_a_viewer_needs_each_of_its_rights(printed, every_page):
    rights = [right for right in printed.grant(VIEWER, "viewer") if not of_age(right)]
    assert printed.complaints_of_pages(every_page) == []
    assert taken_in_turn(printed, rights, lambda: printed.complaints_of_pages(every_page)) == []
    assert printed.complaints_of_pages(every_page) == []


def test_a_viewer_needs_the_right_to_tell_the_age_of_a_database_without_executions(printed):
    (right,) = filter(of_age, printed.grant(VIEWER, "viewer"))
    for statement in NOTHING_BUT_MIGRATIONS:
        printed.run("upstream", statement)
    assert CANNOT_TELL not in run_command("checkrollup").said
    printed.run(right.database, right.take)
    assert CANNOT_TELL in run_command("checkrollup").said


def test_a_runner_needs_each_of_its_rights(printed):
    printed.grant(VIEWER, "viewer")
    rights = printed.grant(RUNNER, "runner")
    assert printed.complaints_of_the_runner() == []
    assert taken_in_turn(printed, rights, printed.complaints_of_the_runner) == []
    assert printed.complaints_of_the_runner() == []
