"""The settings that retirements go by: the job whose plans are the evidence, and some spans.

Tests give their own, so that three plans take seconds. Everybody else takes `current`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from executions.scheduler.jobs import ROLLUP
from executions.scheduler.spec import JobSpec

# A trial that nobody decides about ends by itself: docs/retiring.md.
TRIAL_LIMIT = timedelta(hours=1)
LOOK_EVERY = timedelta(seconds=5)
# After an act that could not be done, it is tried again this much later.
TRY_AGAIN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True)
class Rules:
    """``streak`` is ``RETIREMENT_STREAK``: how many plans must have succeeded without a gap."""

    spec: JobSpec
    streak: int
    trial_limit: timedelta = TRIAL_LIMIT
    look_every: timedelta = LOOK_EVERY
    try_again_every: timedelta = TRY_AGAIN_EVERY


def current() -> Rules:
    """The rules of this installation."""
    return Rules(ROLLUP, settings.RETIREMENT_STREAK)
