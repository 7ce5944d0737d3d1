"""What is left of a job that was removed: its run details, pg_cron itself, its owner.

It only reads. Nothing that it finds has to go.
"""

from dataclasses import dataclass

from psycopg import errors

from executions.database.problems import RowsHidden
from executions.database.reading import Fetch
from executions.database.sql import load
from executions.pgcron.job import Job
from executions.pgcron.runs import refuse_hidden_runs
from executions.pgcron.sight import of_cron, read_sight

SQL = load("pgcron")

# More run details of one job are not counted: half a year of a job that runs every five minutes.
MOST_COUNTED = 50_000


@dataclass(frozen=True)
class RunDetailsLeft:
    """The run details of one job. ``runs`` is None if they could not be counted in time.

    ``bytes`` is the size of its rows, ``all_bytes`` that of the table with every job's.
    ``hidden`` says that row security may hide some from this role.
    """

    runs: int | None
    bytes: int
    all_bytes: int
    hidden: bool

    @property
    def is_more(self) -> bool:
        """Whether there may be more than were counted."""
        return self.runs == MOST_COUNTED


@dataclass(frozen=True)
class OwnerLeft:
    """The owner of the job, who is for nothing else on this server that the catalogs know.

    ``databases`` are those in which the role has rights.
    """

    name: str
    databases: tuple[str, ...]


@dataclass(frozen=True)
class Remains:
    """What is left of a removed job. ``other_jobs`` is None if this role does not see all jobs.

    ``owner`` is None if the role is gone, in use, or may be.
    """

    database: str
    role: str
    details: RunDetailsLeft
    other_jobs: int | None
    owner: OwnerLeft | None


def read_remains(fetch: Fetch, job: Job) -> Remains | None:
    """What is left of the job; None if pg_cron is gone, or this role may not look at it.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    fetch = of_cron(fetch)
    sight = read_sight(fetch)
    if sight["version"] is None or not sight["may_read"]:
        return None
    (left,) = fetch(SQL.jobs_left, {"owner": job.owner})
    sees_all = not sight["filtered"]
    return Remains(
        database=sight["here"],
        role=sight["role"],
        details=_details(fetch, job.jobid),
        other_jobs=left["jobs"] if sees_all else None,
        owner=_owner(fetch, job.owner) if sees_all and not left["of_owner"] else None,
    )


def _details(fetch: Fetch, jobid: int) -> RunDetailsLeft:
    (size,) = fetch(SQL.details_size, {})
    try:
        refuse_hidden_runs(fetch)
        hidden = False
    except RowsHidden:
        hidden = True
    try:
        (own,) = fetch(SQL.details_of_job, {"jobid": jobid, "most": MOST_COUNTED})
    except (errors.QueryCanceled, errors.InsufficientPrivilege):
        return RunDetailsLeft(None, 0, size["bytes"], hidden)
    return RunDetailsLeft(own["runs"], own["bytes"], size["bytes"], hidden)


def _owner(fetch: Fetch, name: str) -> OwnerLeft | None:
    for role in fetch(SQL.role_in_use, {"owner": name}):
        signs = ("is_powerful", "is_ours", "owns", "has_members", "is_connected")
        if not any(role[sign] for sign in signs):
            return OwnerLeft(name, tuple(role["databases"]))
    return None
