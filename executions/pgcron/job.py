"""PURE: what can be known about pg_cron's jobs, as frozen values, and what follows from them.

`inventory.py` reads them. This module decides which backend runs which job, whether a job runs in
Multica's database, and what changed between two looks at a job.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts.pg_cron import Launcher, Match, PgCronJob, Visibility, is_same_place
from executions.pgcron.match import Judgement

# What identifies a job as the confirmed one, in the order in which differences are listed.
DEFINITION = (
    "jobname", "owner", "schedule", "command", "database", "active", "nodename", "nodeport",
    "both_days",
)  # fmt: skip
# The words for the parts of a job, by the names of `Job` and of ``cron.job``.
_PARTS: Mapping[str, Promise] = {
    "jobid": _("number"),
    "jobname": _("name"),
    "owner": _("owner"),
    "username": _("owner"),
    "schedule": _("schedule"),
    "command": _("command"),
    "database": _("database"),
    "active": _("state, active or not"),
    "nodename": _("host"),
    "nodeport": _("port"),
    "both_days": _("rule for two kinds of day (cron.dom_dow_and_logic)"),
}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Job(PgCronJob):
    """A whole row of ``cron.job``."""

    nodename: str = "localhost"
    nodeport: int = 5432

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Job:
        """A job from `as_json`. A value that an older version did not record is unknown."""
        known = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
        known.setdefault("both_days", None)
        return cls(**known)

    @property
    def label(self) -> str:
        """The job's name for people: its own name, or its number if it has none."""
        return (self.jobname or "").strip() or f"job {self.jobid}"

    @property
    def node(self) -> str:
        """The address that pg_cron connects to for the job."""
        return f"{self.nodename}:{self.nodeport}"

    @property
    def fingerprint(self) -> str:
        """A digest that is equal for two looks at the same job with the same definition."""
        content = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def differences(self, later: Job) -> dict[str, tuple[object, object]]:
        """What changed from this look to a later one: field, then, now.

        The server's rule for days is not part of the job's row. If an older version or missing
        rights kept one look from reading it, it counts as unchanged.
        """
        return {
            name: (getattr(self, name), getattr(later, name))
            for name in ("jobid", *DEFINITION)
            if getattr(self, name) != getattr(later, name)
            and (name != "both_days" or None not in {self.both_days, later.both_days})
        }

    def is_still(self, later: Job | None) -> bool:
        """Whether a later look found exactly this job. ``later`` is None if it found no job."""
        return later is not None and not self.differences(later)


@dataclass(frozen=True)
class RunDetails:
    """One row of ``cron.job_run_details``."""

    pid: int | None
    status: str
    message: str | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class JobProcess:
    """A server process on which pg_cron runs a job.

    ``query`` is None if this role may not see it. ``jobid`` is the job whose newest run details
    name this process; None if there are none or they cannot be seen.
    """

    pid: int
    started_at: datetime | None
    user: str | None
    database: str | None
    query: str | None
    jobid: int | None = None

    def may_run(self, job: Job) -> bool:
        """Whether this may be a run of the job. A process that cannot be told apart counts as one.

        The server truncates a query's text at ``track_activity_query_size``.
        """
        if self.jobid is not None:
            return self.jobid == job.jobid
        if (self.user, self.database) != (job.owner, job.database):
            return False
        return self.query is None or job.command.startswith(self.query)

    def as_json(self) -> dict[str, object]:
        return {"pid": self.pid, "started_at": self.started_at}


@dataclass(frozen=True)
class Rights:
    """What this role may do to one job: three separate rights (docs/contract.md section 5)."""

    role: str
    retire: bool
    deactivate: bool
    put_back: bool


@dataclass(frozen=True)
class PgCronServer:
    """The database in which pg_cron is reached.

    ``identifier`` and ``started_at`` together distinguish two servers, even if one is a copy.
    """

    identifier: str
    started_at: datetime
    database: str
    port: int
    address: str | None
    cron_host: str | None
    background_workers: bool | None
    role: str
    now: datetime
    is_standby: bool = False

    def is_same_server(self, other: PgCronServer) -> bool:
        return (self.identifier, self.started_at) == (other.identifier, other.started_at)

    @property
    def place(self) -> tuple[str, str]:
        """What a record stores: the server's number, and the database."""
        return self.identifier, self.database

    def is_place(self, identifier: str, database: str) -> bool:
        """Whether this is the recorded database, on the server with that number."""
        return is_same_place(self.place, (identifier, database))

    @property
    def names(self) -> tuple[str, ...]:
        """The host names and addresses that are known to be this server's."""
        known = (*_LOOPBACK, self.address, self.cron_host)
        return tuple(dict.fromkeys(name for name in known if name))

    def holds(self, job: Job) -> bool | None:
        """Whether the job connects to this very server; None if nobody can tell.

        With background workers the node is ignored. Otherwise libpq connects to it, and an unknown
        name or port may still lead here through DNS or a pooler.
        """
        if self.background_workers:
            return True
        return True if connects_here(job, self.port, self.names) else None


