"""Reads what the gates judge: the plans from Multica's database, the job from pg_cron's.

The plans are read as the dashboard reads them. The job is read on whichever connection the caller
has, so that inside the acting transaction it is that transaction's own view.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from executions.database.connections import retire_reader
from executions.database.reading import Fetch, fetch_for_dashboard, fetch_on
from executions.health.facts import Facts
from executions.health.facts.not_available import NotAvailable
from executions.health.findings import Case, Finding, find
from executions.health.ledger import WINDOW, lay
from executions.health.read import read_facts
from executions.models.retirement import Retirement, RetirementState
from executions.pgcron.inventory import JobReader, read_inventory, read_job
from executions.pgcron.job import Candidate, Inventory, Job, Server
from executions.pgcron.servers import read_server, server_or_none
from executions.pgcron.sight import read_sight
from executions.retirement import gates
from executions.retirement.gates.gate import Check, GateFacts
from executions.retirement.rules import Rules

# Beyond the streak itself: plans that are not due yet, or that run.
_SPARE = 4


def read_schedules() -> Inventory:
    """What pg_cron has for the rollup, as the role of ``RETIRE_DATABASE_URL`` sees it.

    Raises:
        psycopg.Error: that database cannot be reached or asked.
    """
    with retire_fetch("look") as fetch:
        return read_inventory(fetch, fetch_for_dashboard)


@contextmanager
def retire_fetch(purpose: str) -> Iterator[Fetch]:
    connection = retire_reader(purpose)
    try:
        yield fetch_on(connection)
    finally:
        connection.close()


def servers(fetch: Fetch) -> tuple[Server, Server | None]:
    """pg_cron's database and Multica's. Never inside a transaction."""
    return read_server(fetch), server_or_none(fetch_for_dashboard)


@dataclass(frozen=True)
class PlanFacts:
    """What the rollup's plans say. ``case`` is None, with reasons, where a basic is unreadable."""

    case: Case | None
    findings: tuple[Finding, ...] = ()
    unreadable: tuple[NotAvailable, ...] = ()


def read_plans(rules: Rules, known: Facts | None = None) -> PlanFacts:
    """The plans at this moment; never raises for the database.

    ``known`` are facts that the caller has just read for the dashboard; they do where they are of
    the same job and reach far enough.
    """
    window = max(WINDOW, (rules.streak + _SPARE) * rules.spec.cadence)
    if known is not None and (known.spec, WINDOW) == (rules.spec, window):
        facts = known
    else:
        facts = read_facts(rules.spec, window=window)
    case = Case.of(facts)
    if case is None:
        return PlanFacts(None, unreadable=facts.basics)
    if window > WINDOW:
        case = replace(case, ledger=lay(case.executions, case.now, case.spec, window))
    return PlanFacts(case, tuple(find(facts, case)))


def judge(
    jobid: int,
    candidate: Candidate | None,
    role: str,
    plans: PlanFacts,
    rules: Rules,
    retirement: Retirement | None = None,
) -> Check:
    """Every gate of one job. A retirement brings what its operator affirmed, and its trial."""
    trial = retirement is not None and retirement.state == RetirementState.TRIAL_PASSED
    return gates.check(
        GateFacts(
            jobid=jobid,
            role=role,
            candidate=candidate,
            case=plans.case,
            streak=rules.streak,
            findings=plans.findings,
            unreadable=plans.unreadable,
            affirmed_by=(retirement.affirmed_by or None) if retirement else None,
            paused_at=retirement.paused_at if retirement and trial else None,
        )
    )


def check_on(
    fetch: Fetch,
    reached: tuple[Server, Server | None],
    jobid: int,
    rules: Rules,
    retirement: Retirement | None = None,
) -> Check:
    """Every gate of a job at this moment, on the caller's connection and in its transaction.

    The plans come first, since they take longest and a run may begin while they are read.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    plans = read_plans(rules)
    candidate = find_candidate(fetch, reached, jobid)
    return judge(jobid, candidate, reached[0].role, plans, rules, retirement)


def find_candidate(
    fetch: Fetch, reached: tuple[Server, Server | None], jobid: int
) -> Candidate | None:
    """The job with all that is known about it; None where it is gone, hidden or something else.

    Without rights to look at all it is not seen either.
    """
    sight = read_sight(fetch)
    job = read_job(fetch, jobid) if sight["may_read"] else None
    if job is None:
        return None
    here, multica = reached
    found = JobReader(fetch, fetch_for_dashboard, here, multica).candidates([job])
    return found[0] if found else None


@dataclass(frozen=True)
class Found:
    """One job as this role is shown it.

    ``sees`` says whether it is shown every job, whoever owns it: only then is a job that is not
    shown gone. What a role knows of its own jobs does not do: a job may have got another owner.
    That a job is gone which this role itself removed is proved by that act, and not by a look.
    """

    job: Job | None
    sees: bool

    @property
    def is_hidden(self) -> bool:
        """It is not shown, which proves nothing."""
        return self.job is None and not self.sees


def find_job(fetch: Fetch, jobid: int) -> Found:
    """The job, asked for only where this role may look; safe inside a transaction.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    sight = read_sight(fetch)
    if not sight["may_read"]:
        return Found(None, sees=False)
    return Found(read_job(fetch, jobid), sees=not sight["filtered"])
