"""How pg_cron jobs lead to the rollup, with what names mean in Multica's database.

`match.py` judges a single command. This module reads what it needs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from executions.database.reading import Fetch, Row
from executions.database.sql import load
from executions.health.facts.pg_cron import PgCronJob, RollupCall
from executions.pgcron.match import DEPTH, TARGETS, FunctionSource, judge_command

SQL = load("pgcron")


@dataclass(frozen=True)
class Meanings:
    """What names mean in Multica's database.

    ``by_owner`` has, for each known owner, the schema in which the bare name of the rollup finds a
    function; empty if it finds none.
    """

    homes: tuple[str, ...] = ()
    by_owner: Mapping[str, str] = field(default_factory=dict)
    functions: tuple[FunctionSource, ...] = ()


def read_calls(
    jobs: Iterable[PgCronJob], database: str, fetch_multica: Fetch
) -> tuple[RollupCall, ...]:
    """How those of these jobs that are active and run in Multica's ``database`` lead to the rollup.

    A job that only may lead there is left out. However many jobs there are, this takes at most one
    read, of the functions that can lead to the rollup.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch_multica`` does.
    """
    here = [job for job in jobs if job.active and job.database == database]
    if not here:
        return ()
    names = meanings_of(fetch_multica(SQL.ways, asked_of(here, DEPTH)))
    there = {function.name for function in names.functions}

    def resolve(schema: str | None, name: str) -> list[FunctionSource]:
        return [one for one in names.functions if one.name == name and schema in {None, one.schema}]

    judged = [
        (job, judge_command(job.command, resolve, names.homes, names.by_owner.get(job.owner)))
        for job in here
    ]
    return tuple(
        RollupCall(job, found.match, found.functions[0], gone=found.functions[0] not in there)
        for job, found in judged
        if found is not None and found.leads_there
    )


def asked_of(jobs: Iterable[PgCronJob], steps: int) -> Mapping[str, object]:
    """The parameters of ``ways``: these jobs' owners, and how many steps to follow."""
    owners = sorted({job.owner for job in jobs})
    return {"owners": owners, "targets": sorted(TARGETS), "steps": steps}


def meanings_of(rows: Sequence[Row]) -> Meanings:
    """The meanings in the rows of the query ``ways``. The first row has those of names."""
    told = rows[0]
    return Meanings(
        (told["home"],) if told["home"] else (),
        dict(zip(told["owners"], told["meanings"], strict=True)),
        tuple(
            FunctionSource(row["schema"], row["name"], row["language"], row["definition"])
            for row in rows
            if row["name"] is not None
        ),
    )
