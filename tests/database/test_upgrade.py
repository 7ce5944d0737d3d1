"""`checkupgrade`'s answer on databases of several releases, with the rights that a viewer has."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import psycopg
import pytest

from executions.database.connections import Connection
from executions.database.permissions import read_installed, statements
from executions.database.reading import fetch_on
from executions.health.facts.pg_cron import Visibility
from executions.health.upgrade import read
from executions.health.upgrade.answer import UpgradeAnswer, UpgradeOutcome, judge
from executions.health.upgrade.facts import (
    DailyJobs,
    Extension,
    PostgresServer,
    RawUsage,
    Upgraded,
    UpgradeFacts,
)
from executions.health.upgrade.read import read_upgrade
from executions.health.upgrade.requirements import EXTENSIONS
from executions.health.upgrade.step import StepCode, StepState, UpgradeStep
from executions.rollup.versions import NEWEST_KNOWN, Range, Version
from executions.text.problem import Problem
from tests.multica_versions import Point, build
from tests.retiring import acting_as, pg_cron, schedule

__all__ = ["acting_as", "pg_cron"]

DATABASE = "of_a_version"
# The tests' own server is older than Multica requires.
CURRENT = PostgresServer("17.6", 17, dict.fromkeys(EXTENSIONS, Extension.INSTALLED))
V0_3_12, V0_3_17 = Version(0, 3, 12), Version(0, 3, 17)

_ALWAYS = {
    StepCode.TABLES, StepCode.POSTGRESQL, StepCode.EXTENSIONS, StepCode.BACKUP, StepCode.UPGRADE,
    StepCode.WATCH,
}  # fmt: skip
_AT_103 = {StepCode.GUARD, StepCode.DAILY_JOBS, StepCode.SCHEDULES}
STEPS = {
    Point.DAILY: _ALWAYS | _AT_103 | {StepCode.DURATION},
    Point.STOPPED: _ALWAYS | _AT_103,
    Point.HOURLY: _ALWAYS | {StepCode.SCHEDULES},
    Point.SCHEDULER: _ALWAYS,
    Point.NEWEST: _ALWAYS,
}

USAGE = """
INSERT INTO agent (id, workspace_id)
SELECT gen_random_uuid(), gen_random_uuid() FROM generate_series(1, 2);
INSERT INTO task_usage (id, task_id, provider, model, input_tokens, output_tokens,
                        cache_read_tokens, cache_write_tokens, created_at, updated_at)
SELECT gen_random_uuid(), gen_random_uuid(), 'p', 'm', 1, 1, 1, 1, at,
       nullif(at, now() - interval '1 day')
  FROM (SELECT now() - n * interval '1 day' AS at FROM generate_series(1, 40) AS n) AS made;
"""


class Install:
    """A database of one release, read by the dashboard's role with the rights that we print."""

    def __init__(self, connect: Callable[..., Connection], point: Point) -> None:
        self.owner = connect("multica", database=DATABASE)
        build(self.owner, point)
        superuser = connect("postgres", database=DATABASE)
        printed = statements(
            "multica_view",
            "viewer",
            database=DATABASE,
            cron_database="postgres",
            has_pg_cron=False,
            installed=read_installed(fetch_on(superuser)),
        )
        for statement in printed:
            if not statement.startswith("--"):
                superuser.execute(statement.encode())
        self._fetch = fetch_on(connect("multica_view", database=DATABASE))

    def facts(self) -> UpgradeFacts:
        return read_upgrade(self._fetch)

    def answer(
        self, target: Version = NEWEST_KNOWN, server: PostgresServer | None = CURRENT
    ) -> UpgradeAnswer:
        facts = self.facts()
        return judge(replace(facts, server=server) if server else facts, target)


@pytest.fixture
def install(connect: Callable[..., Connection]) -> Iterator[Callable[[Point], Install]]:
    administrator = connect("postgres", database="postgres")
    administrator.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
    administrator.execute(f"CREATE DATABASE {DATABASE} OWNER multica")
    yield lambda point: Install(connect, point)
    administrator.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    # Of what a viewer is given, this is the server's and not the database's.
    administrator.execute("REVOKE pg_read_all_stats FROM multica_view")


@pytest.mark.parametrize("point", Point)
def test_with_a_current_server_each_release_may_go_to_the_newest(
    install: Callable[[Point], Install], point: Point
) -> None:
    found = install(point)
    found.owner.execute(USAGE)
    answer = found.answer()
    assert answer.outcome is UpgradeOutcome.SAFE, str(answer.summary)
    assert {one.code for one in answer.steps} == STEPS[point]


