"""PURE: what a role sees of pg_cron: its launcher, its jobs and their runs.

`pgcron/` reads it. Nothing here judges a command.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from executions.text.problem import Problem


class Visibility(StrEnum):
    """How much of ``cron.job`` this role can see (docs/interfaces.md, ``checkretirement``)."""

    FULL = "full"
    FILTERED = "filtered"
    NO_ACCESS = "no_access"
    ABSENT = "absent"
    ELSEWHERE = "elsewhere"
    UNKNOWN = "unknown"


class Launcher(StrEnum):
    """pg_cron's launcher, the one process that starts jobs. ``off`` is one of its settings."""

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
    month and days of the week then means days that are both. None if this role may not read it.
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

    ``function`` is the function that it reaches; ``gone`` says that it does not exist. ``node`` is
    where the job connects to if that is not known to be Multica's server, else empty.
    """

    job: PgCronJob
    match: Match
    function: str
    gone: bool = False
    node: str = ""

    @property
    def repeats(self) -> bool:
        """Whether the job only repeats what a runner does anyway."""
        return self.match is Match.EXACT and not self.gone and not self.node


@dataclass(frozen=True)
class JobRun:
    """A run of a pg_cron job, from its run details; ``calls`` if its command calls the rollup."""

    jobid: int
    started_at: datetime
    ended_at: datetime | None
    calls: bool = False


@dataclass(frozen=True)
class PgCron:
    """pg_cron as ``role`` sees it. ``database`` is where the extension is; None if unknown.

    ``jobs`` is complete only if ``visibility`` is full (docs/contract.md section 5). ``calls`` are
    the jobs that lead to the rollup and that a launcher starts. ``runs`` are their latest runs and
    those of jobs that are gone, newest first, as far as this role sees them; ``runs_unseen`` says
    why it may not see them all. ``runs_since`` is when the run details of every job begin; None if
    there are none. ``nodes`` has, by jobid, the nodes that are not known to be Multica's server.
    ``port`` is the asked server's; None if its jobs were not read. ``server`` is that server's
    number; empty if it is hidden or there are no calls.
    """

    visibility: Visibility
    version: str | None = None
    database: str | None = None
    jobs: tuple[PgCronJob, ...] = ()
    role: str | None = None
    calls: tuple[RollupCall, ...] = ()
    launcher: Launcher = Launcher.UNKNOWN
    runs: tuple[JobRun, ...] = ()
    runs_unseen: Problem | None = None
    runs_since: datetime | None = None
    nodes: Mapping[int, str] = field(default_factory=dict)
    port: int | None = None
    server: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether every job is known. Without pg_cron there are none."""
        return self.visibility in {Visibility.FULL, Visibility.ABSENT}

    def may_be_at(self, server: str, database: str) -> bool:
        """Whether this may be the pg_cron in that database, on the server with that number."""
        return self.database is None or is_same_place(
            (self.server, self.database), (server, database)
        )

    def tells_of(self, moment: datetime) -> bool:
        """Whether every job that ran at that moment is known, even if it is gone now."""
        if self.visibility is Visibility.ABSENT:
            return True
        return (
            self.visibility is Visibility.FULL
            and self.runs_unseen is None
            and self.runs_since is not None
            and self.runs_since <= moment
        )


def is_same_place(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs of a server's number and a database mean the same database.

    A server that hides its number has an empty one. Then only the database's name counts.
    """
    known = one[0] and other[0]
    return one == other if known else one[1] == other[1]
