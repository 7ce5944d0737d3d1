"""The lookout: it looks again and again, and no error ends it."""

from __future__ import annotations

import queue
from types import SimpleNamespace

import pytest

from executions.database.repeating import Repeating
from executions.health import lookout, snapshots
from tests.waiting import HANG


@pytest.fixture
def started(monkeypatch):
    """The threads that were started, with none left at the end."""
    threads = []
    start = Repeating.start

    def noted(thread):
        threads.append(thread)
        start(thread)

    monkeypatch.setattr(Repeating, "start", noted)
    yield threads
    for thread in threads:
        thread.stop()


def test_it_looks_again_after_the_interval_and_after_an_error(
    settings, monkeypatch, caplog, started
):
    monkeypatch.setattr(lookout, "QUIET_SECONDS", 0.001)
    settings.METRICS_TOKEN = "a" * 16
    looks = queue.Queue()

    def look():
        looks.put("looked")
        if fails.pop():
            raise RuntimeError("a fault of ours")
        return SimpleNamespace(interval_seconds=0.001 if fails else 3600)

    beside = []
    fails = [False, False, True, False]
    monkeypatch.setattr(snapshots, "current", look)
    lookout.start(lambda: beside.append(1))
    for _time in range(4):
        assert looks.get(timeout=HANG) == "looked"
    started[0].stop()
    assert looks.empty()
    assert len(beside) >= 2, "after each look that went well"
    assert [record.message for record in caplog.records] == [
        "The snapshot for monitors is not kept fresh, because of a fault. It is tried again."
    ]


def test_without_a_token_nobody_looks_unasked(settings, monkeypatch, started):
    beside = []
    monkeypatch.setattr(snapshots, "current", lambda: SimpleNamespace(interval_seconds=3600))
    settings.STATUS_TOKEN = settings.METRICS_TOKEN = ""
    lookout.start(lambda: beside.append(1))
    assert not started
    settings.METRICS_TOKEN = "a" * 16
    lookout.start(lambda: beside.append(1))
    assert started
