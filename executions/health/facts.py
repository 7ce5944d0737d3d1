"""PURE: what can be known about a job, as frozen values. Read by `read.py`, judged by `findings`.

A fact that could not be read is a :class:`NotAvailable`, never a guess and never a zero. Times are
aware and the database's own. Nothing here asks a database or a clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cached_property
from hashlib import blake2b
from uuid import UUID

from executions.scheduler.spec import JobSpec

# Rows may be a little newer than the reading of the clock just before them.
CLOCK_ALLOWANCE = timedelta(seconds=5)


@dataclass(frozen=True)
class NotAvailable:
    """Why a fact is missing, and what would make it readable; both are whole sentences."""

    reason: str
    remedy: str


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
class ExecutionFact:
    """One row of ``sys_cron_executions`` (docs/contract.md section 2).

    The watermarks are those of its ``result``; ``error_msg`` is cut to 500 characters.
    """

    id: UUID
    plan_time: datetime
    status: str
    attempt: int
    max_attempts: int
    next_retry_at: datetime | None = None
    runner_id: str | None = None
    heartbeat_at: datetime | None = None
    stale_after: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_ms: int | None = None
    rows_affected: int | None = None
    watermark_before: datetime | None = None
    watermark_after: datetime | None = None
    error_code: str | None = None
    error_msg: str | None = None

    @property
    def succeeded(self) -> bool:
        return self.status == "SUCCESS"

    @property
    def failed(self) -> bool:
        return self.status == "FAILED"

    @property
    def running(self) -> bool:
        return self.status == "RUNNING"

    @property
    def exhausted(self) -> bool:
        """FAILED, and no attempt is left."""
        return self.failed and self.attempt >= self.max_attempts

    @property
    def moved(self) -> timedelta | None:
        """How far it moved the watermark; None where its result does not say."""
        if self.watermark_before is None or self.watermark_after is None:
            return None
        return self.watermark_after - self.watermark_before

    def proven_at(self, now: datetime) -> datetime | None:
        """When a SUCCESS was certainly made, None where it tells nothing of the past.

        An end in the database's future is nobody's measurement (docs/contract.md section 6,
        ``clock_or_foreign_writer``): there only its plan_time counts, if that is not ahead too.
        """
        if self.finished_at is None or self.finished_at <= now + CLOCK_ALLOWANCE:
            return self.finished_at
        return self.plan_time if self.plan_time <= now else None

    @property
    def starts_before_its_plan(self) -> bool:
        """Every runner plans by the clock that it then claims by, and no plan before it is due."""
        return self.started_at is not None and self.plan_time - self.started_at > CLOCK_ALLOWANCE

    def is_ahead(self, now: datetime) -> bool:
        """Whether one of its times lies in the database's future, where no scheduler writes."""
        limit = now + CLOCK_ALLOWANCE
        return any(
            moment is not None and moment > limit
            for moment in (self.plan_time, self.started_at, self.finished_at)
        )

    def is_stale(self, now: datetime) -> bool:
        """RUNNING past its lease. Derived, never stored (docs/contract.md section 2)."""
        return self.running and self.stale_after is not None and self.stale_after < now


@dataclass(frozen=True)
class Executions:
    """The executions of one job and scope, newest plan_time first, whole from ``since`` on.

    ``earlier`` is the newest row before ``since``, looked for only where ``rows`` is empty;
    ``earlier_success`` the newest SUCCESS before it, looked for (within a bounded number of rows)
    only where ``rows`` has none. ``stale`` are RUNNING rows past their lease, of any age, the most
    recent lease first. ``first_plan`` is the oldest plan_time of all. ``cut_short`` says that there
    were more rows than are read, so that ``since`` is later than was asked for.
    """

    rows: tuple[ExecutionFact, ...]
    since: datetime
    first_plan: datetime | None = None
    earlier: ExecutionFact | None = None
    earlier_success: ExecutionFact | None = None
    stale: tuple[ExecutionFact, ...] = ()
    cut_short: bool = False

    @property
    def newest(self) -> ExecutionFact | None:
        return self.rows[0] if self.rows else self.earlier

    @cached_property
    def mark(self) -> str:
        """Changes with any of it, and is the same in all processes."""
        return blake2b(repr(self).encode(), digest_size=16).hexdigest()

    def latest_success(self, now: datetime) -> ExecutionFact | None:
        """The SUCCESS that finished last, as far as its times can be believed."""
        proven = [
            (at, row)
            for row in self.rows
            if row.succeeded and (at := row.proven_at(now)) is not None
        ]
        if not proven:
            return self.earlier_success
        return max(proven, key=lambda pair: pair[0])[1]


