"""How pg_cron jobs lead to the rollup, by what names mean in Multica's database.

How one command is judged is in `match.py`; here is read what that needs.
"""

from __future__ import annotations

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

    ``by_owner`` has, for each owner of whom it is known, the schema in which the bare name of the
    rollup finds a function: an empty one where it finds none.
    """

    homes: tuple[str, ...] = ()
    by_owner: Mapping[str, str] = field(default_factory=dict)
    functions: tuple[FunctionSource, ...] = ()


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
    """For what names mean to the owners of these jobs, and functions so many steps away."""
    owners = sorted({job.owner for job in jobs})
    return {"owners": owners, "targets": sorted(TARGETS), "steps": steps}


def meanings_of(rows: Sequence[Row]) -> Meanings:
    """What the rows of the query ``ways`` tell; the first of them has the names' meanings."""
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
