"""The settings of those scenarios that need more than a world of executions."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from itertools import chain

from psycopg import sql

from executions.database.connections import Connection
from executions.database.permissions import sight_statements, statements
from executions.demo.rows import put_state, usage
from executions.demo.stage import Setting, Stage, schedule
from executions.demo.worlds import DayOfPlans, database_now, locked_out, on_a_sound_day, sound
from executions.models import Runner
from multica_admin.embedded import DATABASE

HOUR = timedelta(hours=1)
MANY_ROWS = 1_500_000
WATCHMAN = "multica_watchman"
OURS = "demo-runner-of-this-installation"

Grants = Callable[[str], list[str]]


def shut_out(owner: Connection, now: datetime | None = None, lost: int = 24) -> DayOfPlans:
    """So many runs in a row found the lock taken: for two hours the watermark has stood.

    The last two began after the session that has it now took it.
    """
    world = locked_out(owner, now, lost)
    world.state = {"watermark_at": world.reached_before(0)}
    for age in (1, 0):
        world.change(age, started_at=max(world.started_at(age), world.now), finished_at=world.now)
    return world.write()


def before_the_scheduler(owner: Connection, now: datetime | None = None) -> DayOfPlans:
    """The state row of an install whose schedule has stopped a day ago."""
    world = sound(owner, now, plans=0)
    put_state(owner, watermark_at=world.now - timedelta(days=1))
    return world


@contextmanager
def wrong_sums(stage: Stage) -> Iterator[None]:
    """One hour of usage is summed, and then its bucket is changed."""
    now = database_now(stage.owner)
    row = usage(stage.owner, now - 3 * HOUR)
    stage.owner.execute(
        "SELECT rollup_task_usage_hourly_window(%s, %s)",
        [now - 24 * HOUR, now - timedelta(minutes=10)],
    )
    stage.owner.execute(
        "UPDATE task_usage_hourly SET input_tokens = input_tokens + 1 WHERE agent_id = %s",
        [row["agent_id"]],
    )
    yield


@contextmanager
def many_rows(stage: Stage) -> Iterator[None]:
    """PostgreSQL's own estimate says so, and nothing corrects it."""
    stage.owner.execute("ALTER TABLE sys_cron_executions SET (autovacuum_enabled = off)")
    stage.superuser.execute(
        "UPDATE pg_class SET reltuples = %s WHERE oid = 'sys_cron_executions'::regclass",
        [MANY_ROWS],
    )
    try:
        yield
    finally:
        stage.owner.execute("ALTER TABLE sys_cron_executions RESET (autovacuum_enabled)")
        stage.owner.execute("ANALYZE sys_cron_executions")


def watched_by(*grants: Grants) -> Setting:
    """A redundant job of another owner, which the dashboard looks at as ``WATCHMAN``."""

    @contextmanager
    def setting(stage: Stage) -> Iterator[None]:
        drop_watchman(stage.superuser)
        role = sql.Identifier(WATCHMAN)
        stage.superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        schedule(stage.superuser)
        for statement in chain.from_iterable(make(WATCHMAN) for make in grants):
            stage.superuser.execute(statement.encode())
        try:
            yield
        finally:
            drop_watchman(stage.superuser)

    return setting


def drop_watchman(superuser: Connection) -> None:
    """Remove the role with all that it was granted, if it is there."""
    found = superuser.execute("SELECT 1 AS found FROM pg_roles WHERE rolname = %s", [WATCHMAN])
    if found.fetchone():
        role = sql.Identifier(WATCHMAN)
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(role))
        superuser.execute(sql.SQL("DROP ROLE {}").format(role))


def may_look(role: str) -> list[str]:
    """Rights on pg_cron's tables under which row security hides the jobs of others."""
    return [f"GRANT USAGE ON SCHEMA cron TO {role};", f"GRANT SELECT ON cron.job TO {role};"]


def may_see_all(role: str) -> list[str]:
    return [line for line in sight_statements(role, DATABASE) if not line.startswith("--")]


def may_remove(role: str) -> list[str]:
    """The rights of a retirer: it may remove the jobs of others, and pause only its own."""
    lines = statements(role, "retirer", database=DATABASE, cron_database=DATABASE)
    return [line for line in lines if not line.startswith("--")]


@contextmanager
def own_runner(stage: Stage) -> Iterator[None]:
    """A redundant job, and a runner of this installation."""
    Runner.objects.update_or_create(
        pk=OURS, defaults={"kind": Runner.Kind.WEB, "host": "demo", "pid": 1, "version": "demo"}
    )
    schedule(stage.superuser)
    yield


@on_a_sound_day
def run_by_us(world: DayOfPlans) -> None:
    """Every plan was won by this installation's own runner."""
    world.change(range(len(world.plans)), runner_id=OURS)


@contextmanager
def legacy_job(stage: Stage) -> Iterator[None]:
    """A job of the old daily rollup whose function still exists."""
    stage.owner.execute(
        "CREATE OR REPLACE FUNCTION rollup_task_usage_daily() RETURNS int LANGUAGE sql"
        " AS 'SELECT 0'"
    )
    schedule(
        stage.superuser, name="rollup_task_usage_daily", command="SELECT rollup_task_usage_daily()"
    )
    try:
        yield
    finally:
        stage.owner.execute("DROP FUNCTION rollup_task_usage_daily()")


@contextmanager
def run_in_flight(stage: Stage) -> Iterator[None]:
    """A session of pg_cron's that is inside the job."""
    jobid = schedule(stage.superuser)
    with closing(stage.connect("multica")) as session:
        session.execute("SET application_name = 'pg_cron'")
        stage.superuser.execute(
            "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status, start_time)"
            " VALUES (%s, nextval('cron.runid_seq'), %s, 'running', clock_timestamp())",
            [jobid, session.info.backend_pid],
        )
        yield
