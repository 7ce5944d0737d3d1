"""The lookout: it looks again and again, and no error ends it."""

from __future__ import annotations

import queue
from types import SimpleNamespace

from executions.health import lookout
from tests.waiting import HANG


def test_it_looks_again_after_the_interval_and_after_an_error(monkeypatch, caplog):
    monkeypatch.setattr(lookout, "QUIET_SECONDS", 0)
    looks = queue.Queue()

    def look():
        looks.put("looked")
        if looked.pop():
            raise RuntimeError("a fault of ours")
        return SimpleNamespace(interval_seconds=0 if looked else 3600)

    looked = [False, False, True, False]
    watchman = lookout.Lookout(look)
    watchman.start()
    for _time in range(4):
        assert looks.get(timeout=HANG) == "looked"
    watchman.stop()
    assert looks.empty()
    assert [record.message for record in caplog.records] == [
        "The lookout failed to look; it tries again."
    ]


def test_without_a_token_nobody_looks_unasked(settings, monkeypatch):
    started = []
    monkeypatch.setattr(lookout.Lookout, "start", lambda _self: started.append(1))
    settings.STATUS_TOKEN = settings.METRICS_TOKEN = ""
    lookout.start()
    assert not started
    settings.METRICS_TOKEN = "a" * 16
    lookout.start()
    assert started
