"""The overview's week: the long plan strip, and how often it is read."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from executions.health import read, snapshots
from executions.health.ledger import LONG_WINDOW, PlanOutcome, lay
from executions.pages.overview import week
from executions.pages.overview.reader import read_overview
from executions.pages.overview.strip import Captions, lay_week
from executions.text.problem import Problem
from tests import scenarios
from tests.overviews import page, squares, text
from tests.scenarios import sound
from tests.time_limits import cut_off
from tests.waiting import let_a_near_plan_come_due

pytestmark = [
    pytest.mark.django_db(databases=["default", "multica"], transaction=True),
    pytest.mark.usefixtures("one_snapshot"),
]


def test_seven_days_show_the_worst_of_each_hour_and_lead_to_its_history(viewer, owner):
    world = sound(owner, plans=7 * 288)
    world.change(400, exhausted=True)
    world.drop(range(700, 703))
    world.write()
    html = page(viewer, "?window=7d")
    found = squares(html)
    assert len(found) in {168, 169}
    looks = [look for look, _href in found]
    assert looks.count("failed") == 1
    assert 1 <= looks.count("missing") <= 2
    failed = next(href for look, href in found if look == "failed")
    history = viewer.get(failed)
    assert history.status_code == 200
    assert "Failed" in history.content.decode()
    assert all(href.startswith("#gap-") for look, href in found if look == "missing")


def test_the_narrow_rows_of_a_week_tell_what_whole_ones_do_of_every_plan_and_gap(owner):
    world = sound(owner, plans=7 * 288)
    world.change(410, attempt=3)
    world.change(420, exhausted=True)
    world.change(430, running=True, stale_after=world.now + timedelta(hours=1))
    world.change(440, stale=True)
    world.change(range(450, 600), duration_ms=60_000)
    world.drop([*range(500, 503), 700, 900, 1100])
    world.lose_the_lock(699)
    world.change(899, exhausted=True)
    for age in (1100, 1300):
        world.add(plan_time=world.plan_time(age) + timedelta(minutes=2), runner_id="foreign")
    world.write()
    expected, laid = both_readings()
    assert laid.ledger.grace == expected.ledger.grace
    assert {PlanOutcome.RUNNING, PlanOutcome.STALE} <= set(laid.ledger.counts)
    stories = [(str(gap.title), str(gap.story)) for gap in laid.gaps]
    assert stories == [(str(gap.title), str(gap.story)) for gap in expected.gaps]
    assert len([story for _title, story in stories if "took the watermark on" in story]) == 2
    assert len([story for _title, story in stories if "moved nothing" in story]) == 1
    assert [look_of(row) for row in laid.rows] == [look_of(row) for row in expected.rows]


def test_a_week_without_the_rows_of_simply_kept_plans_has_the_same_outcomes(owner, monkeypatch):
    world = sound(owner, plans=7 * 288)
    for age in range(500, 520):  # a foreign writer at its own even pace, alone and beside others
        world.add(plan_time=world.plan_time(age) + timedelta(minutes=2), runner_id="foreign")
    world.drop(range(510, 520))
    world.change(range(600, 630), finished_at=world.plan_time(590))
    world.change(range(700, 702), attempt=2)
    world.change(710, finished_at=None)
    world.change(720, status="FAILED", error_code="handler_error")
    world.write()
    expected, laid = both_readings()
    assert laid.ledger.mark == expected.ledger.mark
    assert len(laid.ledger.off_grid) == 20
    assert [cell for cell in laid.ledger.cells if cell.kind.is_success and not cell.execution]
    assert [look_of(row) for row in laid.rows] == [look_of(row) for row in expected.rows]
    for most in (1_000, 1_001):
        monkeypatch.setattr(week, "MOST_ROWS", most)
        monkeypatch.setattr(read, "MOST_ROWS", most)
        expected, laid = both_readings()
        assert laid.ledger.looked_from == expected.ledger.looked_from is not None
        assert laid.ledger.mark == expected.ledger.mark


def test_a_week_is_judged_by_a_days_durations_also_if_the_day_was_cut_short(owner, monkeypatch):
    world = sound(owner, plans=7 * 288)
    world.change(range(100, 200), duration_ms=60_000)
    world.write()
    expected, _laid = both_readings()
    monkeypatch.setattr(read, "MOST_ROWS", 50)
    taken = snapshots.fresh()
    assert week.read_week(taken).grace == expected.ledger.grace != taken.ledger.grace


def test_a_week_is_not_judged_without_the_times_in_which_nobody_could_look(viewer, owner):
    scenarios.healthy(owner)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE executions_blindstretch RENAME TO away")
        try:
            html = page(viewer, "?window=7d")
        finally:
            cursor.execute("ALTER TABLE away RENAME TO executions_blindstretch")
    assert 'class="plan-strip' not in html
    assert isinstance(read_overview("7d").week, Problem)


def both_readings():
    """The strip of a week of whole rows, and the strip as it is read."""
    taken = snapshots.fresh()
    ground, spec = taken.facts.ground, taken.facts.spec
    whole = read.read_facts(window=LONG_WINDOW).executions
    expected = lay(whole, ground.now, spec, LONG_WINDOW)
    return tuple(lay_week(one, ground.now, spec) for one in (expected, week.read_week(taken)))


def look_of(row):
    return [(square.look, Captions().of(square), square.has_rows) for square in row.squares]


def test_a_change_beyond_the_day_is_shown_once_the_week_is_read_anew(viewer, owner):
    let_a_near_plan_come_due(owner)
    world = sound(owner, plans=7 * 288)
    world.write()
    assert "2,016 kept" in text(page(viewer, "?window=7d"))
    version = read_overview("7d").version
    owner.execute(
        "UPDATE sys_cron_executions SET status = 'FAILED', attempt = 3 WHERE plan_time = %s",
        [world.plan_time(1_000)],
    )
    snapshots.forget()
    week.forget()
    assert "2,015 kept" in text(page(viewer, "?window=7d"))
    assert read_overview("7d").version != version


def test_a_week_that_could_not_be_read_is_tried_again_with_the_next_snapshot(viewer, owner):
    scenarios.healthy(owner)
    with cut_off("-- The executions of one job and scope from a plan_time on and before"):
        failed = page(viewer, "?window=7d")
    assert "stopped at its time limit" in text(failed)
    snapshots.forget()
    whole = page(viewer, "?window=7d")
    assert "stopped at its time limit" not in text(whole)
    assert version_in(failed) != version_in(whole)


def version_in(html):
    return re.search(r'data-version="([^"]+)"', html)[1]


def test_the_week_is_read_once_for_a_snapshot_however_many_look(viewer, owner):
    scenarios.healthy(owner)
    page(viewer, "?window=7d")
    with CaptureQueriesContext(connections["multica"]) as asked:
        page(viewer, "?window=7d")
    assert len(asked) == 0
