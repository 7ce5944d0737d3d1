"""Reads what the gates judge: the plans from Multica's database, the job from pg_cron's.

The plans are read as the dashboard reads them. The job is read on the caller's connection, so
inside the acting transaction it is that transaction's own view.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

from executions.database.connections import retire_reader
from executions.database.reading import Fetch, fetch_for_dashboard, fetch_on
from executions.health.facts import Facts
from executions.health.findings import Case, Finding, find
from executions.health.ledger import WINDOW, lay
from executions.health.read import read_facts
from executions.models.retirement import Retirement, RetirementState
from executions.pgcron.inventory import JobReader, read_inventory, read_job
from executions.pgcron.job import Candidate, Inventory, Job, PgCronServer
from executions.pgcron.servers import read_server, server_or_none
from executions.pgcron.sight import read_sight
from executions.retirement import gates
from executions.retirement.gates.gate import Check, GateFacts
from executions.retirement.rules import Rules
from executions.text.problem import Problem

# Plans beyond the streak itself: some are not due yet, or still run.
_SPARE = 4


def read_schedules() -> Inventory:
    """pg_cron's jobs for the rollup, as the role of ``RETIRE_DATABASE_URL`` sees them.

    Raises:
        psycopg.Error: that database cannot be reached or asked.
    """
    with retire_fetch("look") as fetch:
        return read_inventory(fetch, fetch_for_dashboard)


@contextmanager
def retire_fetch(purpose: str) -> Iterator[Fetch]:
    with closing(retire_reader(purpose)) as connection:
        yield fetch_on(connection)


def servers(fetch: Fetch) -> tuple[PgCronServer, PgCronServer | None]:
    """The servers of pg_cron's database and of Multica's. Never call it inside a transaction."""
    return read_server(fetch), server_or_none(fetch_for_dashboard)


@dataclass(frozen=True)
class PlanFacts:
    """What the rollup's plans say. ``case`` is None, with reasons, if a basic cannot be read."""

    case: Case | None
    findings: tuple[Finding, ...] = ()
    unreadable: tuple[Problem, ...] = ()


def read_plans(rules: Rules, known: Facts | None = None) -> PlanFacts:
    """The plans at this moment. Never raises for the database.

    ``known`` are facts that the caller has just read for the dashboard. They are used if they are
    about the same job and reach back far enough.
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
        ledger = lay(case.executions, case.now, case.spec, window, facts.known_unwatched)
        case = replace(case, ledger=ledger)
    return PlanFacts(case, tuple(find(facts, case)))


def judge(
    jobid: int,
    candidate: Candidate | None,
    role: str,
    plans: PlanFacts,
    rules: Rules,
    retirement: Retirement | None = None,
) -> Check:
    """Judge every gate of one job, with a retirement's affirmation and trial."""
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
    reached: tuple[PgCronServer, PgCronServer | None],
    jobid: int,
    rules: Rules,
    retirement: Retirement | None = None,
) -> Check:
    """Judge every gate of a job now, on the caller's connection and in its transaction.

    The plans are read first: that takes longest, and a run may begin meanwhile.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    plans = read_plans(rules)
    candidate = find_candidate(fetch, reached, jobid)
    return judge(jobid, candidate, reached[0].role, plans, rules, retirement)


def find_candidate(
    fetch: Fetch, reached: tuple[PgCronServer, PgCronServer | None], jobid: int
) -> Candidate | None:
    """The job with everything known about it; None if it is gone, hidden or no candidate.

    A role without the right to look sees no job either.
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
    """One job as this role sees it.

    ``sees`` says whether the role sees every job, whoever owns it. Only then is a missing job gone.
    Seeing its own jobs is not enough, because a job may have a new owner. If this role removed the
    job itself, the act proves that, not this look.
    """

    job: Job | None
    sees: bool

    @property
    def is_hidden(self) -> bool:
        """Whether the job is not shown although it may exist."""
        return self.job is None and not self.sees


def find_job(fetch: Fetch, jobid: int) -> Found:
    """The job, asked for only if this role may look. Safe inside a transaction.

    Raises:
        psycopg.Error: as ``fetch`` does.
    """
    sight = read_sight(fetch)
    if not sight["may_read"]:
        return Found(None, sees=False)
    return Found(read_job(fetch, jobid), sees=not sight["filtered"])
