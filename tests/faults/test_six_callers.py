"""Six callers of the rollup at once: processes of ours, a pg_cron job, and bare SQL."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from executions.database.connections import connect
from executions.rollup.watermark import read_watermark, roll_up
from tests.scheduling import executions, lock_holders, usage
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
BARE = 3

# pg_cron starts it when the server starts; the pause is for this test to get ready.
CRON = "SELECT pg_sleep(1), rollup_task_usage_hourly()"

WATCH = """
CREATE TABLE moved (watermark_at timestamptz);
CREATE FUNCTION note_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO moved VALUES (NEW.watermark_at);
    RETURN NULL;
END
$$;
CREATE TRIGGER note_move AFTER UPDATE OF watermark_at ON task_usage_hourly_rollup_state
    FOR EACH ROW WHEN (OLD.watermark_at <> NEW.watermark_at) EXECUTE FUNCTION note_move();
"""


@pytest.fixture
def database(restartable):
    """Three hours of usage not rolled up yet, and a pg_cron job that runs at the next start."""

    def open_one():
        return connect(restartable.conninfo("postgres"), application_name="bare SQL")

    with open_one() as connection:
        usage(connection, hours=3)
        connection.execute(
            "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '10 hours'"
        )
        connection.execute(WATCH)
        connection.execute("SELECT cron.schedule('rollup', '@reboot', %s)", [CRON])
    restartable.stop(mode="fast")
    restartable.start()
    return open_one


def our_process(restartable):
    return subprocess.Popen(
        [sys.executable, "manage.py", "runrollup", "--once"],
        cwd=ROOT,
        env=os.environ | {"RUNNER_DATABASE_URL": make_conninfo(**restartable.conninfo("postgres"))},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_one_of_six_does_the_work_and_the_watermark_moves_once(restartable, database):
    def bare():
        with database() as connection:
            return roll_up(connection)

    def cron_has_run(connection):
        return connection.execute(
            "SELECT FROM cron.job_run_details WHERE status = 'succeeded'"
        ).fetchall()

    def ended(connection):
        """How many of the six have returned."""
        rows = executions(connection)
        return (
            sum(row["status"] == "SUCCESS" for row in rows)
            + len(cron_has_run(connection))
            + sum(call.done() for call in calls)
        )

    with ThreadPoolExecutor(BARE) as pool, database() as look, database() as rival:
        before = read_watermark(look)
        # The winner of lock 4246 waits for the state row until all others have been turned away.
        with rival.transaction():
            rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
            calls = [pool.submit(bare) for _ in range(BARE)]
            first = our_process(restartable)
            until(lambda: executions(look))
            # Another plan for the second process, which would otherwise meet a conflict.
            look.execute("UPDATE sys_cron_executions SET plan_time = plan_time - interval '1 day'")
            second = our_process(restartable)
            until(lambda: ended(look) == 5)
            assert lock_holders(look) == 1
        wait(calls, timeout=HANG)
        assert [process.wait(HANG) for process in (first, second)] == [0, 0]
        until(lambda: cron_has_run(look))
        returned = [call.result() for call in calls]
        returned += [row["rows_affected"] for row in executions(look)]
        # Nothing stores what pg_cron's call returned: it did the work if no other caller did.
        assert sorted(returned)[:-1] == [0, 0, 0, 0]
        assert returned.count(3) <= 1
        (moved,) = look.execute("SELECT watermark_at FROM moved").fetchall()
        assert moved["watermark_at"] == read_watermark(look) > before
        sums = look.execute(
            "SELECT count(*) AS rows, sum(input_tokens) AS sum FROM task_usage_hourly"
        ).fetchone()
        assert sums == {"rows": 3, "sum": 306}
