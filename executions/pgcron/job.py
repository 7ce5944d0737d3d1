"""PURE: what can be known about pg_cron's jobs, as frozen values, and what follows from them.

`inventory.py` reads them. Here it is decided which backend is a run of which job, whether a job
runs in Multica's database, and what has changed between two looks at one job.
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

# What identifies a job as the one that was confirmed, in the order in which changes are told.
DEFINITION = (
    "jobname", "owner", "schedule", "command", "database", "active", "nodename", "nodeport",
    "both_days",
)  # fmt: skip
# How a person names the parts of a job, by the names of `Job` and by those of ``cron.job``.
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
# A run's statuses that are not final. They prove nothing: after a restart they stay for ever.
UNFINISHED = frozenset({"starting", "connecting", "sending", "running"})
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Job(PgCronJob):
    """One row of ``cron.job``, whole."""

    nodename: str = "localhost"
    nodeport: int = 5432

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Job:
        """From `as_json`; what a record of an older version lacks is not known."""
        known = {one.name: stored[one.name] for one in fields(cls) if one.name in stored}
        known.setdefault("both_days", None)
        return cls(**known)

    @property
    def label(self) -> str:
        """How a person names it: its name, or its number where it has none."""
        return (self.jobname or "").strip() or f"job {self.jobid}"

    @property
    def node(self) -> str:
        """Where pg_cron connects to for it."""
        return f"{self.nodename}:{self.nodeport}"

    @property
    def fingerprint(self) -> str:
        """Equal for two looks at the same job with the same definition."""
        content = json.dumps(self.as_json(), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:32]

    def differences(self, later: Job) -> dict[str, tuple[object, object]]:
        """What changed from this look to a later one: field, then and now.

        The server's rule for days is no part of the job's row: where one of the two looks could not
        read it, because of an older version or fewer rights, nothing is known to have changed.
        """
        return {
            name: (getattr(self, name), getattr(later, name))
            for name in ("jobid", *DEFINITION)
            if getattr(self, name) != getattr(later, name)
            and (name != "both_days" or None not in {self.both_days, later.both_days})
        }

    def is_still(self, later: Job | None) -> bool:
        """Whether a later look, None where it found no job, found this very one unchanged."""
        return later is not None and not self.differences(later)


@dataclass(frozen=True)
class RunDetails:
    """One row of ``cron.job_run_details``."""

    runid: int
    pid: int | None
    status: str
    message: str | None
    started_at: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True)
class JobProcess:
    """A server process that pg_cron runs a job on.

    ``query`` is None where this role may not see it. ``jobid`` is the job whose newest run details
    name this process, None where none does or they cannot be seen.
    """

    pid: int
    started_at: datetime | None
    user: str | None
    database: str | None
    query: str | None
    jobid: int | None = None

    def may_run(self, job: Job) -> bool:
        """Whether this may be a run of the job: what cannot be told apart counts as one.

        The server cuts a query's text at ``track_activity_query_size``.
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
    """What this role may do to one job (docs/contract.md section 5). Three different things."""

    role: str
    retire: bool
    deactivate: bool
    put_back: bool

    @property
    def undo_trial(self) -> bool:
        """Activating a job again takes the same right as deactivating it."""
        return self.deactivate


@dataclass(frozen=True)
class Server:
    """The database that pg_cron is reached in.

    ``identifier`` and ``started_at`` together tell two servers apart, a copy included.
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

    def is_same_server(self, other: Server) -> bool:
        return (self.identifier, self.started_at) == (other.identifier, other.started_at)

    @property
    def place(self) -> tuple[str, str]:
        """What a record keeps of it: the server's number, and the database."""
        return self.identifier, self.database

    def is_place(self, identifier: str, database: str) -> bool:
        """Whether this is the database on record, on the server of that number."""
        return is_same_place(self.place, (identifier, database))

    @property
    def names(self) -> tuple[str, ...]:
        """The host names and addresses that are known to be this server's."""
        known = (*_LOOPBACK, self.address, self.cron_host)
        return tuple(dict.fromkeys(name for name in known if name))

    def holds(self, job: Job) -> bool | None:
        """Whether the job connects to this very server; None where nobody can tell.

        With background workers the node is ignored. Otherwise it is where libpq connects to, and
        a name or a port that is not known here may still lead here, through DNS or a pooler.
        """
        if self.background_workers:
            return True
        return True if connects_here(job, self.port, self.names) else None


def connects_here(job: Job, port: int, names: Iterable[str] = _LOOPBACK) -> bool:
    """Whether the job's node is this server for certain: by its port and a name that is its own."""
    is_own_name = job.nodename in {"", *names} or job.nodename.startswith(("/", "@"))
    return is_own_name and job.nodeport == port


@dataclass(frozen=True)
class Candidate:
    """A job that leads to the rollup. ``same_database`` is None where it cannot be known.

    ``server`` is where pg_cron was reached, ``multica`` where Multica was: None if it was not.
    ``loaded`` says whether the server loads pg_cron's library, without which no role can call its
    functions; None where this role may not know.
    """

    job: Job
    judgement: Judgement
    rights: Rights
    same_database: bool | None
    in_flight: tuple[JobProcess, ...]
    runs: tuple[RunDetails, ...] = ()
    legacy_function_exists: bool | None = None
    server: Server | None = None
    multica: Server | None = None
    loaded: bool | None = None

    @property
    def match(self) -> Match:
        return self.judgement.match

    @property
    def standby(self) -> str:
        """The variable that names a standby; empty where none does."""
        if self.multica is not None and self.multica.is_standby:
            return "DATABASE_URL"
        return "RETIRE_DATABASE_URL" if self.server and self.server.is_standby else ""


@dataclass(frozen=True)
class Inventory:
    """Every job that this role can see and that leads to the rollup, or of which nobody can tell.

    ``others`` are the visible jobs that do not. Both are complete only where ``visibility`` is
    full; ``hidden`` is how many jobs are proved to be hidden at least. ``database`` is where the
    extension is, None where nobody can tell. ``orphans`` are jobs whose owner does not exist,
    looked for where the launcher is missing: with one of those it ends each time it starts.
    """

    visibility: Visibility
    role: str | None = None
    version: str | None = None
    database: str | None = None
    server: Server | None = None
    candidates: tuple[Candidate, ...] = ()
    others: int | None = None
    hidden: int = 0
    launcher: Launcher = Launcher.UNKNOWN
    orphans: tuple[PgCronJob, ...] = ()
    reason: str = ""

    @property
    def complete(self) -> bool:
        """Whether an empty list proves that there is none."""
        return self.visibility in {Visibility.FULL, Visibility.ABSENT}

    @property
    def installed(self) -> bool:
        return self.version is not None

    @property
    def other_workloads(self) -> int | None:
        """Jobs of pg_cron's that have nothing to do with the rollup; None where some may hide."""
        return self.others if self.visibility is Visibility.FULL else None

    def candidate(self, jobid: int) -> Candidate | None:
        return next((one for one in self.candidates if one.job.jobid == jobid), None)


def part_in_words(name: str) -> str:
    """What a person calls a part of a job; a column that we do not know keeps its own name."""
    return str(_PARTS.get(name, name))


def runs_in_flight(job: Job, backends: Iterable[JobProcess]) -> tuple[JobProcess, ...]:
    """The backends that run the job now, judged by process and not by status."""
    return tuple(backend for backend in backends if backend.may_run(job))


def rights_over(job: Job, may: Mapping[str, Any], database: str) -> Rights:
    """What a role may do to one job, from what it may call (docs/contract.md section 5).

    ``database`` is where pg_cron is: only there can a job be scheduled without naming one.
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
