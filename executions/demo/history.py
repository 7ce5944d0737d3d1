"""PURE: a made-up week of usage and plans, the same for the same moment and seed.

It knows no clock and no database. All times are UTC and derived from ``now``.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from executions.scheduler.plans import floor
from executions.scheduler.spec import JobSpec

# The defaults of a job are the rollup's settings.
CADENCE, DELAY = JobSpec.cadence, JobSpec.schedule_delay
WEEK = timedelta(days=7)
SEED = 2957

PROVIDERS = (("anthropic", "claude-sonnet"), ("anthropic", "claude-opus"), ("openai", "gpt-codex"))
WORKSPACES, RUNTIMES, AGENTS, PROJECTS, ISSUES = 2, 3, 8, 4, 48

# The places of notable events, counted in plans back from the newest.
GAP = range(230, 234)  # no replica ticked
EXHAUSTED = 118  # failed for good
RETRIED = frozenset({31, 77, 164, 402, 871, 1190, 1533})
DEPLOY = 700  # before this plan other runners win, because each process has a new id


@dataclass(frozen=True)
class DemoExecution:
    """One finished execution as ``sys_cron_executions`` stores it."""

    id: UUID
    plan_time: datetime
    status: str
    attempt: int
    runner_id: str
    lease_token: UUID
    started_at: datetime
    finished_at: datetime
    duration_ms: int
    rows_affected: int | None
    result: dict[str, Any]
    error_code: str | None = None
    error_msg: str | None = None

    @property
    def watermark(self) -> datetime:
        """Where a success leaves the watermark."""
        return self.started_at.replace(microsecond=0) - DELAY


@dataclass(frozen=True)
class Usage:
    """One task with its one usage row. Indexes refer to the lists of :class:`World`."""

    agent: int
    runtime: int
    issue: int | None
    created_at: datetime
    provider: str
    model: str
    tokens: tuple[int, int, int, int]
    cost_usd_ticks: int | None


@dataclass(frozen=True)
class Population:
    """The users of Multica, as ids only: the rollup needs no more."""

    workspaces: list[UUID]
    runtimes: list[tuple[UUID, UUID]] = field(default_factory=list)
    agents: list[tuple[UUID, UUID]] = field(default_factory=list)
    issues: list[tuple[UUID, UUID, UUID | None]] = field(default_factory=list)

    def of(self, row: Usage) -> tuple[UUID, UUID, UUID | None]:
        """The agent, the runtime and the issue of a task."""
        issue = None if row.issue is None else self.issues[row.issue][0]
        return self.agents[row.agent][0], self.runtimes[row.runtime][0], issue


def _uuid(chance: random.Random) -> UUID:
    return UUID(int=chance.getrandbits(128), version=4)


def world() -> Population:
    """The same workspaces, runtimes, agents and issues every time. They mark the data as demo."""
    chance = random.Random(SEED)
    workspaces = [_uuid(chance) for _ in range(WORKSPACES)]
    projects = [_uuid(chance) for _ in range(PROJECTS)]

    def of_some_workspace(count: int) -> list[tuple[UUID, UUID]]:
        return [(_uuid(chance), workspaces[index % WORKSPACES]) for index in range(count)]

    return Population(
        workspaces=workspaces,
        runtimes=of_some_workspace(RUNTIMES),
        agents=of_some_workspace(AGENTS),
        issues=[(*pair, chance.choice([None, *projects])) for pair in of_some_workspace(ISSUES)],
    )


def some_usage(chance: random.Random, created_at: datetime) -> Usage:
    provider, model = chance.choice(PROVIDERS)
    tokens = (
        chance.randint(500, 20_000),
        chance.randint(50, 4_000),
        chance.randint(0, 90_000),
        chance.randint(0, 9_000),
    )
    return Usage(
        agent=chance.randrange(AGENTS),
        runtime=chance.randrange(RUNTIMES),
        issue=chance.choice([None, *range(ISSUES)]),
        created_at=created_at,
        provider=provider,
        model=model,
        tokens=tokens,
        # Every eighth row has no price yet; a tick is 1e-10 USD.
        cost_usd_ticks=None if chance.random() < 1 / 8 else sum(tokens) * 30_000,
    )


def usage(now: datetime) -> Iterator[Usage]:
    """A week of usage up to ``now``: busy by day, quiet at night and at the weekend."""
    chance = random.Random(SEED + 1)
    moment = now - WEEK
    while moment < now:
        yield some_usage(chance, moment)
        busy = 6 <= moment.hour < 19 and moment.weekday() < 5
        # Never longer than a plan's window, so that the first real run finds something to do.
        moment += timedelta(seconds=chance.uniform(5, 80 if busy else 160))


def newest_plan_time(now: datetime) -> datetime:
    """The history stops one plan before now, so that the first tick has a plan to win."""
    return floor(now - DELAY, CADENCE) - CADENCE


def plans(now: datetime) -> list[DemoExecution]:
    """A week of plans, oldest first, whose watermarks follow from one to the next."""
    chance = random.Random(SEED + 2)
    before_deploy = [str(_uuid(chance)) for _ in range(2)]
    after_deploy = [str(_uuid(chance)) for _ in range(2)]
    newest = newest_plan_time(now)
    watermark = newest - WEEK - DELAY
    made: list[DemoExecution] = []
    for age in range(int(WEEK / CADENCE), -1, -1):
        if age in GAP:
            continue
        runner = chance.choice(before_deploy if age > DEPLOY else after_deploy)
        plan = _plan(chance, newest - age * CADENCE, age, runner, watermark)
        if plan.status == "SUCCESS":
            watermark = plan.watermark
        made.append(plan)
    return made


def watermark_after(made: list[DemoExecution]) -> datetime:
    """The watermark after the last success: 5 minutes before that success started."""
    return next(plan.watermark for plan in reversed(made) if plan.status == "SUCCESS")


def _plan(
    chance: random.Random, plan_time: datetime, age: int, runner: str, watermark: datetime
) -> DemoExecution:
    retried = age in RETRIED
    tick = timedelta(seconds=chance.uniform(1, 28) + (60 if retried else 0))
    started_at = plan_time + DELAY + tick
    duration_ms = round(chance.lognormvariate(5.3, 0.5))
    common: dict[str, Any] = {
        "id": _uuid(chance),
        "plan_time": plan_time,
        "runner_id": runner,
        "lease_token": _uuid(chance),
        "started_at": started_at,
        "finished_at": started_at + timedelta(milliseconds=duration_ms),
        "duration_ms": duration_ms,
    }
    if age == EXHAUSTED:
        return DemoExecution(
            **common,
            status="FAILED",
            attempt=JobSpec.max_attempts,
            rows_affected=None,
            result={},
            error_code="handler_error",
            error_msg="could not read from the connection: server closed the connection"
            " unexpectedly (the database was restarted for maintenance)",
        )
    return DemoExecution(
        **common,
        status="SUCCESS",
        attempt=2 if retried else 1,
        rows_affected=chance.randint(1, 9),
        result={
            "advisory_lock_id": 4246,
            "watermark_before": f"{watermark:%Y-%m-%dT%H:%M:%SZ}",
            "watermark_after": f"{started_at - DELAY:%Y-%m-%dT%H:%M:%SZ}",
        },
    )
