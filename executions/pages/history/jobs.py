"""Every job in the table with its scopes and a small verdict of its own.

The rollup's verdict is the overview's, from the same snapshot. Of any other job only its rows are
known. So it is judged by their results and never by gaps, as in `checkrollup --job`.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from executions.database.kept import QUIET_SECONDS
from executions.database.reading import fetch_for_dashboard
from executions.health import snapshots
from executions.health.other_jobs import Tallies, read_tallies
from executions.health.tally import JobTally, judge_tally
from executions.health.verdict import Level, Verdict
from executions.pages.history.filters import GLOBAL, Filters
from executions.pages.history.table import SQL, attempt, attempt_jobs, read_bare_clock
from executions.scheduler.jobs import JOBS, ROLLUP
from executions.scheduler.plans import oldest_open
from executions.scheduler.spec import JobSpec, Scope
from executions.scheduler.states import ExecutionState, state_of
from executions.text.digest import digest
from executions.text.problem import Problem
from executions.text.sentences import say

# With a few more than a hundred jobs, a skip and a read of the newest plan for each stay within
# 5,000.
SHOWN_SCOPES = 20
SHOWN_PLANS = 12


_UNREAD = Verdict(Level.UNKNOWN, say("What came of it could not be looked at."), ())


@dataclass(frozen=True)
class NewestPlan:
    """A scope's plan in its smallest form."""

    id: UUID
    plan_time: datetime
    status: str
    attempt: int
    max_attempts: int
    stale_after: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True)
class ScopeLine:
    scope: Scope
    newest: NewestPlan
    state: ExecutionState


@dataclass(frozen=True)
class PlanCell:
    plan: NewestPlan
    state: ExecutionState


@dataclass(frozen=True)
class HistoryJob:
    """``plans`` are the newest plans of a job with one scope, oldest first; else empty.

    If the statement timeout struck, ``lately`` is None and there are no scopes.
    """

    name: str
    spec: JobSpec | None
    scopes: list[ScopeLine]
    more_scopes: bool
    plans: list[PlanCell]
    lately: JobTally | None
    verdict: Verdict

    @property
    def is_global(self) -> bool:
        return [line.scope for line in self.scopes] == [GLOBAL]

    @property
    def is_regular(self) -> bool:
        return self.spec is not None and self.spec.planner is None


@dataclass(frozen=True)
class Jobs:
    """``reached`` is set if the newest ended rows did not reach back 24 hours."""

    filters: Filters
    now: datetime
    jobs: list[HistoryJob]
    more_jobs: bool
    reached: datetime | None
    problems: list[Problem] = field(default_factory=list)
    live_seconds: int = QUIET_SECONDS

    @property
    def version(self) -> str:
        return digest(
            self.reached,
            [problem.code for problem in self.problems],
            [(job.name, job.scopes, job.plans, job.lately, job.verdict.level) for job in self.jobs],
            [job.verdict.summary.still() for job in self.jobs],
        )


def read_all_jobs(filters: Filters) -> Jobs:
    """Every job, or the one that the filters name.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    found = attempt_jobs(filters.job)
    now = found.now or read_bare_clock()
    names = [name for name in found.names if filters.job in ("", name)]
    problems = [found.problem] if found.problem else []
    parameters = {"jobs": names, "most": SHOWN_SCOPES + 1, "plans": SHOWN_PLANS}
    rows = attempt(lambda: fetch_for_dashboard(SQL.scopes_of_jobs, parameters))
    if isinstance(rows, Problem):
        problems.append(rows)
        rows = []
    tallies: Tallies | None = None
    read = attempt(lambda: read_tallies(fetch_for_dashboard))
    if isinstance(read, Problem):
        problems.append(read)
        verdicts = dict.fromkeys(names, _UNREAD)
    else:
        tallies = read
        verdicts = {name: judge_tally(name, now, tallies.of(name)) for name in names}
    if ROLLUP.name in verdicts:
        verdicts[ROLLUP.name] = snapshots.current().verdict
    plans = _plans_by_scope(rows)
    return Jobs(
        filters=filters,
        now=now,
        jobs=[
            _job(name, plans[name], now, tallies.of(name) if tallies else None, verdicts[name])
            for name in names
        ],
        more_jobs=found.more and not filters.job,
        reached=tallies.reached if tallies else None,
        problems=problems,
    )


def _plans_by_scope(rows: list[dict[str, Any]]) -> dict[str, dict[Scope, list[NewestPlan]]]:
    """The plans by job and scope, in the order of the rows: newest first."""
    found: dict[str, dict[Scope, list[NewestPlan]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        plan = NewestPlan(**{name: row[name] for name in NewestPlan.__dataclass_fields__})
        found[row["job_name"]][Scope(row["kind"], row["scope"])].append(plan)
    return found


def _job(
    name: str,
    plans: dict[Scope, list[NewestPlan]],
    now: datetime,
    lately: JobTally | None,
    verdict: Verdict,
) -> HistoryJob:
    oldest = oldest_open(JOBS.get(name), now)
    scopes = [
        ScopeLine(scope, newest, state_of(newest, now, newest.plan_time, oldest))
        for scope, (newest, *_older) in plans.items()
    ]
    only = next(iter(plans.values())) if len(plans) == 1 else []
    cells = [PlanCell(plan, state_of(plan, now, only[0].plan_time, oldest)) for plan in only]
    return HistoryJob(
        name=name,
        spec=JOBS.get(name),
        scopes=scopes[:SHOWN_SCOPES],
        more_scopes=len(scopes) > SHOWN_SCOPES,
        plans=cells[::-1],
        lately=lately,
        verdict=verdict,
    )
