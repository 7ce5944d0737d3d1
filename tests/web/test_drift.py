"""The page Drift compares only when asked, within bounds, and tells missed from uncounted usage."""

import re
from html import unescape
from itertools import count

import pytest

from executions.database.reading import fetch_for_dashboard
from executions.demo.zeros import DAY, HOUR, MINUTE, all_is_well, passed_by, roll
from executions.health import snapshots
from executions.rollup import drift
from executions.rollup.drift import read_drift_back
from tests import scenarios
from tests.factories import usage
from tests.near_misses import hidden
from tests.time_limits import cut_off_where

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def text(answer):
    """What a reader sees, in one line."""
    assert answer.status_code == 200
    shown = re.sub(r"<[^>]+>", "", answer.content.decode())
    return re.sub(r"\s+", " ", unescape(shown)).strip()


def look(viewer, window="24h"):
    answer = viewer.get(f"/rollup/drift/?window={window}")
    assert answer.status_code == 200
    return answer.context["drift"], text(answer)


def events(page):
    return {str(part.label): part.events for part in page.parts}


def test_nothing_is_compared_before_it_is_asked_for(viewer, owner):
    passed_by(owner)
    snapshots.fresh()
    with cut_off_where(lambda statement: "task_usage" in statement) as stopped:
        shown = text(viewer.get("/rollup/drift/"))
    assert stopped == []
    assert "nothing is compared before you pick how far back" in shown


def test_an_unknown_window_is_refused(viewer, owner):
    assert viewer.get("/rollup/drift/?window=9y").status_code == 400


def test_what_adds_up_is_said(viewer, owner):
    all_is_well(owner)
    page, shown = look(viewer)
    assert "Usage and buckets agree in the 1 hour that has usage." in shown
    assert page.differing == []
    assert "backfill_task_usage_hourly" not in shown


def test_missed_usage_is_counted_and_leads_to_the_backfill(viewer, owner):
    world = passed_by(owner)
    page, shown = look(viewer)
    (hour,) = page.differing
    assert hour.hour == (world.now - 3 * HOUR).replace(minute=0, second=0, microsecond=0)
    assert (hour.usage_events, hour.bucket_events, hour.missed_events) == (1, 0, 1)
    assert "Events that the buckets lack: 1. Events that they have too many: 0." in shown
    assert "backfill_task_usage_hourly" in shown
    assert sum(events(page).values()) == 0


def test_sums_that_differ_in_tokens_only_are_told_in_tokens(viewer, owner):
    all_is_well(owner)
    owner.execute("UPDATE task_usage_hourly SET input_tokens = input_tokens + 1")
    page, shown = look(viewer)
    assert len(page.differing) == 1
    assert "1 of the 1 hour with usage does not add up" in shown
    assert "0 events" not in page.summary.still()
    assert "as many events, and other tokens" in shown


def test_a_longer_window_finds_what_a_shorter_one_leaves_out(viewer, owner):
    world = scenarios.healthy(owner)
    usage(owner, world.now - 3 * DAY)
    assert look(viewer, "24h")[0].differing == []
    assert len(look(viewer, "7d")[0].differing) == 1


def test_what_cannot_count_is_told_apart_from_what_was_missed(viewer, owner):
    world = all_is_well(owner)
    usage(owner, world.now - 4 * HOUR, with_runtime=False)
    later = usage(owner, world.now - 5 * HOUR)
    queued = usage(owner, world.now - 6 * HOUR)
    orphaned = usage(owner, world.now - 7 * HOUR)
    roll(owner, world.now - DAY, world.now - HOUR)
    owner.execute(
        "UPDATE task_usage SET input_tokens = 5, updated_at = now() WHERE id = %s", [later["id"]]
    )
    owner.execute("DELETE FROM task_usage WHERE id = %s", [queued["id"]])
    owner.execute("DELETE FROM agent WHERE id = %s", [orphaned["agent_id"]])
    page, shown = look(viewer)
    assert page.differing == [], shown
    assert events(page) == {
        "Usage without a runtime": 1,
        "Buckets of deleted agents": 1,
        "Changed after the watermark": 1,
        "Waiting to be summed again": 1,
    }


def test_the_same_question_is_asked_of_the_database_once(viewer, owner):
    passed_by(owner)
    first, _shown = look(viewer)
    with cut_off_where(lambda statement: "task_usage" in statement) as stopped:
        again, _shown = look(viewer)
    assert stopped == []
    assert again is first


def test_a_comparison_that_the_time_limit_stops_says_so_and_shows_the_rest(viewer, owner):
    passed_by(owner)
    snapshots.fresh()
    numbers = count()
    with cut_off_where(lambda sql: "keys_compared" in sql and next(numbers) == 1) as stopped:
        page, shown = look(viewer)
    assert len(stopped) == 1
    assert "stopped at its time limit" in shown
    assert "so it came back to" in shown
    assert len(page.differing) == 1


def test_a_first_slice_that_is_stopped_is_never_called_agreement(viewer, owner):
    passed_by(owner)
    snapshots.fresh()
    with cut_off_where(lambda sql: "keys_compared" in sql):
        page, shown = look(viewer)
    assert "stopped at its time limit" in shown
    assert page.comparison is None
    assert "agree" not in shown


def test_a_comparison_ends_when_its_time_is_over(owner):
    world = scenarios.healthy(owner)
    ticks = count(0, 4)  # each look at the clock is four seconds later
    found = read_drift_back(
        fetch_for_dashboard, world.now, 7 * DAY, seconds=10, clock=lambda: float(next(ticks))
    )
    assert found.stopped is None
    assert not found.is_whole
    assert found.drift.since > world.now - 7 * DAY
    assert found.drift.since <= world.now - drift.SLICE + HOUR


def test_a_missing_watermark_is_said(viewer, owner):
    scenarios.stateless(owner)
    assert "There is no watermark" in look(viewer)[1]


def test_what_may_not_be_read_is_said(viewer, owner):
    passed_by(owner)
    snapshots.fresh()
    with hidden(owner, "task_usage_hourly"):
        page, shown = look(viewer)
    assert page.comparison is None
    assert "manage.py permissions" in shown


def test_usage_of_minutes_ago_is_no_drift(viewer, owner):
    world = all_is_well(owner)
    usage(owner, world.now - 2 * MINUTE)
    page, _shown = look(viewer)
    assert page.differing == []
