"""What the guides in docs/guide/ show is true: SQL and commands on a real PostgreSQL with pg_cron.

The commands of docs/guide/deploying.md are run in `tests/faults/test_documented_commands.py`.
"""

from __future__ import annotations

import shlex
import subprocess
import sys

import psycopg
import pytest
from django.conf import settings
from django.test import override_settings

from tests.commands import run_command
from tests.database.test_versions import empty
from tests.markdown_pages import ROOT, guides
from tests.multica_versions import Point, build
from tests.printed import USAGE
from tests.retiring import jobs, pg_cron, role, schedule
from tests.waiting import HANG

__all__ = ["empty", "pg_cron", "role"]

NAME, NUMBER = "rollup_task_usage_hourly", 17  # of the job in the guide
SQL = [
    pytest.param(fence.text, id=f"{guide.path.stem}-{at}")
    for guide in guides()
    for at, fence in enumerate(guide.fences)
    if fence.kind == "sql" and not guide.is_made  # those run in test_explained_statements.py
]
(BY_NAME,) = (param.values[0] for param in SQL if f"unschedule('{NAME}')" in param.values[0])


@pytest.fixture
def job(pg_cron):
    """The job of the guide, whose owner is no superuser."""
    jobid = schedule(pg_cron, name=NAME, owner="multica")
    pg_cron.execute("UPDATE cron.job SET jobid = %s WHERE jobid = %s", [NUMBER, jobid])
    return NUMBER


@pytest.mark.parametrize("statement", [param for param in SQL if param.values[0] != BY_NAME])
def test_a_statement_of_a_guide_runs(pg_cron, job, statement):
    with pg_cron.transaction(force_rollback=True):
        pg_cron.execute(statement)


def test_the_job_is_removed_by_its_number_whoever_owns_it(pg_cron, job):
    (remove,) = (param.values[0] for param in SQL if f"unschedule({NUMBER})" in param.values[0])
    pg_cron.execute(remove)
    assert jobs(pg_cron) == {}


def test_the_statement_by_name_fails_for_the_job_of_another_owner(pg_cron, job):
    with pytest.raises(psycopg.Error, match="could not find valid entry for job"):
        pg_cron.execute(BY_NAME)
    assert list(jobs(pg_cron)) == [job]


def test_the_statement_by_name_does_nothing_where_the_job_is_hidden(pg_cron, job, role, connect):
    stranger = role("stranger", "GRANT USAGE ON SCHEMA cron TO stranger")
    pg_cron.execute("GRANT SELECT ON cron.job TO stranger")
    assert connect(stranger).execute(BY_NAME).fetchall() == []
    assert list(jobs(pg_cron)) == [job]


# Those whose exit status is an answer. 2 is one of only the first two, else a bad argument.
ANSWERS = {
    "checkrollup": {0, 1, 2, 3},
    "checkretirement": {0, 1, 2, 3},
    "checkupgrade": {0, 1, 3},
    "diagnose": {0, 1, 3},
    "findcallers": {0, 1, 3},
    "sendtestalert": {2},  # nobody to tell
}
COMMANDS = sorted(
    {
        fence.text
        for guide in guides()
        for fence in guide.fences
        if fence.kind == "sh" and guide.path.stem != "deploying"
    }
)


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_a_guide_works(pg_cron, job, command):
    program, *words = shlex.split(command)
    if program == "python3":
        called = [sys.executable, *words]
        status = subprocess.run(called, cwd=ROOT, check=False, timeout=HANG).returncode
        name = "findcallers"
    else:
        assert (program, words.pop(0)) == (".venv/bin/python", "manage.py")
        name = words[0]
        status, _said, _refused = run_command(*words)
    assert status in ANSWERS.get(name, {0})


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_our_backfill_lets_a_stopped_upgrade_go_on(empty):
    """At the tables of migrations 101 and 102, where no scheduler has its table yet."""
    build(empty, Point.STOPPED)
    empty.execute(USAGE)
    empty.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = 'epoch'")
    (found,) = empty.execute("SELECT to_regclass('sys_cron_executions') AS it").fetchall()
    assert found["it"] is None
    # What migration 103 asks before it drops the daily tables.
    asked = """
        SELECT max(coalesce(updated_at, created_at)) - interval '1 hour' > (
                   SELECT watermark_at FROM task_usage_hourly_rollup_state WHERE id = 1
               ) AS refuses
          FROM task_usage
    """
    assert empty.execute(asked).fetchall() == [{"refuses": True}]
    there = settings.RUNNER_CONNINFO | {"dbname": empty.info.dbname}
    with override_settings(RUNNER_CONNINFO=there):
        words = ("--sleep-between-slices", "10ms")
        status, said, refused = run_command("backfill_task_usage_hourly", *words)
    assert (status, refused) == (0, ""), said
    assert empty.execute(asked).fetchall() == [{"refuses": False}]
    (summed,) = empty.execute("SELECT sum(input_tokens) AS n FROM task_usage_hourly").fetchall()
    assert summed["n"] == 10
