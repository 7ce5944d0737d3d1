"""A backfill beside everything else that writes, and one that is interrupted at any moment.

What it leaves is judged twice: each bucket is added up in Python from the raw rows, and the
installed window function, run over all of time, finds nothing to change.
"""

import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import pytest
from psycopg.conninfo import make_conninfo
from psycopg.errors import ForeignKeyViolation

from executions.database.connections import Connection, connect
from multica_admin.cluster import Cluster
from tests import environment
from tests.database.rollup_world import expected_buckets, number, stored_buckets
from tests.processes import Process
from tests.scheduling import lock_holders
from tests.sizes import sized
from tests.waiting import HANG, until

COMMAND = "backfill_task_usage_hourly"

# Two years of a few agents, some of it corrected months later, some from before updated_at.
HISTORY = """
INSERT INTO workspace (id) SELECT md5('w' || n)::uuid FROM generate_series(0, 2) AS n;
INSERT INTO agent_runtime (id, workspace_id)
SELECT md5('r' || n)::uuid, md5('w' || n % 3)::uuid FROM generate_series(0, 8) AS n;
INSERT INTO agent (id, workspace_id)
SELECT md5('a' || n)::uuid, md5('w' || n % 3)::uuid FROM generate_series(0, 8) AS n;
INSERT INTO issue (id, workspace_id, project_id)
SELECT md5('i' || n)::uuid, md5('w' || n % 3)::uuid,
       CASE WHEN n % 4 > 0 THEN md5('p' || n % 4)::uuid END
  FROM generate_series(0, 59) AS n;
INSERT INTO agent_task_queue (id, agent_id, runtime_id, issue_id)
SELECT md5('t' || n)::uuid, md5('a' || n % 9)::uuid,
       CASE WHEN n % 20 > 0 THEN md5('r' || n % 9)::uuid END,
       CASE WHEN n % 7 > 0 THEN md5('i' || n % 60)::uuid END
  FROM generate_series(0, 1999) AS n;
INSERT INTO task_usage (task_id, provider, model, input_tokens, output_tokens, cost_usd_ticks,
                        created_at, updated_at)
SELECT md5('t' || n)::uuid, 'provider', 'model-' || m, n, n / 2, CASE WHEN n % 3 > 0 THEN n END,
       now() - n * interval '8 hours',
       CASE WHEN n % 11 > 0 THEN now() - n * interval '8 hours'
                                 + CASE WHEN n % 13 = 0 THEN interval '80 days' * (n / 2000.0)
                                        ELSE interval '1 minute' END END
  FROM generate_series(0, 1999) AS n, generate_series(0, 1) AS m;
"""

# Changes that people make meanwhile, each to a row chosen by its number.
CHANGES = (
    "UPDATE agent_task_queue SET runtime_id = md5('r' || {0} % 9)::uuid WHERE id = {task}",
    "UPDATE agent_task_queue SET runtime_id = NULL WHERE id = {task}",
    "UPDATE agent_task_queue SET issue_id = md5('i' || {0} % 60)::uuid WHERE id = {task}",
    "UPDATE issue SET project_id = md5('p' || {0} % 5)::uuid WHERE id = {issue}",
    "DELETE FROM task_usage WHERE task_id = {task} AND model = 'model-1'",
    "UPDATE task_usage SET input_tokens = {0}, updated_at = now() WHERE task_id = {task}",
    """
    INSERT INTO task_usage (task_id, provider, model, input_tokens)
    SELECT id, 'provider', 'late-{0}', {0} FROM agent_task_queue WHERE id = {task}
        ON CONFLICT DO NOTHING
    """,
    "DELETE FROM issue WHERE id = {issue}",
    "DELETE FROM agent_task_queue WHERE id = {task}",
)
SELDOM = (
    "DELETE FROM agent WHERE id = md5('a8')::uuid",
    "DELETE FROM agent_runtime WHERE id = md5('r7')::uuid",
    "DELETE FROM workspace WHERE id = md5('w2')::uuid",
)

# pg_cron starts it when the server starts. It calls the rollup until the test is over.
CRON = """
DO $$ BEGIN
    WHILE to_regclass('it_is_over') IS NULL LOOP
        PERFORM rollup_task_usage_hourly();
        COMMIT;
        PERFORM pg_sleep(0.01);
    END LOOP;
END $$
"""


@pytest.fixture
def database(restartable: Cluster) -> Callable[[], Connection]:
    """Two years of usage, none of it rolled up."""

    def open_one() -> Connection:
        return connect(restartable.conninfo("postgres"), application_name="a test")

    with open_one() as connection:
        connection.execute(HISTORY.encode())
    return open_one