@dataclass(frozen=True)
class StateRow:
    """The one row of ``task_usage_hourly_rollup_state`` (docs/contract.md section 4)."""

    watermark_at: datetime
    last_run_started_at: datetime | None = None
    last_run_finished_at: datetime | None = None
    last_run_rows: int | None = None


@dataclass(frozen=True)
class Queue:
    """The dirty queue. ``depth`` was counted no further than a limit; ``capped`` says so."""

    depth: int
    capped: bool
    oldest: datetime | None


class SessionWork(StrEnum):
    """What a session probably does, by its name and its current or last statement."""

    OUR_BACKFILL = "our_backfill"
    OUR_RUNNER = "our_runner"
    PG_CRON = "pg_cron"
    ROLLUP = "rollup"
    BACKFILL = "backfill"
    DELETION = "deletion"
    CODEX_BACKFILL = "codex_backfill"
    OTHER = "other"
    HIDDEN = "hidden"


@dataclass(frozen=True)
class DatabaseSession:
    """A session of this database. What the role may not see of it is None.

    ``idle`` needs no rights: a session outside any transaction holds no virtual transaction id.
    ``since`` is when its state last changed.
    """

    pid: int | None
    application_name: str | None
    user: str | None
    state: str | None
    since: datetime | None
    idle: bool
    work: SessionWork = SessionWork.HIDDEN


@dataclass(frozen=True)
class Lock:
    """Advisory lock 4246 of this database: who holds it, and who works on the buckets now.

    ``writers`` have ``task_usage_hourly`` locked for writing or visibly call a rollup function. A
    backfill is idle between two slices, so the sessions of ours, and those that ran the window
    function a moment ago, are writers too.
    """

    holders: tuple[DatabaseSession, ...] = ()
    writers: tuple[DatabaseSession, ...] = ()

    @property
    def idle_holder(self) -> DatabaseSession | None:
        return next((holder for holder in self.holders if holder.idle), None)


class Visibility(StrEnum):
    """How much of ``cron.job`` this role can see (docs/interfaces.md, ``checkretirement``)."""

    FULL = "full"
    FILTERED = "filtered"
    NO_ACCESS = "no_access"
    ABSENT = "absent"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


class Launcher(StrEnum):
    """pg_cron's launcher, the one process that starts jobs; ``off`` is a setting of it."""

    RUNNING = "running"
    OFF = "off"
    MISSING = "missing"
    NOT_LOADED = "not_loaded"
    UNKNOWN = "unknown"

    @property
    def starts_nothing(self) -> bool:
        return self in {Launcher.OFF, Launcher.MISSING, Launcher.NOT_LOADED}


@dataclass(frozen=True)
class PgCronJob:
    """One row of ``cron.job`` as it is.

    ``both_days`` is the server's ``cron.dom_dow_and_logic``: a schedule that names days of the
    month and days of the week means those that are both. None where this role may not read it.
    """

    jobid: int
    jobname: str | None
    schedule: str
    command: str
    database: str
    owner: str
    active: bool
    both_days: bool | None = field(default=False, kw_only=True)


class Match(StrEnum):
    """How a command calls the rollup (docs/interfaces.md, ``checkretirement``)."""

    EXACT = "exact"
    WRAPPED = "wrapped"
    WINDOW = "window"
    LEGACY = "legacy"
    MULTIPLE = "multiple"

    @property
    def retired_by_the_wizard(self) -> bool:
        return self in {Match.EXACT, Match.LEGACY}


