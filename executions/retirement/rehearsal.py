"""Whether a job could be put back as it is: tried at each confirmation, and rolled back.

Nothing here commits. pg_cron's launcher sees committed rows only, so it never meets the rehearsed
job. The rehearsal uses up a number of ``cron.jobid_seq``. The confirmation keeps its result.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum

import psycopg
from django.utils.translation import gettext as _

from executions.database.connections import Connection
from executions.database.problems import first_line
from executions.database.reading import Fetch, fetch_on
from executions.database.sql import load
from executions.models.retirement import Retirement
from executions.pgcron import commands
from executions.pgcron.inventory import read_job, read_rights
from executions.pgcron.job import Job, part_in_words, rights_over
from executions.pgcron.sight import read_sight
from executions.retirement.refusals import Refused, changed
from executions.text.sentences import after_one_another

SQL = load("retirement")
PGCRON = load("pgcron")
# The key of the rehearsal in the evidence of a retirement and of its removal.
EVIDENCE = "put_back"


class RehearsalResult(StrEnum):
    """The result of scheduling the job again."""

    SAME = "same"
    DIFFERENT = "different"
    IMPOSSIBLE = "impossible"
    UNTRIED = "untried"


@dataclass(frozen=True)
class Rehearsal:
    """What putting the job back would give, and the statement that does it.

    ``differences`` has each column that would differ: its value now, and its value then. ``said``
    is why pg_cron refused. ``owner_may_log_in`` and ``database_lets_in`` are None if there is no
    such role or database; pg_cron checks neither when it schedules a job.
    """

    result: RehearsalResult
    role: str
    owner: str
    database: str
    statement: str
    as_superuser: bool
    differences: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    said: str = ""
    owner_may_log_in: bool | None = True
    database_lets_in: bool | None = True

    def as_json(self) -> dict[str, object]:
        return asdict(self)

    @property
    def would_run(self) -> bool:
        """Whether the server would let the job connect after it is scheduled again."""
        return bool(self.owner_may_log_in and self.database_lets_in)

    @property
    def proved(self) -> bool:
        """Whether the job comes back in every column and can run."""
        return self.result is RehearsalResult.SAME and self.would_run

    @property
    def fails(self) -> bool:
        """Whether the job is known not to come back as it was, also if another role tries."""
        return (
            self.result in {RehearsalResult.DIFFERENT, RehearsalResult.IMPOSSIBLE}
            or not self.would_run
        )

    @property
    def no_way_back(self) -> bool:
        gone = self.owner_may_log_in is None or self.database_lets_in is None
        return self.result is RehearsalResult.IMPOSSIBLE or gone

    @property
    def reasons(self) -> list[str]:
        """Why the way back is not proved: one sentence for each reason."""
        names = {"role": self.role, "owner": self.owner, "database": self.database}
        told = []
        if self.result is RehearsalResult.IMPOSSIBLE:
            told.append(
                _("pg_cron refuses to schedule this job again: %(said)s.") % {"said": self.said}
            )
        elif self.result is RehearsalResult.UNTRIED and not self.role:
            told.append(
                _(
                    "This job was checked by a version that did not try to put jobs back. Check"
                    " it again to try that.")
            )  # fmt: skip
        elif self.result is RehearsalResult.UNTRIED:
            told.append(
                _("The role %(role)s may not remove this job and schedule it again, so nobody has"
                  " tried whether it can be put back.") % names
            )  # fmt: skip
        for column, (now, then) in self.differences.items():
            told.append(
                _("Its %(column)s would be “%(then)s” and not “%(now)s”.")
                % {"column": part_in_words(column), "now": now, "then": then}
            )
        told.extend(sentence % names for sentence in self._obstacles())
        return told

    def _obstacles(self) -> list[str]:
        told = []
        if self.owner_may_log_in is None:
            told.append(_("Its owner, the role %(owner)s, does not exist any more."))
        elif not self.owner_may_log_in:
            told.append(_("Its owner %(owner)s may not log in, so it would not run."))
        if self.database_lets_in is None:
            told.append(_("Its database %(database)s does not exist any more."))
        elif not self.database_lets_in:
            told.append(_("Its database %(database)s accepts no connections: it would not run."))
        return told

    @property
    def acceptance(self) -> str:
        """The sentence that an operator puts on record to remove the job anyway."""
        if self.no_way_back:
            return _("I know that there is no way back: this job cannot be scheduled again.")
        if self.differences:
            return _("I know that this job cannot be put back exactly as it was.")
        if not self.would_run:
            return _("I know that this job would not run if it was put back.")
        return _("I know that nobody has tried whether this job can be put back.")


def rehearsal_of(retirement: Retirement) -> Rehearsal:
    """The rehearsal at the confirmation. A confirmation from before rehearsals counts as untried.

    Raises:
        KeyError: the retirement has no job.
    """
    stored = retirement.evidence.get(EVIDENCE)
    if stored is None:
        return _untried(Job.from_json(retirement.job or {}), retirement.database)
    values = {one.name: stored[one.name] for one in fields(Rehearsal) if one.name in stored}
    pairs = {name: (pair[0], pair[1]) for name, pair in values["differences"].items()}
    return Rehearsal(
        **{**values, "result": RehearsalResult(values["result"]), "differences": pairs}
    )


def _untried(job: Job, database: str) -> Rehearsal:
    how = commands.again(job, as_superuser=True, database=database)
    return Rehearsal(
        RehearsalResult.UNTRIED, "", job.owner, job.database, how.text, as_superuser=True
    )


def accept_what_cannot_be_undone(
    rehearsed: Rehearsal, *, needed: bool, accepted: bool
) -> dict[str, object]:
    """The record about the way back. ``accepted`` is the operator's word, if it is needed.

    Raises:
        Refused: it is needed, and the operator has not given it.
    """
    if not needed:
        return {EVIDENCE: rehearsed.as_json()}
    if not accepted:
        todo = _("Tick the box to remove it all the same. Nothing was changed.")
        raise Refused(str(after_one_another(*rehearsed.reasons, todo)))
    return {EVIDENCE: rehearsed.as_json(), "accepted": rehearsed.acceptance}


def how_to_schedule(fetch: Fetch, job: Job) -> tuple[commands.Again | None, dict[str, object]]:
    """How the current role schedules the job again, and its rights; None if it may not.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    may = read_rights(fetch)
    sight = read_sight(fetch)
    if not rights_over(job, may, sight["here"]).put_back:
        return None, may
    how = commands.again(job, as_superuser=bool(may["superuser"]), database=sight["here"])
    return how, may


