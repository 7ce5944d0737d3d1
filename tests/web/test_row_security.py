"""If row security hides executions, no page of the history takes the visible rows for all."""

from __future__ import annotations

import pytest

from executions.models import Execution
from tests import scenarios
from tests.time_limits import cut_off

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ADDRESSES = [
    "/executions/",
    "/executions/?job=rollup_task_usage_hourly",
    "/executions/export.csv",
    "/executions/export.jsonl",
    "/runners/",
    "/errors/",
    "/jobs/",
    "/executions/at/1764072000/",
    "/executions/00000000-0000-0000-0000-000000000000/",
]


@pytest.fixture
def secure(owner):
    """Rows of a working rollup, and row security, until the test ends."""
    scenarios.healthy(owner)
    owner.execute("ALTER TABLE sys_cron_executions ENABLE ROW LEVEL SECURITY")
    yield owner
    owner.execute("DROP POLICY IF EXISTS shown ON sys_cron_executions")
    owner.execute("ALTER TABLE sys_cron_executions DISABLE ROW LEVEL SECURITY")


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("shown", ["none of them", "one runner's"])
@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "part"])
def test_a_page_says_that_rows_are_hidden(viewer, secure, address, shown, headers):
    if shown == "one runner's":
        secure.execute("CREATE POLICY shown ON sys_cron_executions USING (runner_id = 'nobody')")
    viewer.raise_request_exception = False
    answer = viewer.get(address, headers=headers)
    assert answer.status_code == 503
    said = answer.content.decode()
    assert "row security hides rows of sys_cron_executions from the role multica_view" in said
    assert "BYPASSRLS" in said


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("slow", ["-- The clock, who we are", "-- The database's clock, how many"])
def test_where_it_cannot_be_told_in_time_nothing_is_shown_either(viewer, secure, address, slow):
    viewer.raise_request_exception = False
    with cut_off(slow):
        answer = viewer.get(address)
    assert answer.status_code == 503
    said = answer.content.decode()
    assert "time limit" in said or "row security hides rows" in said


@pytest.mark.parametrize("address", ADDRESSES[:-1])
def test_a_policy_to_see_every_row_is_as_good_as_none(viewer, secure, address):
    secure.execute("CREATE POLICY shown ON sys_cron_executions FOR SELECT USING (true)")
    assert viewer.get(address, follow=True).status_code == 200


def test_an_execution_is_shown_under_such_a_policy(viewer, secure):
    secure.execute("CREATE POLICY shown ON sys_cron_executions FOR SELECT USING (true)")
    newest = Execution.objects.order_by("-plan_time").first()
    assert viewer.get(f"/executions/{newest.id}/").status_code == 200
