"""The first and last times that PostgreSQL and Python both know, in zones east and west."""

import html as entities
import re
from datetime import UTC, datetime, timedelta

import pytest

from executions.models import Runner
from tests.factories import ExecutionFactory
from tests.scenarios import database_now

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

FIRST = datetime(1, 1, 1, tzinfo=UTC)
LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
PAGES = (
    "/",
    "/executions/",
    "/runners/",
    "/errors/?since=2020-01-01",
    "/jobs/",
    "/rollup/",
    "/rollup/upgrade/",
    "/schedules/",
)


@pytest.mark.parametrize(
    ("zone", "moment"), [("America%2FNew_York", FIRST), ("Pacific%2FKiritimati", LAST)]
)
def test_every_page_stands_and_names_the_zone(viewer, owner, zone, moment):
    """There the zone's own time would be of a year that neither knows."""
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = zone
    ended = database_now(owner) - timedelta(minutes=1)
    ExecutionFactory(connection=owner, plan_time=ended - timedelta(minutes=9))
    rows = [
        ExecutionFactory(
            connection=owner,
            plan_time=moment,
            failed=True,
            scope_id=scope,
            started_at=moment,
            heartbeat_at=moment,
            stale_after=moment,
            next_retry_at=moment,
            finished_at=finished,
            runner_id="far",
        )
        for scope, finished in (("global", ended), ("other", moment))
    ]
    Runner.objects.create(
        runner_id="far", kind="web", host="h", pid=7, version="0", stopped_at=moment
    )
    for path in (*PAGES, *(f"/executions/{row['id']}/" for row in rows)):
        answer = viewer.get(path)
        assert answer.status_code == 200, path
        shown = answer.content.decode()
        if path == "/executions/":
            assert re.search(rf">0*{moment.year}-{moment:%m-%d} UTC<", shown)
            assert f">{moment:%H:%M} UTC<" in shown


def test_a_time_beside_the_zone_is_in_that_zone(viewer, owner):
    """In titles too, which no script writes again."""
    now = database_now(owner).replace(second=0, microsecond=0)
    row = ExecutionFactory(connection=owner, plan_time=now)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = "Asia%2FKolkata"
    local = now + timedelta(hours=5, minutes=30)
    title = entities.unescape(viewer.get(f"/executions/{row['id']}/").content.decode())
    assert f"Plan of {local:%Y-%m-%d %H:%M} UTC+5:30" in title
    cell = entities.unescape(viewer.get("/jobs/").content.decode())
    assert f'title="{local:%Y-%m-%d %H:%M} UTC+5:30: Success"' in cell
