"""The shared snapshot: one reading per interval for all viewers, with a version of its data."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from executions.health.assessment import assess
from executions.health.facts import Ground, Queue
from executions.health.facts.sessions import DatabaseSession, Lock
from executions.health.snapshots import (
    BUSY_SECONDS,
    QUIET_SECONDS,
    Snapshot,
    SnapshotKeeper,
    version_of,
)
from executions.health.snapshots import _is_busy as is_busy
from executions.text.problem import Problem
from tests.pictures import CADENCE, NOW, SECOND, executions, facts
from tests.waiting import HANG

RUNNING = {"status": "RUNNING", "stale_after": NOW + CADENCE}


def made(busy: bool = False, **known) -> Snapshot:
    assessment = assess(facts(**known))
    return Snapshot(assessment, version_of(assessment), busy)


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Takes snapshots when it is let, and counts them."""

    def __init__(self, busy: bool = False) -> None:
        self.taken = 0
        self.previous: list[Snapshot | None] = []
        self.busy = busy
        self.began = threading.Semaphore(0)
        self.go_on = threading.Event()
        self.go_on.set()
        self.error: Exception | None = None

    def __call__(self, previous: Snapshot | None) -> Snapshot:
        self.taken += 1
        self.previous.append(previous)
        self.began.release()
        assert self.go_on.wait(HANG)
        if self.error is not None:
            raise self.error
        return made(self.busy, queue=Queue(NOW + timedelta(seconds=self.taken)))


@pytest.mark.parametrize(("busy", "seconds"), [(True, BUSY_SECONDS), (False, QUIET_SECONDS)])
def test_it_is_taken_once_per_interval(busy, seconds):
    source, clock = Source(busy), Clock()
    keeper = SnapshotKeeper(source, clock)
    first = keeper.current()
    clock.now += seconds - 0.001
    assert keeper.current() is first
    clock.now += 0.001
    assert keeper.current() is not first
    assert source.taken == 2
    assert source.previous == [None, first]


def test_many_that_ask_at_once_for_the_first_one_wait_for_the_same():
    source = Source()
    source.go_on.clear()
    keeper = SnapshotKeeper(source, Clock())
    with ThreadPoolExecutor(20) as threads:
        asked = [threads.submit(keeper.current) for _ in range(20)]
        assert source.began.acquire(timeout=HANG)
        source.go_on.set()
        assert len({id(one.result(HANG)) for one in asked}) == 1
    assert source.taken == 1


def test_while_one_reads_the_others_are_served_the_previous_one():
    source, clock = Source(), Clock()
    keeper = SnapshotKeeper(source, clock)
    first = keeper.current()
    assert source.began.acquire(timeout=HANG)
    clock.now += QUIET_SECONDS
    source.go_on.clear()
    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(keeper.current)
        assert source.began.acquire(timeout=HANG)
        assert keeper.current() is first
        source.go_on.set()
        assert reading.result(HANG) is not first


def test_a_fresh_one_is_begun_after_the_call_even_while_another_is_being_taken():
    source = Source()
    source.go_on.clear()
    keeper = SnapshotKeeper(source, Clock())
    with ThreadPoolExecutor(2) as threads:
        current = threads.submit(keeper.current)
        assert source.began.acquire(timeout=HANG)
        fresh = threads.submit(keeper.fresh)
        source.go_on.set()
        assert fresh.result(HANG) is not current.result(HANG)
    assert source.taken == 2


def test_a_forgotten_one_is_taken_anew():
    source = Source()
    keeper = SnapshotKeeper(source, Clock())
    first = keeper.current()
    keeper.forget()
    assert keeper.current() is not first


def test_an_error_of_ours_stops_nobody_else():
    source, clock = Source(), Clock()
    keeper = SnapshotKeeper(source, clock)
    source.error = RuntimeError("a mistake of ours")
    with pytest.raises(RuntimeError):
        keeper.current()
    source.error = None
    assert keeper.current().figures.success_streak == 288


def test_the_version_does_not_change_with_time_alone():
    later = facts().ground
    assert isinstance(later, Ground)
    passed = made(ground=replace(later, now=NOW + 10 * SECOND, executions_estimate=8650))
    assert passed.version == made().version


@pytest.mark.parametrize(
    "known",
    [
        {"executions": executions({0: {"status": "FAILED"}})},
        {"executions": executions({0: {"rows_affected": 5}})},
        {"state": None},
        {"queue": Queue(NOW)},
        {"queue": Problem("why", "what")},
        {"lock": Lock((DatabaseSession(7, "x", "y", None, None, idle=True),))},
        {"own_runners": frozenset({"backend"})},
    ],
)
def test_the_version_changes_with_what_is_shown(known):
    assert made(**known).version != made().version


def test_the_version_changes_when_time_makes_a_finding():
    known = facts().ground
    assert isinstance(known, Ground)
    rows = executions({0: {"finished_at": NOW - timedelta(seconds=890)}}, count=1)
    before = made(executions=rows)
    after = made(executions=rows, ground=replace(known, now=NOW + 20 * SECOND))
    assert before.version != after.version


def test_the_version_of_the_same_executions_is_the_same_in_every_process():
    ask = (
        "from tests.pictures import executions, facts;"
        " from executions.health.assessment import assess;"
        " from executions.health.snapshots import version_of;"
        " print(executions().mark, version_of(assess(facts())))"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", f"import django; django.setup(); {ask}"],
            env=os.environ | {"PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1


def test_the_version_of_the_same_set_of_runners_is_the_same():
    names = [f"host-{n}" for n in range(50)]
    one = made(own_runners=frozenset(names))
    other = made(own_runners=frozenset(reversed(names)))
    assert one.version == other.version


BUSY = DatabaseSession(7, None, None, None, None, idle=False)


@pytest.mark.parametrize(
    ("known", "busy"),
    [
        ({}, False),
        ({"executions": executions({0: RUNNING})}, True),
        ({"executions": executions({3: RUNNING})}, True),
        ({"executions": executions({0: RUNNING | {"stale_after": NOW - SECOND}})}, False),
        ({"lock": Lock(holders=(BUSY,))}, True),
        ({"lock": Lock(holders=(replace(BUSY, idle=True),))}, False),
        ({"lock": Lock(writers=(BUSY,))}, True),
        ({"executions": Problem("why", "what")}, False),
    ],
)
def test_something_runs_while_a_lease_or_somebody_at_work_is_alive(known, busy):
    assert is_busy(facts(**known)) is busy