@pytest.mark.parametrize(
    ("point", "target", "reason"),
    [
        (Point.DAILY, V0_3_12, "migration 103 refuses"),
        (Point.STOPPED, V0_3_12, "migration 103 refuses"),
        (Point.HOURLY, Version(0, 3, 4), "v0.3.4 is older than the tables"),
        (Point.SCHEDULER, V0_3_12, "v0.3.12 is older than the tables"),
        (Point.NEWEST, V0_3_17, "v0.3.17 is older than the tables"),
    ],
)
def test_each_release_is_told_why_not_yet(
    install: Callable[[Point], Install], point: Point, target: Version, reason: str
) -> None:
    found = install(point)
    found.owner.execute(USAGE)
    if point is Point.STOPPED:
        found.owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = 'epoch'")
    answer = found.answer(target)
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert reason in str(answer.summary)


@pytest.mark.parametrize("point", Point)
def test_no_fact_is_missing_with_the_rights_that_are_printed(
    install: Callable[[Point], Install], point: Point
) -> None:
    facts = install(point).facts()
    unread = [each for each in vars(facts).values() if isinstance(each, Problem)]
    assert unread == []


def test_the_server_is_seen_as_it_is(install: Callable[[Point], Install]) -> None:
    """The tests' own PostgreSQL has extra modules, and is older than Multica requires."""
    answer = install(Point.NEWEST).answer(server=None)
    assert answer.outcome is UpgradeOutcome.NOT_YET
    assert "this server is PostgreSQL 15" in str(answer.summary)
    extensions = next(one for one in answer.steps if one.code is StepCode.EXTENSIONS)
    assert extensions.state is StepState.OK
    assert "the role multica may do so" in str(extensions.summary)


def test_usage_is_counted_and_dated(install: Callable[[Point], Install]) -> None:
    found = install(Point.DAILY)
    found.owner.execute(USAGE)
    usage = found.facts().usage
    assert isinstance(usage, RawUsage)
    assert (usage.rows, usage.is_exact, usage.agents) == (40, True, 2)
    dated = found.owner.execute(
        "SELECT max(coalesce(updated_at, created_at)) AS newest, min(created_at) AS oldest"
        "  FROM task_usage"
    ).fetchone()
    assert dated == {"newest": usage.newest, "oldest": usage.oldest}


