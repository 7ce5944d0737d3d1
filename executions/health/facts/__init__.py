"""PURE: the facts about a job, as frozen values. `read.py` reads them, `findings` judge.

A fact that could not be read is a :class:`Problem`, never a guess and never a zero. Times are aware
and the database's own. Nothing here reads a database or a clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.health.facts.executions import Executions
from executions.health.facts.pg_cron import PgCron, RollupCall
from executions.health.facts.sessions import Lock
from executions.health.facts.unwatched import Unwatched
from executions.scheduler.spec import JobSpec
from executions.text.problem import Problem
from executions.text.sentences import Sentence


@dataclass(frozen=True)
class Ground:
    """What the database says of itself: its clock, our role, the tables that we see.

    ``executions_estimate`` is the planner's estimate of the rows in ``sys_cron_executions``; None
    if there is none yet. ``hidden`` are the tables with rows that row security hides. On a standby
    ``now`` is the time of the last replayed commit, and ``replay_lag`` how long ago that was by the
    clock; None if none was replayed.
    """

    now: datetime
    role: str
    database: str
    has_executions: bool
    has_state: bool
    has_usage: bool
    executions_estimate: int | None
    hidden: Sequence[str] = ()
    is_standby: bool = False
    replay_lag: timedelta | None = None


@dataclass(frozen=True)
class StateRow:
    """The one row of ``task_usage_hourly_rollup_state`` (docs/contract.md section 4)."""

    watermark_at: datetime
    last_run_started_at: datetime | None = None
    last_run_finished_at: datetime | None = None


@dataclass(frozen=True)
class Queue:
    """The dirty queue: since when its oldest bucket waits to be summed again; None if none does."""

    oldest: datetime | None


@dataclass(frozen=True)
class ScheduleChange:
    """A recorded change of a schedule, pg_cron's or outside the database.

    ``stops`` says whether the change stopped the schedule: it was paused or removed, not activated
    or put back. ``label`` is None if nobody knows which schedule it was.
    """

    at: datetime
    label: Sentence | None
    stops: bool


@dataclass(frozen=True)
class DriftHour:
    """One hour of created_at: the sums of the usage rows, and the buckets' values.

    ``keys`` is how many of the ``keys_compared`` bucket keys differ, ``missed_events`` what their
    buckets lack, and ``surplus_events`` what they have too much. The other counts are left out of
    the comparison: usage without a runtime, buckets of deleted agents, usage of keys that changed
    after the watermark, and usage of queued keys.
    """

    hour: datetime
    usage_events: int
    bucket_events: int
    usage_tokens: int
    bucket_tokens: int
    keys: int
    keys_compared: int = 0
    missed_events: int = 0
    surplus_events: int = 0
    without_runtime_events: int = 0
    orphaned_events: int = 0
    unsettled_events: int = 0
    queued_events: int = 0

    @property
    def differs(self) -> bool:
        return self.keys > 0


@dataclass(frozen=True)
class Drift:
    """Usage and buckets compared per hour, from ``since`` up to the ``watermark`` at that time."""

    since: datetime
    watermark: datetime
    hours: tuple[DriftHour, ...]

    @property
    def compared(self) -> tuple[DriftHour, ...]:
        """The hours with a key that could be compared."""
        return tuple(hour for hour in self.hours if hour.keys_compared)

    @property
    def differing(self) -> tuple[DriftHour, ...]:
        return tuple(hour for hour in self.hours if hour.differs)


@dataclass(frozen=True)
class Facts:
    """Everything behind a verdict, read at one moment.

    ``state`` is None if the table exists but its row does not. ``first_trace`` is when the first
    usage or the first migration was written, read only if there are no executions; None if there is
    neither. ``changes`` are the recent recorded changes of schedules, ``unwatched`` the times
    in which nobody could look.
    """

    spec: JobSpec
    ground: Ground | Problem
    executions: Executions | Problem
    state: StateRow | Problem | None
    queue: Queue | Problem
    lock: Lock | Problem
    pg_cron: PgCron | Problem
    drift: Drift | Problem | None
    own_runners: frozenset[str] | Problem
    first_trace: datetime | Problem | None = None
    changes: tuple[ScheduleChange, ...] | Problem = ()
    unwatched: tuple[Unwatched, ...] | Problem = ()

    @property
    def rollup_calls(self) -> tuple[RollupCall, ...]:
        """How the visible, active pg_cron jobs of this very database lead to the rollup."""
        return () if isinstance(self.pg_cron, Problem) else self.pg_cron.calls

    @property
    def known_unwatched(self) -> tuple[Unwatched, ...]:
        """The stretches in which nobody could look; none if our own tables did not tell."""
        return () if isinstance(self.unwatched, Problem) else self.unwatched

    @property
    def now(self) -> datetime | None:
        """The database's clock; None if it could not be read."""
        return None if isinstance(self.ground, Problem) else self.ground.now

    @property
    def basics(self) -> tuple[Problem, ...]:
        """The basics that could not be read. With any of them the verdict is unknown."""
        basics = (self.ground, self.executions, self.state)
        return tuple(fact for fact in basics if isinstance(fact, Problem))

    @property
    def unreadable(self) -> dict[str, Problem]:
        """Every fact that could not be read, by name."""
        named = {
            "clock": self.ground,
            "executions": self.executions,
            "state": self.state,
            "dirty_queue": self.queue,
            "lock": self.lock,
            "pg_cron": self.pg_cron,
            "pg_cron_runs": getattr(self.pg_cron, "runs_unseen", None),
            "drift": self.drift,
            "own_runners": self.own_runners,
            "first_trace": self.first_trace,
        }
        return {name: fact for name, fact in named.items() if isinstance(fact, Problem)}
