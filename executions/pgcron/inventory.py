"""Which pg_cron jobs a role can see, which of them lead to the rollup, and what it may do to them.

It changes nothing. "No job" and "not allowed to see jobs" are different answers, so the visibility
is proved first: docs/contract.md section 5. How a command is judged is in `match.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from psycopg import errors

from executions.database.problems import (
    PgCronObjects,
    database_error,
    first_line,
    is_database_error,
)
from executions.database.reading import Fetch, Row
from executions.database.sql import load
from executions.health.facts.pg_cron import Launcher, PgCron, PgCronJob, RollupCall, Visibility
from executions.pgcron.job import (
    Candidate,
    Inventory,
    Job,
    JobProcess,
    Rights,
    RunDetails,
    Server,
    connects_here,
    runs_in_flight,
)
from executions.pgcron.match import (
    DEPTH,
    TARGETS,
    FunctionSource,
    Judgement,
    Resolver,
    judge_command,
    resolve_nothing,
)

SQL = load("pgcron")

_LACKING = (errors.UndefinedTable, errors.UndefinedColumn, errors.UndefinedFunction)

# Without the columns and tables of this version nothing can be told of a job.
OLDEST = (1, 3)
MOST_JOBS = 5_000
# How many of the newest rows of cron.job_run_details are looked at.
RUNS_WITHIN = 5_000
RUNS_SHOWN = 5


def visible_jobs(fetch: Fetch) -> PgCron:
    """The jobs that this role is shown, with how complete that is.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    fetch = of_cron(fetch)
    return _seen(read_sight(fetch), fetch)


def of_cron(fetch: Fetch) -> Fetch:
    """The same, but what pg_cron's own objects lack is never told as a lack of Multica's."""

    def asked(statement: str, values: Mapping[str, object]) -> list[Row]:
        try:
            return fetch(statement, values)
        except Exception as error:
            found = database_error(error)
            if not isinstance(found, _LACKING):
                raise
            raise PgCronObjects(f"cannot be used: {first_line(found)}") from error

    return asked


def read_sight(fetch: Fetch) -> Row:
    """What this role may see of pg_cron, and where pg_cron is.

    Raises:
        PgCronObjects: its objects are older than `OLDEST`.
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (sight,) = fetch(SQL.sight, {})
    version = re.match(r"(\d+)\.(\d+)", sight["version"] or "")
    if version and (int(version[1]), int(version[2])) < OLDEST:
        raise PgCronObjects(
            f"in the database {sight['here']} are of version {sight['version']}, and this needs"
            f" {OLDEST[0]}.{OLDEST[1]} or newer"
        )
    return sight


def _seen(sight: Row, fetch: Fetch) -> PgCron:
    if sight["version"] is None:
        visibility, database = _elsewhere(sight, fetch)
        return PgCron(visibility, database=database, role=sight["role"])
    if not sight["may_read"]:
        return PgCron(Visibility.NO_ACCESS, sight["version"], sight["here"], role=sight["role"])
    jobs = tuple(Job(**row) for row in fetch(SQL.jobs, {"most": MOST_JOBS}))
    filtered = sight["filtered"] or len(jobs) == MOST_JOBS
    visibility = Visibility.FILTERED if filtered else Visibility.FULL
    return PgCron(
        visibility,
        sight["version"],
        sight["here"],
        jobs,
        sight["role"],
        launcher=_launcher(sight),
        port=sight["port"],
    )


def _launcher(sight: Row) -> Launcher:
    """Every role is shown that the launcher's session is there; what it is set to, not every one.

    On a standby there is none, and it says nothing about the primary's. In the first seconds of the
    server it may be about to start.
    """
    if sight["is_standby"]:
        return Launcher.UNKNOWN
    if sight["launcher_runs"]:
        return Launcher.OFF if sight["launches"] == "off" else Launcher.RUNNING
    if sight["reads_settings"] and "pg_cron" not in (sight["libraries"] or ""):
        return Launcher.NOT_LOADED
    return Launcher.UNKNOWN if sight["server_begins"] else Launcher.MISSING


def _elsewhere(sight: Row, fetch: Fetch) -> tuple[Visibility, str | None]:
    """Without the extension here: in which database it is, or whether it can be nowhere."""
    database = sight["launcher_database"]
    if database is None and sight["reads_settings"]:
        loaded = "pg_cron" in (sight["libraries"] or "")
        database = sight["configured_database"] if loaded else None
    elif database is None and _library_is_loaded(fetch):
        return Visibility.UNKNOWN, None
    if database is None or database == sight["here"]:
        return Visibility.ABSENT, None
    return Visibility.ELSEWHERE, database


def _library_is_loaded(fetch: Fetch) -> bool:
    """A role that may not read pg_cron's settings is refused them only where they exist."""
    try:
        fetch(SQL.library_loaded, {})
    except Exception as error:
        if isinstance(database_error(error), errors.InsufficientPrivilege):
            return True
        raise
    return False