@pytest.fixture
def command(restartable: Cluster) -> Iterator[Callable[..., Process]]:
    """Starts a command of ours for that server; it is killed if it still runs at the end."""
    started: list[Process] = []
    url = make_conninfo(**restartable.conninfo("postgres"))

    def start(*arguments: str) -> Process:
        variables = {
            "DATABASE_URL": url,
            "ADMIN_DATABASE_URL": environment.url("multica_admin"),
            "RUNNER_DATABASE_URL": url,
            "SECRET_KEY": "only-for-tests",
            "VAR_DIR": str(environment.ROOT / "var"),
        }
        started.append(Process("manage.py", *arguments, env=variables))
        return started[-1]

    yield start
    for one in started:
        one.kill_group()


def check(connection: Connection) -> None:
    """The buckets are what the raw rows require, and the window function would change none."""
    assert stored_buckets(connection) == expected_buckets(connection)
    with connection.transaction(force_rollback=True):
        changed = "SELECT rollup_task_usage_hourly_window('-infinity', 'infinity')"
        assert number(connection, changed) == 0


@contextmanager
def people_at_work(database: Callable[[], Connection], chance: random.Random) -> Iterator[None]:
    """Somebody moves, corrects and deletes all the while, some of it in long transactions."""
    over = threading.Event()

    def work() -> None:
        with database() as connection:
            while not over.is_set():
                statements = [chance.choice(CHANGES) for _ in range(chance.choice((1, 1, 6)))]
                if chance.random() < 0.02:
                    statements.append(chance.choice(SELDOM))
                with suppress(ForeignKeyViolation), connection.transaction():
                    for statement in statements:
                        n = chance.randrange(2000)
                        written = statement.format(
                            n, task=f"md5('t{n}')::uuid", issue=f"md5('i{n % 60}')::uuid"
                        )
                        connection.execute(written.encode())

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        try:
            yield
        finally:
            over.set()
        working.result(HANG)


def test_beside_a_scheduler_a_pg_cron_job_and_people_at_work(restartable, database, command):
    with database() as look:
        look.execute("SELECT cron.schedule('rollup', '@reboot', %s)", [CRON])
    restartable.stop(mode="fast")
    restartable.start()
    with database() as look, people_at_work(database, random.Random(4246)):
        running = "SELECT FROM cron.job_run_details WHERE status = 'running'"
        until(lambda: look.execute(running).fetchall())
        scheduler = command("runrollup", "--tick-interval", "0.2")
        for _ in range(sized(2, 30)):
            # The scheduler takes the plan again, where it would have none for five minutes.
            look.execute("DELETE FROM sys_cron_executions WHERE status <> 'RUNNING'")
            backfill = command(COMMAND)
            assert backfill.end() == 0, backfill.seen
        success = "SELECT FROM sys_cron_executions WHERE status = 'SUCCESS'"
        until(lambda: look.execute(success).fetchall())
        assert look.execute(running).fetchall()
    with database() as look:
        look.execute("CREATE TABLE it_is_over ()")
        assert scheduler.stop() == 0
        until(lambda: not look.execute(running).fetchall())
        # What was changed since the last backfill is left to the rollup.
        mark = number(look, "SELECT watermark_at FROM task_usage_hourly_rollup_state")
        look.execute("SELECT rollup_task_usage_hourly_window(%s, 'infinity')", [mark])
        check(look)


def ctrl_c(running: Process, _cluster: Cluster) -> None:
    running.popen.send_signal(signal.SIGINT)
    assert running.end() in (0, 130)


def kill(running: Process, _cluster: Cluster) -> None:
    running.kill_group()


def restart(running: Process, cluster: Cluster) -> None:
    cluster.stop(mode="immediate")
    cluster.start()
    assert running.end() in (0, 1)


@pytest.mark.parametrize("interrupt", [ctrl_c, kill, restart])
def test_interrupted_at_any_moment_and_run_again(restartable, database, command, interrupt):
    chance = random.Random(interrupt.__name__)
    stopped = 0
    for _ in range(sized(1, 12)):
        with database() as look:
            look.execute("TRUNCATE task_usage_hourly, task_usage_hourly_dirty")
        running = command(COMMAND, "--sleep-between-slices", "10ms")
        running.wait_for("buckets changed")
        threading.Event().wait(chance.uniform(0, 0.3))
        interrupt(running, restartable)
        assert not any("Traceback" in line for line in running.errors)
        with database() as look:
            lock_holders(look, at_most=0)
            wanted = expected_buckets(look)
            stopped += len(stored_buckets(look)) < len(wanted)
            assert command(COMMAND).end() == 0
            check(look)
            assert lock_holders(look) == 0
    assert stopped, "each was over before it was interrupted"
