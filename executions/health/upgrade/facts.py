"""PURE: the facts before an upgrade. `read.py` reads it, `answer.py` judges it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Visibility
from executions.rollup.versions import Range
from executions.scheduler.spec import JobSpec
from executions.text.problem import Problem


class Extension(StrEnum):
    """Whether the database has an extension, or the server could create it there."""

    INSTALLED = "installed"
    AVAILABLE = "available"
    MISSING = "missing"


@dataclass(frozen=True)
class PostgresServer:
    """PostgreSQL itself. ``version`` is as it says, ``major`` its first number."""

    version: str
    major: int
    extensions: Mapping[str, Extension]
    is_standby: bool = False


@dataclass(frozen=True)
class Migrator:
    """The role that most likely runs the migrations: the owner of `task_usage`.

    ``may_create`` says whether it may create extensions, ``may_look`` whether it may read
    `cron.job`, and ``sees_all`` whether row security hides no job of another owner from it.
    ``jobs_have_names`` is false beside the objects of a pg_cron before 1.3.
    """

    role: str
    may_create: bool
    may_look: bool
    sees_all: bool
    jobs_have_names: bool = True


@dataclass(frozen=True)
class DailyJob:
    """A pg_cron job with the name of a legacy daily job. ``unschedule`` is the statement."""

    jobid: int
    name: str
    owner: str
    unschedule: str


@dataclass(frozen=True)
class DailyJobs:
    """The jobs that migration 103 unschedules by name, as far as the asking role sees them.

    Only pg_cron in Multica's own database matters: the migration looks nowhere else.
    """

    visibility: Visibility
    asking: str
    jobs: tuple[DailyJob, ...] = ()


@dataclass(frozen=True)
class RawUsage:
    """The rows of `task_usage`.

    ``newest`` is the latest update, or creation where a row was never updated. ``rows`` is exact up
    to a limit, else the planner's estimate. ``agents`` is limited too.
    """

    rows: int
    is_exact: bool
    agents: int
    oldest: datetime | None
    newest: datetime | None


# No prune deletes a success that is so young.
_SOON_AFTER = timedelta(hours=1)


@dataclass(frozen=True)
class Upgraded:
    """When migrations last ran, and the oldest success of the rollup on record after that.

    ``follows_another`` says that a success from before is on record too, so nobody deleted any in
    between.
    """

    migrated_at: datetime
    oldest_success: datetime | None
    follows_another: bool = True

    @property
    def first_success(self) -> datetime | None:
        """The first success; None if there was none, or if it may have been deleted since."""
        return None if self.may_be_deleted else self.oldest_success

    @property
    def may_be_deleted(self) -> bool:
        """Whether the first success may have been deleted, as the prune does after some weeks."""
        if self.oldest_success is None or self.follows_another:
            return False
        return self.oldest_success - self.migrated_at > _SOON_AFTER


@dataclass(frozen=True)
class UpgradeFacts:
    """Everything that is read. A fact that cannot be read is a problem. ``spec`` is the rollup's.

    ``versions`` is a problem if this is not Multica's database. ``state`` is None if the row, or
    its table, is missing. ``upgraded`` is None if nobody recorded migrations here.
    ``is_ours`` says that `manage.py provision` made the tables, so there is no Multica to upgrade.
    """

    spec: JobSpec
    now: datetime | None
    versions: Range | Problem
    server: PostgresServer | Problem
    migrator: Migrator | Problem
    daily_jobs: DailyJobs | Problem
    usage: RawUsage | Problem
    state: StateRow | Problem | None
    upgraded: Upgraded | Problem | None
    is_ours: bool = False


def nothing_read(spec: JobSpec, why: Problem) -> UpgradeFacts:
    """The facts if the database cannot be asked, or is not Multica's."""
    return UpgradeFacts(spec, None, why, why, why, why, why, why, why)