def read_server(fetch: Fetch) -> Server:
    """The database that ``fetch`` asks, so that it can be told from others.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does. Never call it inside a transaction:
            a server that keeps its number to itself refuses one of the two statements.
    """
    (row,) = fetch(SQL.server, {})
    try:
        (found,) = fetch(SQL.system_identifier, {})
    except Exception as error:
        if not isinstance(database_error(error), errors.InsufficientPrivilege):
            raise
        found = {"identifier": ""}
    return Server(**found, **row)


def unknown_nodes(
    jobs: Sequence[Job], port: int | None, fetch: Fetch, fetch_multica: Fetch
) -> dict[int, str]:
    """Where those jobs connect to that are not known to run on Multica's server, by jobid.

    ``fetch`` is what the jobs were read with, and ``port`` is its server's. Nothing is read where
    they all connect to that port by a name that every server has; otherwise one read, or two if
    ``fetch`` is not Multica's.

    Raises:
        django.db.Error, psycopg.Error: as the two do.
    """
    own = port is not None and all(connects_here(job, port) for job in jobs)
    if own and fetch is fetch_multica:
        return {}
    (row,) = fetch(SQL.server, {})
    here = there = Server(identifier="", **row)
    if fetch is not fetch_multica:
        (row,) = fetch_multica(SQL.server, {})
        there = Server(identifier="", **row)
    return {
        job.jobid: job.node for job in jobs if not (here.holds(job) and here.is_same_server(there))
    }


def read_inventory(fetch: Fetch, fetch_multica: Fetch) -> Inventory:
    """Every visible job that leads to the rollup. Not to be called inside a transaction.

    ``fetch`` asks pg_cron's database, ``fetch_multica`` Multica's; they may be the same.

    Raises:
        django.db.Error, psycopg.Error: as the two do.
    """
    fetch = of_cron(fetch)
    sight = read_sight(fetch)
    seen = _seen(sight, fetch)
    server = read_server(fetch)
    inventory = Inventory(
        seen.visibility,
        server.role,
        seen.version,
        seen.database,
        server,
        launcher=_launcher(sight) if seen.version is not None else Launcher.UNKNOWN,
    )
    if seen.visibility not in {Visibility.FULL, Visibility.FILTERED}:
        return inventory
    jobs = [job for job in seen.jobs if isinstance(job, Job)]
    look = JobReader(fetch, fetch_multica, server, _server_or_none(fetch_multica))
    candidates = look.candidates(jobs)
    orphans: tuple[Job, ...] = ()
    if inventory.launcher is Launcher.MISSING:
        orphans = tuple(Job(**row) for row in fetch(SQL.orphans, {}))
    hidden = sight["estimate"] - len(jobs) if seen.visibility is Visibility.FILTERED else 0
    return replace(
        inventory,
        candidates=candidates,
        others=len(jobs) - len(candidates),
        hidden=max(hidden, 0),
        orphans=orphans,
    )


def _server_or_none(fetch_multica: Fetch) -> Server | None:
    try:
        return read_server(fetch_multica)
    except Exception as error:
        if not is_database_error(error):
            raise
        return None


def read_job(fetch: Fetch, jobid: int) -> Job | None:
    """The job as it is now; None where it is gone or hidden.

    Raises:
        psycopg.Error: as ``fetch`` does, above all without USAGE on schema cron.
    """
    rows = of_cron(fetch)(SQL.job, {"jobid": jobid})
    return Job(**rows[0]) if rows else None


def highest_jobid(fetch: Fetch) -> int:
    """The highest number among the jobs that are shown: one that is scheduled later has a higher.

    Raises:
        psycopg.Error: as `read_job`.
    """
    (row,) = of_cron(fetch)(SQL.highest, {})
    return row["jobid"] or 0


def read_calls(
    jobs: Iterable[PgCronJob], database: str, fetch_multica: Fetch
) -> tuple[RollupCall, ...]:
    """How the active ones of these jobs that run in Multica's ``database`` lead to the rollup.

    What may lead there and is not known to is left out. At most one read, of the functions there
    that can lead to it, however many jobs there are.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch_multica`` does.
    """
    here = [job for job in jobs if job.active and job.database == database]
    if not here:
        return ()
    ground = _ground_of(fetch_multica(SQL.ways, _asked_of(here, DEPTH)))
    names = {function.name for function in ground.functions}

    def resolve(schema: str | None, name: str) -> list[FunctionSource]:
        return [
            one for one in ground.functions if one.name == name and schema in {None, one.schema}
        ]

    judged = [
        (job, judge_command(job.command, resolve, ground.homes, ground.meanings.get(job.owner)))
        for job in here
    ]
    return tuple(
        RollupCall(job, found.match, found.functions[0], gone=found.functions[0] not in names)
        for job, found in judged
        if found is not None and found.leads_there
    )


