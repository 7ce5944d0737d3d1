"""The findings about the watermark, to the second."""

from __future__ import annotations

from datetime import datetime

import pytest

from executions.health.facts import StateRow
from executions.health.findings import Case, FindingCode, Severity, find
from executions.health.findings.progress import NEVER
from tests.judging import DAY, LOST, MINUTE, judged, severity
from tests.pictures import NOW, SECOND, execution, executions, facts, plan_time


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        (20 * MINUTE, None),
        (20 * MINUTE + SECOND, Severity.WARNING),
        (65 * MINUTE, Severity.WARNING),
        (65 * MINUTE + SECOND, Severity.CRITICAL),
    ],
)
def test_the_watermark_may_be_twenty_minutes_old(lag, expected):
    assert severity(FindingCode.WATERMARK_LAG, state=StateRow(NOW - lag)) is expected


def test_a_lag_needs_runs_that_succeed():
    assert (
        judged(FindingCode.WATERMARK_LAG, state=StateRow(NOW - DAY), executions=executions(count=0))
        is None
    )


@pytest.mark.parametrize(
    ("ahead", "found"), [(60 * SECOND, False), (61 * SECOND, True)], ids=["a minute", "more"]
)
def test_the_watermark_may_be_a_minute_beyond_the_newest_possible(ahead, found):
    state = StateRow(NOW - 5 * MINUTE + ahead)
    assert (judged(FindingCode.WATERMARK_FUTURE, state=state) is not None) is found


def test_from_1970_it_takes_some_72_days_to_catch_up():
    first = datetime.fromisoformat("1970-01-02T00:00:00Z")
    stepped = {0: {"watermark_before": first - DAY, "watermark_after": first}}
    found = judged(
        FindingCode.WATERMARK_CATCHING_UP, state=StateRow(first), executions=executions(stepped)
    )
    assert found is not None
    assert found.evidence["plans_left"] == 20_541
    assert "71 d" in str(found.summary)


def test_lost_runs_whose_watermark_stands_still_had_nobody_in_their_place():
    stood = LOST | {"watermark_before": plan_time(3), "watermark_after": plan_time(3)}
    rows = executions({0: stood, 1: stood})
    found = judged(
        FindingCode.LOCK_LOST, executions=rows, state=StateRow(plan_time(3) + SECOND / 2)
    )
    assert found is not None
    assert "nothing else has done the work" in str(found.summary)
    moved = judged(FindingCode.LOCK_LOST, executions=rows, state=StateRow(plan_time(1)))
    assert moved is not None
    assert "something else did the work in their place" in str(moved.summary)


def test_a_watermark_that_was_set_back_is_caught_up_with_from_the_next_run_on():
    known = facts(state=StateRow(NEVER))
    found = {finding.code: finding for finding in find(known, Case.of(known))}
    assert "recent usage appears in about 71 d" in str(
        found[FindingCode.WATERMARK_CATCHING_UP].summary
    )
    assert "4246" not in str(found[FindingCode.WATERMARK_LAG].advice)


def test_a_watermark_that_runs_leave_where_it_was_set_back_is_not_caught_up_with():
    stands = {"watermark_before": NEVER, "watermark_after": NEVER}
    known = {"state": StateRow(NEVER), "executions": executions({0: stands})}
    assert judged(FindingCode.WATERMARK_CATCHING_UP, **known) is None


def test_less_than_a_day_with_a_run_is_no_catching_up():
    stepped = {0: {"watermark_before": NOW - DAY, "watermark_after": NOW - MINUTE}}
    known = {"state": StateRow(NOW - DAY), "executions": executions(stepped)}
    assert judged(FindingCode.WATERMARK_CATCHING_UP, **known) is None


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        (60 * SECOND, None),
        (61 * SECOND, Severity.CRITICAL),
        (60 * MINUTE, Severity.CRITICAL),
        (60 * MINUTE + SECOND, Severity.INFO),
    ],
)
def test_a_lease_may_be_over_for_a_minute(past, expected):
    stale = execution(0, status="RUNNING", stale_after=NOW - past)
    assert severity(FindingCode.RUNNING_STALE, executions=executions(stale=(stale,))) is expected
