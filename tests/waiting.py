"""How tests wait: for an event, with one limit that only a hang reaches, at this machine's pace.

A test never asserts that something takes less than a few seconds: a slow or busy machine may take
longer and be right. Where time itself is the subject (a lease, a cadence), the test multiplies its
seconds by `slowness`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from executions.database.connections import Connection, connect
from multica_admin.cluster import Cluster
from tests import environment

# Seconds. No wait of a test has a shorter limit, and none that works comes near it.
HANG = 120.0
# Between two questions whether it has happened, at first and after a while: an answer about what
# takes long may come a little late, and others get the processor.
PAUSE, LONG_PAUSE = 0.02, 0.1

# Seconds that `_work` takes on an idle machine with two cores of 2.5 GHz.
_REFERENCE = 0.05
# A machine slower than this is not measured but broken: tests must not wait for hours.
_SLOWEST = 12.0

Answer = TypeVar("Answer")


def until(happened: Callable[[], Answer], *, hang: float = HANG, pause: float = PAUSE) -> Answer:
    """Ask until the answer is true, and return that answer.

    Raises:
        AssertionError: still not after ``hang`` seconds.
    """
    began = time.monotonic()
    while not (answer := happened()):
        waited = time.monotonic() - began
        assert waited < hang, f"it has not happened in {hang:g} seconds"
        threading.Event().wait(min(max(pause, waited / 20), LONG_PAUSE))
    return answer


def let_a_near_plan_come_due(connection: Connection) -> None:
    """Wait past the next plan of five minutes if it comes due within half a minute.

    A plan that comes due in the middle of a test rightly changes what the test compares.
    """
    until(lambda: _seconds_to_the_next_plan(connection) > 30)


def _seconds_to_the_next_plan(connection: Connection) -> float:
    row = connection.execute(
        "SELECT (300 - extract(epoch FROM clock_timestamp()) % 300)::float8 AS seconds"
    ).fetchone()
    assert row is not None
    left: float = row["seconds"]
    return left


def slowness(cluster: Cluster) -> float:
    """How many times longer than an idle machine this one takes at this moment; at least 1."""
    began = time.perf_counter()
    _work(cluster)
    return min(_SLOWEST, max(1.0, (time.perf_counter() - began) / _REFERENCE))


def _work(cluster: Cluster) -> None:
    """What a runner and a page do most: connect, ask, and compute a little."""
    conninfo = cluster.conninfo(environment.DATABASE, "multica")
    for _ in range(10):
        with connect(conninfo, application_name="test slowness") as connection:
            for _ in range(5):
                connection.execute("SELECT count(*) FROM pg_class").fetchone()
        sum(range(100_000))
