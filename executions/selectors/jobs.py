"""Every job in the table with its scopes and a small verdict of its own.

A job of ours is regular: its settings say when its plans are due. Of any other job only its rows
are known, so it is judged by what came of them and never by gaps. The rollup's real verdict, with
its findings, is the overview's; the one here is made of its newest plans alone.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from executions.models import Status
from executions.problems import Problem
from executions.reading import fetch_for_dashboard
from executions.scheduler.jobs import JOBS
from executions.scheduler.spec import JobSpec, Scope
from executions.selectors.filters import GLOBAL, Filters, State
from executions.selectors.rows import version_of
from executions.selectors.table import MOST_JOBS, SQL, attempt, read_clock, read_jobs
from executions.selectors.walks import WINDOW

# With a hundred jobs: a skip and a look at the newest plan for each stay within 5,000 rows.
SHOWN_SCOPES = 20
SHOWN_PLANS = 12
RECENT = timedelta(hours=24)
# docs/contract.md section 6, latest_stale.
LATE = timedelta(seconds=900)
TOO_LATE = timedelta(seconds=3_600)
FAILED_SHARE = 0.1
SECONDS = 15


@dataclass(frozen=True)
class Newest:
    """A scope's plan, as small as it can be shown."""

    id: UUID
    plan_time: datetime
    status: str
    attempt: int
    max_attempts: int
    stale_after: datetime | None
    finished_at: datetime | None

    def state(self, now: datetime, *, is_newest: bool) -> State:
        if self.status == Status.RUNNING:
            stale = self.stale_after is not None and self.stale_after < now
            return State.STALE if stale else State.RUNNING
        if self.status == Status.SUCCESS:
            return State.SUCCESS
        left = self.attempt < self.max_attempts
        return State.RETRYING if left and is_newest else State.FAILED


@dataclass(frozen=True)
class ScopeLine:
    scope: Scope
    newest: Newest
    state: State


@dataclass(frozen=True)
class PlanCell:
    plan: Newest
    state: State


@dataclass(frozen=True)
class Lately:
    """What ended in the last 24 hours, and what runs now."""

    ended: int = 0
    failed: int = 0
    retried: int = 0
    p95_ms: float | None = None
    newest: datetime | None = None
    running: int = 0
    stale: int = 0


@dataclass(frozen=True)
class Verdict:
    word: str
    sentence: str


@dataclass(frozen=True)
class Job:
    """``plans`` are the newest of a job with one scope, oldest first; else there are none."""

    name: str
    spec: JobSpec | None
    scopes: list[ScopeLine]
    more_scopes: bool
    plans: list[PlanCell]
    lately: Lately
    verdict: Verdict

    @property
    def is_global(self) -> bool:
        return [line.scope for line in self.scopes] == [GLOBAL]

    @property
    def is_regular(self) -> bool:
        return self.spec is not None and self.spec.planner is None


@dataclass(frozen=True)
class Jobs:
    """``reached`` is set where the newest 5,000 ended rows did not reach 24 hours back."""

    filters: Filters
    now: datetime
    jobs: list[Job]
    more_jobs: bool
    reached: datetime | None
    problems: list[Problem] = field(default_factory=list)

    @property
    def live_seconds(self) -> int:
        return SECONDS

    @property
    def version(self) -> str:
        return version_of(
            self.reached,
            [problem.code for problem in self.problems],
            [(job.name, job.scopes, job.plans, job.lately) for job in self.jobs],
        )


def read_all_jobs(filters: Filters) -> Jobs:
    """Every job, or the one that the filters name.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
    """
    now = read_clock().now
    names = [name for name in read_jobs() if filters.job in ("", name)]
    problems: list[Problem] = []

    def part(statement: str, **parameters: Any) -> list[dict[str, Any]]:
        read = attempt(lambda: fetch_for_dashboard(statement, parameters))
        if isinstance(read, Problem):
            problems.append(read)
            return []
        return read

    scopes = _scopes_by_job(part(SQL.scopes_of_jobs, jobs=names, most=SHOWN_SCOPES + 1), now)
    single = {name: lines[0].scope for name, lines in scopes.items() if len(lines) == 1}
    plans = part(
        SQL.newest_plans,
        jobs=list(single),
        kinds=[scope.kind for scope in single.values()],
        ids=[scope.id for scope in single.values()],
        most=SHOWN_PLANS,
    )
    ended = part(SQL.ended_by_job, since=now - RECENT, most=WINDOW)
    running = part(SQL.running_by_job, most=WINDOW)
    lately, cells = _lately(ended, running), _cells_by_job(plans, now)
    return Jobs(
        filters=filters,
        now=now,
        jobs=[_job(name, scopes[name], cells[name], lately[name], now) for name in names],
        more_jobs=len(names) == MOST_JOBS,
        reached=ended[0]["reached"] if ended and ended[0]["looked_at"] >= WINDOW else None,
        problems=problems,
    )


