"""Jobs with short cadences, and handlers that can be held. Imports nothing of the test cluster."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

from executions.scheduler.spec import CatchUp, Context, JobSpec, Returned


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def nothing(_context: Context) -> Returned:
    return 0, {}


def job(**settings: Any) -> JobSpec:
    """A job with a one-second cadence whose limits no slow machine reaches."""
    return JobSpec(
        **{
            "name": "test_job",
            "handler": nothing,
            "cadence": seconds(1),
            "schedule_delay": seconds(0),
            "run_timeout": seconds(600),
            "stale_timeout": seconds(900),
            "heartbeat_interval": seconds(5),
            "retry_backoff": (seconds(0),),
        }
        | settings
    )


def every_plan(**settings: Any) -> JobSpec:
    return job(
        **{
            "catch_up": CatchUp.EVERY_PLAN,
            "catch_up_window": seconds(60),
            "max_plans_per_tick": 100,
        }
        | settings
    )


class Held:
    """A handler that says when it has begun and continues when it is released.

    A cancellation releases it too, as it should every handler: then it raises.
    """

    def __init__(self, returned: Returned = (1, {})) -> None:
        self.began = threading.Event()
        self.release = threading.Event()
        self.contexts: list[Context] = []
        self._returned = returned

    def __call__(self, context: Context) -> Returned:
        self.contexts.append(context)
        self.began.set()
        while not self.release.wait(0.005):
            if context.cancelled.is_set():
                raise RuntimeError("cancelled")
        return self._returned