def connects_here(job: Job, port: int, names: Iterable[str] = _LOOPBACK) -> bool:
    """Whether the job's node is certainly this server, by its port and one of its names."""
    is_own_name = job.nodename in {"", *names} or job.nodename.startswith(("/", "@"))
    return is_own_name and job.nodeport == port


@dataclass(frozen=True)
class Candidate:
    """A job that leads to the rollup. ``same_database`` is None if it cannot be known.

    ``server`` is where pg_cron was reached, ``multica`` where Multica was; None if it was not.
    ``loaded`` says whether the server loads pg_cron's library, without which no role can call its
    functions; None if this role may not know.
    """

    job: Job
    judgement: Judgement
    rights: Rights
    same_database: bool | None
    in_flight: tuple[JobProcess, ...]
    runs: tuple[RunDetails, ...] = ()
    legacy_function_exists: bool | None = None
    server: PgCronServer | None = None
    multica: PgCronServer | None = None
    loaded: bool | None = None

    @property
    def match(self) -> Match:
        return self.judgement.match

    @property
    def standby(self) -> str:
        """The variable that names a standby; empty if none does."""
        if self.multica is not None and self.multica.is_standby:
            return "DATABASE_URL"
        return "RETIRE_DATABASE_URL" if self.server and self.server.is_standby else ""


@dataclass(frozen=True)
class Inventory:
    """Every visible job that leads to the rollup or may do so.

    ``others`` are the visible jobs that do not. Both lists are complete only if ``visibility`` is
    full; ``hidden`` is the proven minimum of hidden jobs. ``database`` is where the extension is;
    None if nobody can tell. ``orphans`` are jobs whose owner does not exist. They are read if the
    launcher is missing, because with such a job it ends on each start.
    """

    visibility: Visibility
    role: str | None = None
    version: str | None = None
    database: str | None = None
    server: PgCronServer | None = None
    candidates: tuple[Candidate, ...] = ()
    others: int | None = None
    hidden: int = 0
    launcher: Launcher = Launcher.UNKNOWN
    orphans: tuple[PgCronJob, ...] = ()
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether an empty list proves that there is no job."""
        return self.visibility in {Visibility.FULL, Visibility.ABSENT}

    @property
    def installed(self) -> bool:
        return self.version is not None

    @property
    def other_workloads(self) -> int | None:
        """The number of pg_cron's jobs unrelated to the rollup; None if some may be hidden."""
        return self.others if self.visibility is Visibility.FULL else None

    def candidate(self, jobid: int) -> Candidate | None:
        return next((one for one in self.candidates if one.job.jobid == jobid), None)


def part_in_words(name: str) -> str:
    """The word for a part of a job. An unknown column keeps its own name."""
    return str(_PARTS.get(name, name))


def runs_in_flight(job: Job, backends: Iterable[JobProcess]) -> tuple[JobProcess, ...]:
    """The backends that run the job now, judged by process and not by status."""
    return tuple(backend for backend in backends if backend.may_run(job))


def rights_over(job: Job, may: Mapping[str, Any], database: str) -> Rights:
    """What a role may do to one job, from what it may call (docs/contract.md section 5).

    ``database`` is pg_cron's own. Only there can a job be scheduled without naming a database.
    """
    own = job.owner == may["role"]
    master = bool(may["superuser"])
    plain = job.database == database and job.active
    if job.jobname is None:
        again = may["schedule_unnamed"] and (may["alter_job"] or (own and plain))
    else:
        again = may["schedule_in_database"] or (own and plain and may["schedule_named"])
    return Rights(
        role=may["role"],
        retire=may["unschedule"] and (own or master or may["may_delete"]),
        deactivate=may["alter_job"] and (own or master),
        put_back=bool(again) and (own or master),
    )