def _scopes_by_job(rows: list[dict[str, Any]], now: datetime) -> dict[str, list[ScopeLine]]:
    scopes: dict[str, list[ScopeLine]] = defaultdict(list)
    for row in rows:
        newest = Newest(
            row["plan_id"], *(row[name] for name in list(Newest.__dataclass_fields__)[1:])
        )
        state = newest.state(now, is_newest=True)
        scopes[row["job_name"]].append(ScopeLine(Scope(row["kind"], row["id"]), newest, state))
    return scopes


def _cells_by_job(rows: list[dict[str, Any]], now: datetime) -> dict[str, list[PlanCell]]:
    cells: dict[str, list[PlanCell]] = defaultdict(list)
    for row in rows:
        job = row["job_name"]
        plan = Newest(**{name: row[name] for name in Newest.__dataclass_fields__})
        cells[job].insert(0, PlanCell(plan, plan.state(now, is_newest=not cells[job])))
    return cells


def _lately(ended: list[dict[str, Any]], running: list[dict[str, Any]]) -> dict[str, Lately]:
    figures: dict[str, dict[str, Any]] = defaultdict(dict)
    for row in ended:
        figures[row["job_name"]] |= {
            name: row[name] for name in ("ended", "failed", "retried", "p95_ms", "newest")
        }
    for row in running:
        figures[row["job_name"]] |= {name: row[name] for name in ("running", "stale")}
    return defaultdict(Lately, {job: Lately(**found) for job, found in figures.items()})


def _job(
    name: str, scopes: list[ScopeLine], cells: list[PlanCell], lately: Lately, now: datetime
) -> Job:
    spec = JOBS.get(name)
    return Job(
        name=name,
        spec=spec,
        scopes=scopes[:SHOWN_SCOPES],
        more_scopes=len(scopes) > SHOWN_SCOPES,
        plans=cells,
        lately=lately,
        verdict=judge(spec, cells, lately, now),
    )


def judge(spec: JobSpec | None, cells: list[PlanCell], lately: Lately, now: datetime) -> Verdict:
    """The small verdict: by its newest plans where there is one scope, else by its last day."""
    if not cells:
        return _by_last_day(lately)
    newest, failed = cells[-1], sum(cell.state == State.FAILED for cell in cells)
    broken = {
        State.FAILED: _("The newest plan failed and is not tried again."),
        State.STALE: _("The newest plan runs past the end of its lease."),
    }
    if newest.state in broken:
        return Verdict("failing", broken[newest.state])
    late = _by_age(cells, now) if spec is not None and spec.planner is None else None
    if late:
        return late
    if newest.state == State.RETRYING:
        return Verdict("degraded", _("The newest plan failed and is being tried again."))
    if failed > 1:
        figures = {"failed": failed, "all": len(cells)}
        return Verdict("degraded", _("%(failed)d of the last %(all)d plans failed.") % figures)
    return Verdict("healthy", _("The newest plans succeed."))


def _by_age(cells: list[PlanCell], now: datetime) -> Verdict | None:
    """A regular job is late when its newest success is old, whatever the newest plan says."""
    successes = (cell.plan for cell in reversed(cells) if cell.state == State.SUCCESS)
    newest = next((plan.finished_at for plan in successes if plan.finished_at), None)
    if newest is None or now - newest > TOO_LATE:
        return Verdict("failing", _("No plan has succeeded for more than an hour."))
    if now - newest > LATE:
        return Verdict("degraded", _("No plan has succeeded for more than 15 minutes."))
    return None


def _by_last_day(lately: Lately) -> Verdict:
    if lately.stale:
        sentence = ngettext(
            "%(n)d execution runs past the end of its lease.",
            "%(n)d executions run past the end of their lease.",
            lately.stale,
        )
        return Verdict("degraded", sentence % {"n": lately.stale})
    if not lately.ended:
        return Verdict("unknown", _("Nothing of it ended in what was looked at."))
    figures = {"failed": lately.failed, "all": lately.ended}
    if not lately.failed:
        return Verdict("healthy", _("Nothing failed among the last %(all)d.") % figures)
    sentence = _("%(failed)d of the last %(all)d failed.") % figures
    if lately.failed == lately.ended:
        return Verdict("failing", sentence)
    share = lately.failed / lately.ended
    return Verdict("degraded" if share >= FAILED_SHARE else "healthy", sentence)
