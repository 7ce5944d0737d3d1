"""Which pg_cron jobs lead to the rollup, and what this role may do to them. It changes nothing.

`sight.py` reads what the role sees at all, `match.py` judges a command.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from executions.database.problems import DATABASE_ERRORS
from executions.database.reading import Fetch, Row
from executions.database.sql import load
from executions.health.facts.pg_cron import Launcher, Visibility
from executions.pgcron.calls import Meanings, asked_of, meanings_of
from executions.pgcron.job import (
    Candidate,
    Inventory,
    Job,
    JobProcess,
    PgCronServer,
    RunDetails,
    rights_over,
    runs_in_flight,
)
from executions.pgcron.match import (
    FunctionSource,
    Judgement,
    Resolver,
    judge_command,
    resolve_nothing,
)
from executions.pgcron.runs import RUNS_WITHIN
from executions.pgcron.servers import read_server, server_or_none
from executions.pgcron.sight import launcher_of, of_cron, read_sight, seen_with

SQL = load("pgcron")

RUNS_SHOWN = 5


def read_inventory(fetch: Fetch, fetch_multica: Fetch) -> Inventory:
    """Every visible job that leads to the rollup. Never call it inside a transaction.

    ``fetch`` reads pg_cron's database, ``fetch_multica`` Multica's; they may be the same.

    Raises:
        django.db.Error, psycopg.Error: as the two do.
    """
    fetch = of_cron(fetch)
    sight = read_sight(fetch)
    seen = seen_with(sight, fetch)
    server = read_server(fetch)
    inventory = Inventory(
        seen.visibility,
        server.role,
        seen.version,
        seen.database,
        server,
        launcher=launcher_of(sight) if seen.version is not None else Launcher.UNKNOWN,
    )
    if seen.visibility not in {Visibility.FULL, Visibility.FILTERED}:
        return inventory
    jobs = [job for job in seen.jobs if isinstance(job, Job)]
    look = JobReader(fetch, fetch_multica, server, server_or_none(fetch_multica))
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


def read_job(fetch: Fetch, jobid: int) -> Job | None:
    """The job as it is now; None if it is gone or hidden.

    Raises:
        psycopg.Error: as ``fetch`` does, above all without USAGE on schema cron.
    """
    rows = of_cron(fetch)(SQL.jobs, {"jobid": jobid, "most": 1})
    return Job(**rows[0]) if rows else None


def highest_jobid(fetch: Fetch) -> int:
    """The highest number among the visible jobs. A job that is scheduled later has a higher one.

    Raises:
        psycopg.Error: as `read_job`.
    """
    (row,) = of_cron(fetch)(SQL.highest, {})
    return row["jobid"] or 0


def read_rights(fetch: Fetch) -> Row:
    """What this role may call of pg_cron's functions, for `rights_over`.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    (may,) = fetch(SQL.rights, {})
    return may


def read_backends(fetch: Fetch) -> tuple[JobProcess, ...]:
    """The processes that pg_cron runs jobs on now."""
    return tuple(JobProcess(**row) for row in of_cron(fetch)(SQL.backends, {"within": RUNS_WITHIN}))


class JobReader:
    """One look at jobs. It judges commands, and reads rights, runs and processes once for all.

    It is safe inside a transaction once the two servers are known.
    """

    def __init__(
        self, fetch: Fetch, fetch_multica: Fetch, server: PgCronServer, multica: PgCronServer | None
    ) -> None:
        self._fetch = of_cron(fetch)
        self._fetch_multica = fetch_multica
        self.server = server
        self.multica = multica

    def candidates(self, jobs: Sequence[Job]) -> tuple[Candidate, ...]:
        rows = self._quietly(self._fetch_multica, SQL.ways, asked_of(jobs, steps=0))
        names = meanings_of(rows) if rows else Meanings()
        judged = [(job, self._judge(job, names)) for job in jobs]
        leading = [(job, found) for job, found in judged if found is not None]
        if not leading:
            return ()
        runs = self._runs([job.jobid for job, _found in leading])
        backends = read_backends(self._fetch)
        rights = read_rights(self._fetch)
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

    def _judge(self, job: Job, names: Meanings) -> Judgement | None:
        """Outside Multica's database nobody resolves what a bare name means to the owner."""
        meaning = names.by_owner.get(job.owner) if self._same_database(job) else None
        return judge_command(job.command, self._resolver(job), names.homes, meaning)

    def _resolver(self, job: Job) -> Resolver:
        """Looks functions up in the job's database, if that can be reached."""
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
        """None if nobody can tell: an unknown node may be any server, Multica's too."""
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
        """None if Multica's database cannot be asked: then the answer is not known."""
        try:
            return fetch(statement, values)
        except DATABASE_ERRORS:
            return None
