"""How the rollup stands: how far it is, what waits, who holds its lock, what comes next.

What the snapshot knows is taken from it, so this page and the overview never differ. The rest is
read here, each part by one bounded query; a part that cannot be read says so in its place. It
changes nothing.
"""

from dataclasses import dataclass, replace
from functools import cached_property

from executions.database.problems import or_problem
from executions.database.reading import Fetch, fetch_for_dashboard
from executions.health import snapshots
from executions.health.facts import Ground, StateRow
from executions.health.facts.pg_cron import PgCron
from executions.health.facts.sessions import Lock
from executions.health.findings import Case
from executions.health.forecast import NextPlan, caught_up, next_plan
from executions.health.read import behind, refuse_hidden
from executions.health.upgrade.facts import Migrator
from executions.health.upgrade.of_migration import judge_daily_jobs, what_the_guard_finds
from executions.health.upgrade.read import daily_jobs_in, read_migrator, read_versions
from executions.health.upgrade.step import UpgradeStep
from executions.pages.from_snapshot import FromSnapshot
from executions.pages.rollup.asking import Asking, askers
from executions.rollup.installed import InstalledRollup, read_installed
from executions.rollup.newest import NewestTimes, read_newest
from executions.rollup.queue import QueueDepth, read_depth
from executions.rollup.versions import Change, Range
from executions.scheduler.jobs import ROLLUP
from executions.text.digest import digest
from executions.text.problem import Problem
from executions.text.sentences import Sentence, Text


@dataclass(frozen=True)
class RollupHealth(FromSnapshot):
    """The snapshot is the overview's; the rest is this page's own.

    ``depth`` is None if there is no dirty queue yet, before v0.3.5.
    """

    installed: InstalledRollup | Problem
    depth: QueueDepth | Problem | None
    newest: NewestTimes | Problem
    migrator: Migrator | Problem
    versions: Range | Problem

    @cached_property
    def case(self) -> Case | None:
        """None if the executions, the state row or the clock could not be read."""
        return Case.of(self.snapshot.facts)

    @property
    def state(self) -> StateRow | Problem | None:
        return self.snapshot.facts.state

    @property
    def has_state(self) -> bool:
        """Whether the state row's table exists, as far as is known."""
        ground = self.snapshot.facts.ground
        return isinstance(ground, Ground) and ground.has_state

    @property
    def is_ahead(self) -> bool:
        """Whether the watermark lies in the future, so that there is no lag to speak of."""
        state = self.state
        return (
            isinstance(state, StateRow) and self.now is not None and state.watermark_at > self.now
        )

    @cached_property
    def caught_up(self) -> Sentence | None:
        return caught_up(self.case) if self.case else None

    @property
    def next_plan(self) -> NextPlan | None:
        return next_plan(self.case) if self.case else None

    @property
    def lock(self) -> Lock | Problem:
        return self.snapshot.facts.lock

    @cached_property
    def askers(self) -> list[Asking]:
        """Who holds lock 4246 and who waits for it."""
        if isinstance(self.lock, Problem):
            return []
        return askers(self.lock, self.snapshot.verdict.findings)

    # --- Migration 103 --------------------------------------------------------------------------

    @property
    def has_passed_103(self) -> bool:
        """Whether migration 103 certainly ran, so that no upgrade meets it again."""
        return isinstance(self.versions, Range) and self.versions.has(Change.HOURLY)

    @cached_property
    def guard(self) -> Text | Problem:
        """Whether migration 103 would pass, in its own terms."""
        if isinstance(self.newest, Problem):
            return self.newest
        if isinstance(self.state, Problem):
            return self.state
        return what_the_guard_finds(
            self.newest.change, self.state, self.now, begins=self.is_before_hourly
        )

    @property
    def is_before_hourly(self) -> bool:
        """Whether nothing of the hourly rollup is here yet, so that migration 103 is to come."""
        return isinstance(self.versions, Range) and self.versions.is_before_hourly

    @cached_property
    def daily_jobs(self) -> UpgradeStep | Problem:
        """Whether legacy daily jobs would make migration 103 fail."""
        pg_cron, ground = self.snapshot.facts.pg_cron, self.snapshot.facts.ground
        if not isinstance(pg_cron, PgCron):
            return pg_cron
        if not isinstance(ground, Ground):
            return ground
        jobs = daily_jobs_in(ground, pg_cron)
        step = judge_daily_jobs(jobs, self.migrator)
        if self.has_passed_103 and not jobs.jobs:
            # There is nothing to remove, and no right to give for a migration that ran.
            return replace(step, todo=None, statement="")
        return step

    # --- The live part --------------------------------------------------------------------------

    @cached_property
    def version(self) -> str:
        told = self.caught_up
        return digest(
            self.snapshot.version,
            self.installed,
            self.depth,
            self.newest,
            self.migrator,
            self.versions,
            told.still() if told else None,
            self.next_plan,
        )


def read_health(fetch: Fetch = fetch_for_dashboard) -> RollupHealth:
    """The rollup's health now. A fact that cannot be read is a problem in its place."""
    snapshot = snapshots.current()
    ground = snapshot.facts.ground
    if isinstance(ground, Problem):
        return RollupHealth(snapshot, ground, ground, ground, ground, ground)
    if why := behind(ground, ROLLUP):
        return RollupHealth(snapshot, why, why, why, why, why)
    versions = or_problem(lambda: read_versions(fetch, ground))
    has_buckets = isinstance(versions, Problem) or not versions.is_before_hourly
    return RollupHealth(
        snapshot=snapshot,
        installed=or_problem(lambda: read_installed(fetch)),
        depth=or_problem(lambda: _depth(ground, fetch)) if has_buckets else None,
        newest=or_problem(lambda: _newest(ground, fetch, has_buckets=has_buckets)),
        migrator=versions
        if isinstance(versions, Problem)
        else or_problem(lambda: read_migrator(fetch)),
        versions=versions,
    )


def _depth(ground: Ground, fetch: Fetch) -> QueueDepth:
    refuse_hidden(ground, "task_usage_hourly_dirty")
    return read_depth(fetch)


def _newest(ground: Ground, fetch: Fetch, *, has_buckets: bool) -> NewestTimes:
    refuse_hidden(ground, "task_usage", *(["task_usage_hourly"] if has_buckets else []))
    return read_newest(fetch, has_buckets=has_buckets)