def without_trying(fetch: Fetch, job: Job) -> Rehearsal:
    """For a role that may not: the statement for a role that may, and what would stop the job.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    how, may = how_to_schedule(fetch, job)
    sight = read_sight(fetch)
    how = how or commands.again(job, as_superuser=True, database=sight["here"])
    (able,) = fetch(PGCRON.able_to_run, {"owner": job.owner, "database": job.database})
    return Rehearsal(
        RehearsalResult.UNTRIED,
        str(may["role"]),
        job.owner,
        job.database,
        how.text,
        as_superuser=bool(how.values["owner"]),
        **able,
    )


def rehearse(acting: Connection, job: Job) -> Rehearsal:
    """Remove the job and schedule it again in a transaction that is rolled back.

    Raises:
        Refused: the job is not as confirmed, or pg_cron does not remove it.
        psycopg.Error: the connection was lost.
        psycopg.OperationalError: a lock was not granted in time.
    """
    fetch = fetch_on(acting)
    found = without_trying(fetch, job)
    how, _may = how_to_schedule(fetch, job)
    assert how is not None  # noqa: S101  asked only of a role that may
    try:
        with acting.transaction(force_rollback=True):
            acting.execute(SQL.bound_transaction)
            before, after = _there_and_back(acting, job, how)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        if acting.closed:
            raise
        return replace(found, result=RehearsalResult.IMPOSSIBLE, said=first_line(error))
    differences = {
        name: (before.get(name), after.get(name))
        for name in sorted({*before, *after})
        if before.get(name) != after.get(name)
    }
    result = RehearsalResult.DIFFERENT if differences else RehearsalResult.SAME
    return replace(found, result=result, differences=differences)


def _there_and_back(
    acting: Connection, job: Job, how: commands.Again
) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Every column of the job except its number, before and after."""
    fetch = fetch_on(acting)
    now = read_job(fetch, job.jobid)
    if not job.is_still(now):
        raise changed(job, now)
    (before,) = fetch(PGCRON.columns, {"jobid": job.jobid})
    _unschedule(acting, job)
    jobid = commands.schedule_again(acting, how)
    (after,) = fetch(PGCRON.columns, {"jobid": jobid})
    return before["columns"], after["columns"]


def _unschedule(acting: Connection, job: Job) -> None:
    try:
        commands.unschedule(acting, job.jobid)
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        if acting.closed:
            raise
        raise Refused(
            _("pg_cron refuses to remove this job: %(said)s. Nothing was changed.")
            % {"said": first_line(error)}
        ) from error