def test_beyond_the_limit_of_the_count_the_rows_are_estimated(
    install: Callable[[Point], Install], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = install(Point.DAILY)
    found.owner.execute(USAGE)
    found.owner.execute("ANALYZE task_usage")
    monkeypatch.setattr(read, "MOST_ROWS", 10)
    usage = found.facts().usage
    assert isinstance(usage, RawUsage)
    assert (usage.rows, usage.is_exact) == (40, False)


def test_an_infinite_time_of_usage_makes_migration_103_refuse(
    install: Callable[[Point], Install],
) -> None:
    found = install(Point.DAILY)
    found.owner.execute(USAGE)
    found.owner.execute("UPDATE task_usage SET updated_at = 'infinity' WHERE updated_at IS NULL")
    assert "a time in the future" in str(found.answer().summary)


def test_hidden_rows_of_usage_are_not_taken_for_none(install: Callable[[Point], Install]) -> None:
    found = install(Point.DAILY)
    found.owner.execute(USAGE)
    found.owner.execute("ALTER TABLE task_usage ENABLE ROW LEVEL SECURITY")
    assert isinstance(found.facts().usage, Problem)
    assert found.answer(V0_3_12).outcome is UpgradeOutcome.UNKNOWN


def test_the_first_success_after_the_migrations_is_found(
    install: Callable[[Point], Install],
) -> None:
    found = install(Point.NEWEST)
    # Three plans ended after this, and the oldest of them is the first.
    found.owner.execute(
        "INSERT INTO schema_migrations"
        " SELECT '400_last', finished_at - interval '1 minute' FROM sys_cron_executions"
        "  ORDER BY plan_time DESC OFFSET 2 LIMIT 1"
    )
    found.owner.execute(
        "INSERT INTO schema_migrations VALUES ('001_init', now() - interval '9 days')"
    )
    (third,) = found.owner.execute(
        "SELECT finished_at FROM sys_cron_executions ORDER BY plan_time DESC OFFSET 2 LIMIT 1"
    ).fetchall()
    upgraded = found.facts().upgraded
    assert isinstance(upgraded, Upgraded)
    assert upgraded.first_success == third["finished_at"]
    assert str(found.answer().after).startswith("Upgraded at ")


def test_a_first_success_that_was_deleted_is_not_made_up(
    install: Callable[[Point], Install],
) -> None:
    found = install(Point.NEWEST)
    found.owner.execute(
        "INSERT INTO schema_migrations VALUES ('400_last', now() - interval '60 days')"
    )
    assert "is not on record any more" in str(found.answer().after)
    found.owner.execute(
        "UPDATE sys_cron_executions SET plan_time = plan_time - interval '61 days',"
        " started_at = started_at - interval '61 days', finished_at = finished_at"
        " - interval '61 days' WHERE plan_time = (SELECT min(plan_time) FROM sys_cron_executions)"
    )
    assert "; first SUCCESS at " in str(found.answer().after)


def test_a_failure_after_the_migrations_is_no_success(install: Callable[[Point], Install]) -> None:
    found = install(Point.NEWEST)
    found.owner.execute("UPDATE sys_cron_executions SET status = 'FAILED'")
    found.owner.execute(
        "INSERT INTO schema_migrations VALUES ('400_last', now() - interval '1 hour')"
    )
    upgraded = found.facts().upgraded
    assert isinstance(upgraded, Upgraded)
    assert upgraded.first_success is None


def test_another_programs_database_is_said_to_be_no_multica(
    connect: Callable[..., Connection],
) -> None:
    answer = judge(read_upgrade(fetch_on(connect("postgres", database="postgres"))))
    assert answer.outcome is UpgradeOutcome.UNKNOWN
    assert "postgres" in str(answer.summary)
    assert answer.versions is None


# --- pg_cron's legacy jobs -----------------------------------------------------------------------


def before_103(facts: UpgradeFacts) -> UpgradeAnswer:
    """The answer if the tables were those of v0.3.4: pg_cron can only be in the one database."""
    return judge(replace(facts, versions=Range(None, Version(0, 3, 5)), server=CURRENT))


def daily_jobs(answer: UpgradeAnswer) -> UpgradeStep:
    return next(one for one in answer.steps if one.code is StepCode.DAILY_JOBS)


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_a_legacy_job_of_another_owner_is_seen_with_the_retiring_role(pg_cron: Connection) -> None:
    jobid = schedule(pg_cron, name="rollup_task_usage_daily", owner="postgres")
    schedule(pg_cron, name="vacuum", command="VACUUM", owner="postgres")
    facts = read_upgrade()
    assert isinstance(facts.daily_jobs, DailyJobs)
    assert facts.daily_jobs.visibility is Visibility.FULL
    assert [job.jobid for job in facts.daily_jobs.jobs] == [jobid]


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_what_the_migrating_role_sees_decides(pg_cron: Connection) -> None:
    jobid = schedule(pg_cron, name="rollup_task_usage_daily", owner="postgres")
    try:
        unseen = daily_jobs(before_103(read_upgrade()))
        pg_cron.execute("ALTER ROLE multica BYPASSRLS")
        seen = daily_jobs(before_103(read_upgrade()))
        # It is as said: the statement of the migration fails for a job that its role sees.
        pg_cron.execute("SET ROLE multica")
        with pytest.raises(psycopg.Error):
            pg_cron.execute(
                "SELECT cron.unschedule(jobname) FROM cron.job"
                " WHERE jobname = 'rollup_task_usage_daily'"
            )
        pg_cron.execute("RESET ROLE; ALTER ROLE multica NOBYPASSRLS; SET ROLE multica")
        unscheduled = pg_cron.execute(
            "SELECT cron.unschedule(jobname) FROM cron.job"
            " WHERE jobname = 'rollup_task_usage_daily'"
        ).fetchall()
    finally:
        pg_cron.execute("RESET ROLE")
        pg_cron.execute("ALTER ROLE multica NOBYPASSRLS")
    assert unscheduled == []
    assert (unseen.state, seen.state) == (StepState.DO, StepState.BLOCKS)
    assert seen.statement == f"SELECT cron.unschedule({jobid});"


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_jobs_that_no_role_of_ours_sees_are_not_called_none(
    pg_cron: Connection, acting_as: Callable[[str], None]
) -> None:
    acting_as("multica_view")
    schedule(pg_cron, name="rollup_task_usage_daily", owner="postgres")
    facts = read_upgrade()
    assert isinstance(facts.daily_jobs, DailyJobs)
    assert facts.daily_jobs.visibility is Visibility.NO_ACCESS
