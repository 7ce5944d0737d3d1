"""PURE: what can be known about a job, as frozen values. Read by `read.py`, judged by `findings`.

A fact that could not be read is a :class:`Problem`, never a guess and never a zero. Times are
aware and the database's own. Nothing here asks a database or a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.health.facts.executions import Executions
from executions.health.facts.pg_cron import PgCron, RollupCall
from executions.health.facts.sessions import Lock
from executions.scheduler.spec import JobSpec
from executions.text.problem import Problem


@dataclass(frozen=True)
class Ground:
    """What the database says of itself: its clock, who we are there, which tables we see.

    ``executions_estimate`` is the planner's estimate of the rows in ``sys_cron_executions``,
    None where there is none yet. ``hidden`` are the tables of which row security hides rows. On a
    standby ``now`` is the time of the last commit that it replayed, ``replay_lag`` how long ago
    that was by the clock; None where it replayed none yet.
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
class Change:
    """A change to a schedule that is on our own record, of pg_cron's or outside the database.

    ``stops`` says whether the schedule stopped with it: it was paused or removed, and not activated
    or put back.
    """

    at: datetime
    label: str
    stops: bool


@dataclass(frozen=True)
class DriftHour:
    """One hour of created_at: what the usage rows sum to, and what the buckets say.

    ``keys`` is how many of the hour's bucket keys differ.
    """

    hour: datetime
    usage_events: int
    bucket_events: int
    usage_tokens: int
    bucket_tokens: int
    keys: int

    @property
    def differs(self) -> bool:
        return self.keys > 0


@dataclass(frozen=True)
class Drift:
    """Usage and buckets compared per hour, from ``since`` up to the ``watermark`` of then."""

    since: datetime
    watermark: datetime
    hours: tuple[DriftHour, ...]

    @property
    def differing(self) -> tuple[DriftHour, ...]:
        return tuple(hour for hour in self.hours if hour.differs)


@dataclass(frozen=True)
class Facts:
    """Everything that a verdict is made of, read at one moment.

    ``state`` is None where the table is there and its row is not. ``first_trace`` is when the
    first usage or the first migration was written, looked for only where there are no executions;
    None where there is neither. ``changes`` are those of schedules on our own record, lately.
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
    changes: tuple[Change, ...] | Problem = ()

    @property
    def rollup_calls(self) -> tuple[RollupCall, ...]:
        """How the visible, active pg_cron jobs of this very database lead to the rollup."""
        return () if isinstance(self.pg_cron, Problem) else self.pg_cron.calls

    @property
    def now(self) -> datetime | None:
        """The database's clock, None where it could not be read."""
        return None if isinstance(self.ground, Problem) else self.ground.now

    @property
    def basics(self) -> tuple[Problem, ...]:
        """The basics that could not be read: with any of them the verdict is unknown."""
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