@dataclass(frozen=True)
class _Ground:
    """What names mean in Multica's database.

    ``meanings`` has, for each owner of whom it is known, the schema in which the bare name of the
    rollup finds a function: an empty one where it finds none.
    """

    homes: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)
    functions: tuple[FunctionSource, ...] = ()


def _asked_of(jobs: Iterable[PgCronJob], steps: int) -> Mapping[str, object]:
    """For what names mean to the owners of these jobs, and functions so many steps away."""
    owners = sorted({job.owner for job in jobs})
    return {"owners": owners, "targets": sorted(TARGETS), "steps": steps}


def _ground_of(rows: Sequence[Row]) -> _Ground:
    names = rows[0]
    return _Ground(
        (names["home"],) if names["home"] else (),
        dict(zip(names["owners"], names["meanings"], strict=True)),
        tuple(
            FunctionSource(row["schema"], row["name"], row["language"], row["definition"])
            for row in rows
            if row["name"] is not None
        ),
    )


def read_backends(fetch: Fetch) -> tuple[JobProcess, ...]:
    """The processes that pg_cron runs jobs on now."""
    return tuple(JobProcess(**row) for row in of_cron(fetch)(SQL.backends, {"within": RUNS_WITHIN}))


class JobReader:
    """One look at jobs: judges commands, and reads rights, runs and processes once for all.

    It is safe inside a transaction once the two servers are known.
    """

    def __init__(
        self, fetch: Fetch, fetch_multica: Fetch, server: Server, multica: Server | None
    ) -> None:
        self._fetch = of_cron(fetch)
        self._fetch_multica = fetch_multica
        self.server = server
        self.multica = multica

    def candidates(self, jobs: Sequence[Job]) -> tuple[Candidate, ...]:
        """Those of the jobs that lead to the rollup."""
        rows = self._quietly(self._fetch_multica, SQL.ways, _asked_of(jobs, steps=0))
        ground = _ground_of(rows) if rows else _Ground()
        judged = [(job, self._judge(job, ground)) for job in jobs]
        leading = [(job, found) for job, found in judged if found is not None]
        if not leading:
            return ()
        runs = self._runs([job.jobid for job, _found in leading])
        backends = read_backends(self._fetch)
        (rights,) = self._fetch(SQL.rights, {})
        return tuple(
            Candidate(
                job,
                found,
                rights_over(job, rights, self.server.database),
                self._same_database(job),
                runs_in_flight(job, backends),
                tuple(runs.get(job.jobid, ()))[:RUNS_SHOWN],
                self._exists(found.legacy_function),
                self.server,
                self.multica,
                rights["loaded"],
            )
            for job, found in leading
        )

    def _judge(self, job: Job, ground: _Ground) -> Judgement | None:
        """In another database than Multica's nobody looks what a bare name means to its owner."""
        meaning = ground.meanings.get(job.owner) if self._same_database(job) else None
        return judge_command(job.command, self._resolver(job), ground.homes, meaning)

    def _resolver(self, job: Job) -> Resolver:
        """Looks functions up in the database that the job runs in, where that can be reached."""
        if self.server.holds(job) and job.database == self.server.database:
            return self._resolve_with(self._fetch)
        if self._same_database(job):
            return self._resolve_with(self._fetch_multica)
        return resolve_nothing

    def _resolve_with(self, fetch: Fetch) -> Callable[[str | None, str], Sequence[FunctionSource]]:
        def resolve(schema: str | None, name: str) -> Sequence[FunctionSource]:
            rows = fetch(SQL.functions, {"schema": schema, "name": name})
            return [FunctionSource(**row) for row in rows]

        return resolve

    def _same_database(self, job: Job) -> bool | None:
        """None where nobody can tell: a node that is not known may be any server, Multica's too."""
        if self.multica is None:
            return None
        if job.database != self.multica.database:
            return False
        holds = self.server.holds(job)
        return holds and self.server.is_same_server(self.multica)

    def _exists(self, function: str | None) -> bool | None:
        if function is None:
            return None
        rows = self._quietly(self._fetch_multica, SQL.function_exists, {"name": function})
        return None if rows is None else bool(rows[0]["found"])

    def _runs(self, jobids: list[int]) -> dict[int, list[RunDetails]]:
        rows = self._fetch(
            SQL.runs,
            {"within": RUNS_WITHIN, "jobids": jobids, "most": RUNS_SHOWN * len(jobids) * 4},
        )
        runs: dict[int, list[RunDetails]] = {}
        for row in rows:
            runs.setdefault(row.pop("jobid"), []).append(RunDetails(**row))
        return runs

    @staticmethod
    def _quietly(fetch: Fetch, statement: str, values: Mapping[str, object]) -> list[Row] | None:
        """None where Multica's database cannot be asked: then it is simply not known."""
        try:
            return fetch(statement, values)
        except Exception as error:
            if not is_database_error(error):
                raise
            return None


def rights_over(job: Job, may: Row, database: str) -> Rights:
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
