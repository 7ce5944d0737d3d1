"""PURE: what a role is shown of pg_cron: its launcher, its jobs and their runs.

`pgcron/` reads it; nothing here judges a command.
"""

from __future__ import annotations

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
class PgCron:
    """pg_cron as ``role`` sees it. ``database`` is where the extension is, None if unknown.

    ``jobs`` is complete only where ``visibility`` is full (docs/contract.md section 5); ``calls``
    are those of them that lead to the rollup and that a launcher starts. ``runs`` are the latest
    runs of these and of jobs that are gone, newest first, as far as this role is shown them, and
    ``runs_unseen`` says why it is not shown them all; None where nothing is in the way.
    ``runs_since`` is from when on there are run details of every job, None where there are none.
    ``nodes`` has, by jobid, where jobs connect to that are not known to run on Multica's server.
    ``port`` is that of the server that was asked, None where its jobs were not looked at.
    ``server`` is that server's own number, empty if it keeps it to itself or there are no calls.
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
        """Whether every job of it is known; none where there is no pg_cron."""
        return self.visibility in {Visibility.FULL, Visibility.ABSENT}

    def may_be_at(self, server: str, database: str) -> bool:
        """Whether this may be the pg_cron in that database of the server of that number."""
        return self.database is None or is_same_place(
            (self.server, self.database), (server, database)
        )

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


def is_same_place(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Whether two pairs of a server's number and a database are the same database.

    A server that keeps its number to itself, so that it is empty, is told by its database only.
    """
    known = one[0] and other[0]
    return one == other if known else one[1] == other[1]
