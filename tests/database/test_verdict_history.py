"""The history of the verdict in our own tables: each change once, and blind hours as such."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import DateTimeField, ExpressionWrapper, F
from django.db.models.functions import Now

from executions.database import old_rows
from executions.health import snapshots
from executions.health.history import record
from executions.health.history.record import look_in_turn
from executions.health.history.step import Blindness
from executions.health.ledger import PlanOutcome
from executions.health.read_ours import read_ours
from executions.health.verdict import Level
from executions.models import BlindStretch, VerdictChange, Watch
from executions.scheduler.plans import floor
from tests.factories import ExecutionFactory, put_state
from tests.rights import let_read
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
REVOKE = "REVOKE SELECT (watermark_at) ON task_usage_hourly_rollup_state FROM multica_view"
CADENCE = 5 * MINUTE


def now(owner):
    return owner.execute("SELECT now() AS now").fetchone()["now"]


def plans(owner, count=40, without=()):
    """Plans of the last hours: all are kept except the plans that nobody began."""
    newest = floor(now(owner) - 2 * SECOND, CADENCE) - CADENCE
    for age in range(count):
        if age not in without:
            ExecutionFactory(connection=owner, plan_time=newest - age * CADENCE)
    put_state(owner, watermark_at=newest)
    return newest


def gap(owner):
    """From when to when the plans of the last hour were to begin, but for the newest."""
    newest = floor(now(owner) - 2 * SECOND, CADENCE) - CADENCE
    return newest - 11 * CADENCE, newest - 2 * CADENCE


def it_is_due(by=timedelta()):
    """Make the time since the last look longer by this."""
    before = {
        name: ExpressionWrapper(F(name) - by, output_field=DateTimeField())
        for name in ("looked_at", "clock")
    }
    Watch.objects.update(due_at=Now(), **before)
    snapshots.forget()


def look(by=timedelta()):
    it_is_due(by)
    return look_in_turn()


def levels():
    return list(VerdictChange.objects.order_by("pk").values_list("level", flat=True))


def test_a_change_is_one_row_with_codes_evidence_and_both_clocks(owner):
    plans(owner)
    look()
    look()
    owner.execute("DELETE FROM task_usage_hourly_rollup_state")
    look()
    look()
    assert levels() == [Level.HEALTHY, Level.FAILING]
    failing = VerdictChange.objects.get(level=Level.FAILING)
    assert failing.findings[0]["code"] == "state_row_missing"
    assert failing.findings[0]["evidence"] is not None
    assert abs(failing.clock - failing.at) < MINUTE
    assert failing.blind == ""


def test_it_is_written_once_however_many_look_at_the_same_moment(owner):
    plans(owner)
    together = threading.Barrier(6)

    def one_more(_nth):
        try:
            together.wait(HANG)
            return look_in_turn()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as threads:
        seen = [one for one in threads.map(one_more, range(6)) if one is not None]
    assert len(seen) == 1
    assert levels() == [Level.HEALTHY]


def test_nobody_looks_before_it_is_due(owner):
    plans(owner)
    look()
    assert look_in_turn() is None


def test_a_process_that_lost_its_turn_writes_nothing(owner, monkeypatch):
    plans(owner)
    look()
    fresh = snapshots.current

    def slowly():
        owner.execute("DELETE FROM task_usage_hourly_rollup_state")
        seen = fresh()
        Watch.objects.update(holder="another process")
        return seen

    it_is_due()
    monkeypatch.setattr(record.snapshots, "current", slowly)
    assert look_in_turn() is None
    assert levels() == [Level.HEALTHY]


def test_a_turn_of_a_killed_process_is_taken_over(owner):
    plans(owner)
    look()
    assert record._take_turn() is None
    it_is_due()
    assert record._take_turn() is not None
    assert record._take_turn() is None
    it_is_due()
    assert look_in_turn() is not None


def test_stopped_for_an_hour_the_hour_is_blind_and_nothing_in_it_is_missing(owner):
    plans(owner)
    look()
    owner.execute("DELETE FROM sys_cron_executions WHERE plan_time BETWEEN %s AND %s", gap(owner))
    seen = look(by=HOUR)
    (stretch,) = BlindStretch.objects.all()
    assert stretch.reason == Blindness.NOT_RUNNING
    assert HOUR <= stretch.until - stretch.since < HOUR + 5 * MINUTE
    assert abs(stretch.clock_since - stretch.since) < MINUTE
    assert seen.step.after_blindness
    assert levels() == [Level.HEALTHY]
    ledger = seen.assessment.ledger
    assert (ledger.missing, ledger.counts[PlanOutcome.BLIND]) == (0, 10)
    snapshots.forget()
    assert snapshots.current().ledger.counts == ledger.counts


def test_without_our_history_these_plans_are_missing(owner):
    plans(owner, without=range(2, 12))
    assert snapshots.current().ledger.missing == 10
    assert snapshots.current().verdict.level is not Level.HEALTHY


def test_missing_rights_are_a_stretch_that_ends_when_they_are_back(owner):
    plans(owner)
    look()
    owner.execute("REVOKE SELECT ON task_usage_hourly_rollup_state FROM multica_view")
    owner.execute(
        "REVOKE SELECT (watermark_at) ON task_usage_hourly_rollup_state FROM multica_view"
    )
    try:
        look()
        (stretch,) = BlindStretch.objects.all()
        assert (stretch.reason, stretch.until) == (Blindness.RIGHTS_MISSING, None)
        assert read_ours((), now(owner), timedelta(days=1)).unwatched[0].until is None
    finally:
        let_read(owner)
    look()
    (stretch,) = BlindStretch.objects.all()
    assert stretch.until is not None
    assert levels() == [Level.HEALTHY, Level.UNKNOWN, Level.HEALTHY]
    assert VerdictChange.objects.get(level=Level.UNKNOWN).blind == Blindness.RIGHTS_MISSING
    assert VerdictChange.objects.latest("pk").after_blindness


def test_old_rows_go_in_small_steps_and_the_newest_change_stays(owner, monkeypatch):
    plans(owner)
    look()
    monkeypatch.setattr(old_rows, "REMOVED_AT_ONCE", 2)
    old = now(owner) - record.KEPT - HOUR
    for nth in range(5):
        at = old + nth * MINUTE
        VerdictChange.objects.create(at=at, level="healthy", summary=[], findings=[])
        BlindStretch.objects.create(
            reason="not_running", since=at, until=at, clock_since=at, clock_until=at
        )
    for left in (3, 1, 0):
        look()
        assert VerdictChange.objects.count() == left + 1
        assert BlindStretch.objects.count() == left
    VerdictChange.objects.update(at=old)
    look()
    assert VerdictChange.objects.count() == 1
