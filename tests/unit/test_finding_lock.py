"""The findings about lock 4246: lost, leaked, or not to blame."""

from __future__ import annotations

from dataclasses import replace

import pytest

from executions.health.facts import StateRow
from executions.health.facts.sessions import Lock
from executions.health.findings import FindingCode, Severity
from executions.text.problem import Problem
from tests.judging import HOUR, IDLE, LOST, judged, severity
from tests.pictures import CADENCE, NOW, SECOND, executions, plan_time


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, None), (1, Severity.INFO), (2, Severity.INFO), (3, Severity.WARNING)],
)
def test_the_third_lost_lock_in_an_hour_is_a_warning(count, expected):
    lost = executions(dict.fromkeys(range(count), LOST))
    assert severity(FindingCode.LOCK_LOST, executions=lost) is expected


def test_locks_that_were_lost_an_hour_ago_are_forgotten():
    assert judged(FindingCode.LOCK_LOST, executions=executions({14: LOST})) is None


BUSY = replace(IDLE, pid=100, idle=False)


BETWEEN = replace(IDLE, since=plan_time(1) + CADENCE + 2 * SECOND)


UNSEEN = replace(IDLE, state=None, since=None)


@pytest.mark.parametrize(
    ("lock", "lost", "found"),
    [
        (Lock((IDLE,)), (0, 1), True),
        (Lock((IDLE,)), (0,), False),
        (Lock((IDLE,)), (1, 2), False),
        (Lock((IDLE,), (BUSY,)), (0, 1), False),
        (Lock((BUSY,)), (0, 1), False),
        (Lock(), (0, 1), False),
        (Problem("why", "what"), (0, 1), False),
        (Lock((BETWEEN,)), (0, 1, 2), False),
        (Lock((replace(BETWEEN, since=plan_time(1) + CADENCE),)), (0, 1), True),
        (Lock((UNSEEN,)), (0, 1), False),
    ],
    ids=[
        *("leak", "once", "over", "backfill", "busy", "free", "unread"),
        *("between two slices", "idle since just before", "unseen"),
    ],
)
def test_a_leak_needs_an_idle_holder_nobody_at_work_and_runs_that_lose_again(lock, lost, found):
    rows = executions(dict.fromkeys(lost, LOST))
    assert (judged(FindingCode.LOCK_LEAKED, lock=lock, executions=rows) is not None) is found


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (BETWEEN, "A session (pid 99, without a name) holds it now."),
        (UNSEEN, "holds it now and is idle at this moment; this role may not see for how"),
        (BUSY, "A session (pid 100, without a name) holds it now."),
    ],
)
def test_a_lost_lock_says_who_holds_it(holder, said):
    lost = executions({0: LOST, 1: LOST})
    found = judged(FindingCode.LOCK_LOST, executions=lost, lock=Lock((holder,)))
    assert found is not None
    assert said in str(found.summary)
    assert [one["pid"] for one in found.evidence["holders"]] == [holder.pid]


def test_runs_that_a_future_watermark_kept_from_work_did_not_lose_the_lock():
    ahead = NOW + HOUR
    idle = {"rows_affected": 0, "watermark_before": ahead, "watermark_after": ahead}
    known = {"executions": executions(dict.fromkeys(range(12), idle)), "state": StateRow(ahead)}
    found = judged(FindingCode.LOCK_LOST, **known, lock=Lock((IDLE,)))
    assert found is not None
    assert str(found.summary) == (
        "12 runs of the last hour did nothing, because the watermark is ahead of all usage."
    )
    assert "lock" not in str(found.advice)
