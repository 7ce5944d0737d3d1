"""The settings of retirements: the job whose plans are the evidence, and some durations.

Tests use their own, so that three plans take seconds. All other code uses `current`.
"""

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from executions.scheduler.jobs import ROLLUP
from executions.scheduler.spec import JobSpec

# A trial that nobody decides about ends after this time: docs/retiring.md.
TRIAL_LIMIT = timedelta(hours=1)
LOOK_EVERY = timedelta(seconds=5)
# If a trial cannot be ended, try again after this time, then after twice that, and so on.
TRY_AGAIN_EVERY = timedelta(minutes=1)
TRY_AGAIN_AT_MOST = timedelta(hours=1)


@dataclass(frozen=True)
class Rules:
    """``streak`` is ``RETIREMENT_STREAK``: how many plans must have succeeded without a gap."""

    spec: JobSpec
    streak: int
    trial_limit: timedelta = TRIAL_LIMIT
    look_every: timedelta = LOOK_EVERY
    try_again_every: timedelta = TRY_AGAIN_EVERY

    def try_again_after(self, failures: int) -> timedelta:
        doubled = min(max(failures - 1, 0), 16)
        return min(self.try_again_every * (1 << doubled), TRY_AGAIN_AT_MOST)


def current() -> Rules:
    return Rules(ROLLUP, settings.RETIREMENT_STREAK)
