"""The page Backfill: what a run would do, one that is at work, and the command."""

import re
from datetime import timedelta
from html import unescape

import pytest

from executions.health import snapshots
from executions.rollup.backfill import Slice
from executions.rollup.outlook import together
from tests import scenarios
from tests.factories import usage
from tests.near_misses import hold_lock, sessions_shown
from tests.time_limits import cut_off

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

WINDOW = "SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())"


def look(client, address="/rollup/backfill/"):
    snapshots.forget()
    answer = client.get(address)
    assert answer.status_code == 200
    written = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode()))
    return unescape(written).strip()


@pytest.fixture
def used(owner):
    """Usage of this month and of one about three months ago."""
    scenarios.healthy(owner)
    now = scenarios.database_now(owner)
    for age in (1, 1, 95):
        usage(owner, now - timedelta(days=age))
    owner.execute("ANALYZE task_usage")
    return now


def test_it_says_what_a_run_would_do_month_by_month(viewer, used):
    page = look(viewer)
    assert "It would sum 4 months with about " in page or "It would sum 5 months with" in page
    assert f"{used - timedelta(days=95):%Y-%m}" in page
    assert "The rows are PostgreSQL's estimates" in page
    assert "Quickly: by statements of our own" in page


def test_the_rows_are_counted_where_that_is_asked_for(viewer, used, owner):
    rows = owner.execute("SELECT count(*) AS rows FROM task_usage").fetchone()["rows"]
    page = look(viewer, "/rollup/backfill/?count=yes")
    assert f"with {rows} usage rows." in page
    assert "estimates" not in page


def test_a_count_that_takes_too_long_says_so_and_the_rest_of_the_page_stands(viewer, used):
    with cut_off("date_trunc('month'"):
        page = look(viewer, "/rollup/backfill/?count=yes")
    assert "This could not be looked at." in page
    assert "Show estimates instead" in page
    assert "Quickly: by statements of our own" in page


def test_without_usage_only_the_watermark_would_be_set(viewer, owner):
    assert "There is no usage to sum, so it would only set the watermark." in look(viewer)


def test_the_command_is_there_for_each_kind_of_install(viewer, used):
    page = look(viewer)
    for way in (
        "docker compose exec multica-admin python manage.py",
        "kubectl exec deployment/multica-admin -- python manage.py",
        ".venv/bin/python manage.py",
    ):
        assert f"{way} backfill_task_usage_hourly" in page
        assert f"{way} backfill_task_usage_hourly --dry-run" in page


def test_without_a_backfill_none_is_shown(viewer, used):
    assert "No backfill is running." in look(viewer)


def test_ours_tells_which_month_it_sums(viewer, used, connect, superuser):
    holder = connect("multica")
    holder.execute("SET application_name = 'multica-admin backfill 3/12 2026-03'")
    hold_lock(holder)
    with sessions_shown(superuser):
        page = look(viewer)
    assert "A backfill sums 2026-03, month 3 of 12." in page
    assert f"pid {holder.info.backend_pid}" in page


def test_multicas_own_is_followed_too(viewer, used, connect, superuser):
    holder = connect("multica")
    hold_lock(holder)
    holder.execute(WINDOW)
    with sessions_shown(superuser):
        page = look(viewer)
    assert "It is probably a backfill of Multica's." in page
    assert "Such a backfill tells nobody how far it is" in page


def test_a_run_of_the_rollup_is_not_taken_for_a_backfill(viewer, used, connect, superuser):
    holder = connect("multica")
    hold_lock(holder)
    holder.execute("SELECT rollup_task_usage_hourly()")
    with sessions_shown(superuser):
        assert "No backfill is running." in look(viewer)


def test_old_months_are_estimated_together():
    months = [Slice(number, number + 1) for number in range(5)]
    assert together(months, apart=2) == [(months[4],), (months[3],), tuple(months[:3])]
    assert together(months[:2], apart=2) == [(months[1],), (months[0],)]
