"""PURE: plan arithmetic, that is which plan_times are due now. The time is always the database's.

It decides nothing about leases: a due plan may be won, lost to another runner, or over. Source:
docs/contract.md section 3, "Plan" and "Catch-up".
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile
from typing import Protocol

from executions.scheduler.spec import MOST_PLANS, CatchUp, JobSpec, Standing

# Go floors from year 1, not from the Unix epoch. For cadences that divide a day both agree.
_YEAR_ONE = datetime(1, 1, 1, tzinfo=UTC)


def floor(moment: datetime, cadence: timedelta) -> datetime:
    """The UTC bucket of ``moment``, which may be in any time zone."""
    utc = moment.astimezone(UTC)
    return utc - (utc - _YEAR_ONE) % cadence


def newest_due(spec: JobSpec, now: datetime) -> datetime:
    return floor(now - spec.schedule_delay, spec.cadence)


class Tried(Protocol):
    """A stored plan that has ended, in whichever form it was read."""

    @property
    def plan_time(self) -> datetime: ...
    @property
    def attempt(self) -> int: ...
    @property
    def max_attempts(self) -> int: ...


def oldest_open(spec: JobSpec | None, now: datetime) -> datetime | None:
    """The plan_time before which no runner returns to a plan of the job.

    None if only the job's rows can tell: for an unknown job, or one that is not latest-only.
    """
    if spec is None or spec.planner is not None or spec.catch_up is not CatchUp.LATEST_ONLY:
        return None
    return newest_due(spec, now)


def is_open(plan_time: datetime, newest: datetime, oldest: datetime | None) -> bool:
    """Whether this plan is the newest in its scope: none is begun or, by ``oldest``, due after it.

    ``newest`` is the scope's newest stored plan_time, ``oldest`` the result of :func:`oldest_open`.
    """
    return plan_time >= newest and (oldest is None or plan_time >= oldest)


def is_retried(failed: Tried, newest: datetime, oldest: datetime | None) -> bool:
    """Whether a FAILED plan will still be retried; see :func:`is_open`.

    Attempts that remain are not enough: replicas return to the newest plan only (docs/contract.md
    section 3, "Catch-up").
    """
    return failed.attempt < failed.max_attempts and is_open(failed.plan_time, newest, oldest)


class InvalidPlan(TypeError):
    """A job's own planner returned something that is no moment. The text is one sentence."""


def due_plans(
    spec: JobSpec, standing: Standing, broken_off: Callable[[], bool] = lambda: False
) -> list[datetime]:
    """The plan_times that a tick tries to claim for one scope, in order and in UTC.

    A job's own planner may be infinite. It is read up to the job's maximum, or to `MOST_PLANS`, and
    no further once ``broken_off`` says so.

    Raises:
        InvalidPlan: the job's own planner returned anything but aware datetimes. Other exceptions
            of the planner pass through.
    """
    if spec.planner is not None:
        planned = islice(spec.planner(spec, standing), spec.max_plans_per_tick or MOST_PLANS)
        return [_in_utc(plan_time) for plan_time in takewhile(lambda _: not broken_off(), planned)]
    if spec.catch_up is CatchUp.LATEST_ONLY:
        return [newest_due(spec, standing.now)]
    return list(islice(_every_plan(spec, standing), spec.max_plans_per_tick))


def _in_utc(plan_time: object) -> datetime:
    if not isinstance(plan_time, datetime) or plan_time.utcoffset() is None:
        raise InvalidPlan(f"A planner returns datetimes with a time zone, not {plan_time!r}.")
    return plan_time.astimezone(UTC)


def _every_plan(spec: JobSpec, standing: Standing) -> Iterator[datetime]:
    """FAILED plans that may be retried, then the buckets after the newest stored plan.

    No stored plan is after the newest, so the order is oldest first. Go looks at the newest row
    only and strands a FAILED bucket behind it; here every such bucket inside the window counts.
    """
    yield from standing.retryable
    latest = newest_due(spec, standing.now)
    if standing.newest is None:
        yield latest
        return
    if standing.newest >= latest:
        return
    plan_time = max(
        floor(standing.newest, spec.cadence) + spec.cadence,
        _first_inside(spec, standing.now),
    )
    while plan_time <= latest:
        yield plan_time
        plan_time += spec.cadence


def window_start(spec: JobSpec, now: datetime) -> datetime:
    """The start of the catch-up window. Nothing before it is planned again."""
    return now - spec.schedule_delay - spec.catch_up_window


def _first_inside(spec: JobSpec, now: datetime) -> datetime:
    start = window_start(spec, now)
    bucket = floor(start, spec.cadence)
    return bucket if bucket == start else bucket + spec.cadence