@dataclass(frozen=True)
class RollupCall:
    """An active pg_cron job of Multica's database that leads to the rollup, judged by parsing.

    ``function`` is the one that it reaches; ``gone`` says that there is none of that name. ``node``
    is where the job connects to if that is not known to be Multica's server, else empty.
    """

    job: PgCronJob
    match: Match
    function: str
    gone: bool = False
    node: str = ""

    @property
    def repeats(self) -> bool:
        """Whether it does nothing but repeat what a runner does anyway."""
        return self.match is Match.EXACT and not self.gone and not self.node


@dataclass(frozen=True)
class JobRun:
    """A run of a pg_cron job, by its run details; ``calls`` if its command calls the rollup."""

    jobid: int
    started_at: datetime
    ended_at: datetime | None
    calls: bool = False


@dataclass(frozen=True)
class Change:
    """A change to a schedule that is on our own record. ``jobid`` is that of a pg_cron job.

    ``stops`` says whether the schedule stopped with it: it was paused or removed, and not activated
    or put back.
    """

    at: datetime
    jobid: int | None
    label: str
    stops: bool


@dataclass(frozen=True)
class PgCron:
    """pg_cron as ``role`` sees it. ``database`` is where the extension is, None if unknown.

    ``jobs`` is complete only where ``visibility`` is full (docs/contract.md section 5); ``calls``
    are those of them that lead to the rollup and that a launcher starts. ``runs`` are the latest
    runs of these and of jobs that are gone, newest first, as far as this role is shown them, and
    ``runs_unseen`` says why it is not shown them all; None where nothing is in the way.
    ``runs_since`` is from when on there are run details of every job, None where there are none.
    ``nodes`` has, by jobid, where jobs connect to that are not known to run on Multica's server.
    ``port`` is that of the server that was asked, None where its jobs were not looked at.
    """

    visibility: Visibility
    version: str | None = None
    database: str | None = None
    jobs: tuple[PgCronJob, ...] = ()
    role: str | None = None
    calls: tuple[RollupCall, ...] = ()
    launcher: Launcher = Launcher.UNKNOWN
    runs: tuple[JobRun, ...] = ()
    runs_unseen: NotAvailable | None = None
    runs_since: datetime | None = None
    nodes: Mapping[int, str] = field(default_factory=dict)
    port: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether every job of it is known; none where there is no pg_cron."""
        return self.visibility in {Visibility.FULL, Visibility.ABSENT}

    def tells_of(self, moment: datetime) -> bool:
        """Whether every job that ran at that moment is known, also one that is gone since."""
        if self.visibility is Visibility.ABSENT:
            return True
        return (
            self.visibility is Visibility.FULL
            and self.runs_unseen is None
            and self.runs_since is not None
            and self.runs_since <= moment
        )


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
    ground: Ground | NotAvailable
    executions: Executions | NotAvailable
    state: StateRow | NotAvailable | None
    queue: Queue | NotAvailable
    lock: Lock | NotAvailable
    pg_cron: PgCron | NotAvailable
    drift: Drift | NotAvailable | None
    own_runners: frozenset[str] | NotAvailable
    first_trace: datetime | NotAvailable | None = None
    changes: tuple[Change, ...] | NotAvailable = ()

    @property
    def rollup_calls(self) -> tuple[RollupCall, ...]:
        """How the visible, active pg_cron jobs of this very database lead to the rollup."""
        return () if isinstance(self.pg_cron, NotAvailable) else self.pg_cron.calls

    @property
    def now(self) -> datetime | None:
        """The database's clock, None where it could not be read."""
        return None if isinstance(self.ground, NotAvailable) else self.ground.now

    @property
    def basics(self) -> tuple[NotAvailable, ...]:
        """The basics that could not be read: with any of them the verdict is unknown."""
        basics = (self.ground, self.executions, self.state)
        return tuple(fact for fact in basics if isinstance(fact, NotAvailable))

    @property
    def unreadable(self) -> dict[str, NotAvailable]:
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
        return {name: fact for name, fact in named.items() if isinstance(fact, NotAvailable)}
