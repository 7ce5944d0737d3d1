"""An install before an upgrade, in memory, for the tests of the upgrade check."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Visibility
from executions.health.upgrade.answer import UpgradeAnswer
from executions.health.upgrade.facts import (
    DailyJob,
    DailyJobs,
    Extension,
    Migrator,
    PostgresServer,
    RawUsage,
    Upgraded,
    UpgradeFacts,
)
from executions.health.upgrade.requirements import EXTENSIONS
from executions.health.upgrade.step import StepCode, UpgradeStep
from executions.rollup.versions import Change, Range, Version
from executions.scheduler.jobs import ROLLUP
from executions.text.problem import Problem

NOW = datetime(2026, 3, 29, 14, 10, tzinfo=UTC)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
BEFORE = Range(None, Version(0, 3, 5))
STOPPED = Range(Version(0, 3, 5), Version(0, 3, 17), stopped=True)
HOURLY = Range(Version(0, 3, 5), Version(0, 3, 17))
SCHEDULER = Range(Version(0, 3, 17), Version(0, 4, 10))
NEWEST = Range(Version(0, 4, 25), None)
V0_3_12, V0_3_17, V0_4_25 = Version(0, 3, 12), Version(0, 3, 17), Version(0, 4, 25)
PROBLEM = Problem("The database was away.", "Try again.")

SERVER = PostgresServer("17.6", 17, dict.fromkeys(EXTENSIONS, Extension.INSTALLED))
MIGRATOR = Migrator("multica", may_create=True, may_look=True, sees_all=True)
USAGE = RawUsage(120_000, True, 20, NOW - 30 * 24 * HOUR, NOW - 10 * MINUTE)
CURRENT = StateRow(NOW - 6 * MINUTE)


def facts(versions: Range, **changed: object) -> UpgradeFacts:
    """An install that nothing stands in the way of, unless it is changed."""
    safe = UpgradeFacts(
        spec=ROLLUP,
        now=NOW,
        versions=versions,
        server=SERVER,
        migrator=MIGRATOR,
        daily_jobs=DailyJobs(Visibility.FULL, "multica_view"),
        usage=USAGE,
        state=CURRENT if versions.has(Change.HOURLY) else None,
        upgraded=Upgraded(NOW - 9 * MINUTE, NOW - 5 * MINUTE),
    )
    return replace(safe, **changed)


def step(answer: UpgradeAnswer, code: StepCode) -> UpgradeStep:
    return next(one for one in answer.steps if one.code is code)


def codes(answer: UpgradeAnswer) -> list[StepCode]:
    return [one.code for one in answer.steps]


THEIRS = DailyJob(7, "rollup_task_usage_daily", "postgres", "SELECT cron.unschedule(7);")
OWN = replace(THEIRS, owner="multica")


def with_jobs(*jobs: DailyJob, visibility: Visibility = Visibility.FULL) -> DailyJobs:
    return DailyJobs(visibility, "multica_view", jobs)
