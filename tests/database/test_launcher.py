"""pg_cron's launcher: jobs that nothing starts repeat nothing, and the page says why."""

from __future__ import annotations

import html
import json
import os
import re
import signal
from collections.abc import Iterator

import psycopg
import pytest
from django.core.management import call_command
from django.test import Client

from executions.accounts.roles import VIEWER
from executions.database.connections import Connection
from executions.database.reading import fetch_on
from executions.health.facts import Facts
from executions.health.facts.pg_cron import Launcher
from executions.health.read import read_facts
from executions.models.retirement import RetirementState
from executions.pgcron.inventory import read_inventory
from executions.pgcron.schedule import describe
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.rules import current
from multica_admin.cluster import Cluster
from tests.people import make_user
from tests.retiring import ROLLUP, confirmed, lay_plans, operator, pg_cron, press, schedule
from tests.servers import PLAIN, connected, private_server
from tests.waiting import until

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

LAUNCHERS = """
    SELECT pid FROM pg_stat_activity
     WHERE application_name = 'pg_cron scheduler'
       AND backend_start < clock_timestamp() - interval '3 seconds'
"""


@pytest.fixture
def orphan(pg_cron: Connection) -> Iterator[int]:
    """A job whose owner is dropped: with that pg_cron's launcher ends each time it starts."""

    def launchers() -> list[object]:
        return pg_cron.execute(LAUNCHERS).fetchall()

    until(launchers)
    pg_cron.execute("CREATE ROLE dropped_owner LOGIN")
    jobid = schedule(pg_cron, name="left behind", command="SELECT 1", owner="dropped_owner")
    pg_cron.execute("DROP ROLE dropped_owner")
    schedule(pg_cron, name="makes the launcher read its jobs again", command="SELECT 1")
    fetch = fetch_on(pg_cron)
    until(lambda: read_inventory(fetch, fetch).launcher is Launcher.MISSING)
    yield jobid
    pg_cron.execute("DELETE FROM cron.job")
    until(launchers)  # the following tests need it running
    until(launchers)


def text(answer) -> str:
    shown = html.unescape(re.sub(r"<[^>]+>", "", answer.content.decode()))
    return re.sub(r"\s+", " ", shown).strip()


def test_jobs_that_a_dead_launcher_never_starts_repeat_nothing(owner, pg_cron, orphan, capsys):
    viewer = Client()
    viewer.force_login(make_user("victor", VIEWER))
    lay_plans(owner)
    jobid = schedule(pg_cron)
    found = read_facts()
    assert isinstance(found, Facts)
    assert found.rollup_calls == ()
    assert f"pg_cron job {jobid} repeats the work" not in text(viewer.get("/"))

    with pytest.raises(SystemExit):
        call_command("checkretirement")
    for told in (text(viewer.get("/schedules/")), capsys.readouterr().out):
        assert "pg_cron's launcher does not run, so none of its jobs is started." in told
        assert f"Job {orphan} belongs to the role dropped_owner, which does not exist" in told
        assert f"SELECT cron.unschedule({orphan});" in told
    with pytest.raises(SystemExit):
        call_command("checkretirement", "--json")
    assert json.loads(capsys.readouterr().out)["extension"]["launcher"] == "missing"


def test_a_job_is_retired_while_the_launcher_is_dead(owner, pg_cron, orphan):
    lay_plans(owner)
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert retirement.state == RetirementState.WATCHING


def test_a_launcher_that_lives_starts_the_jobs(owner, pg_cron):
    until(lambda: pg_cron.execute(LAUNCHERS).fetchall())
    lay_plans(owner)
    jobid = schedule(pg_cron)
    assert [call.job.jobid for call in read_facts().rollup_calls] == [jobid]


@pytest.fixture
def private() -> Iterator[Cluster]:
    """A server of its own whose launcher may be stopped for good, with one job."""
    with private_server() as cluster:
        with connected(cluster) as made:
            made.execute("CREATE EXTENSION pg_cron")
            made.execute("SELECT cron.schedule('hourly', '0 12 1 * 1', %s)", [ROLLUP])
        yield cluster


def test_a_launcher_that_was_ended_is_missing(private):
    with connected(private) as connection:
        fetch = fetch_on(connection)
        until(lambda: read_inventory(fetch, fetch).launcher is Launcher.RUNNING)
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'pg_cron scheduler'"
        )
        until(lambda: read_inventory(fetch, fetch).launcher is Launcher.MISSING)
        found = read_inventory(fetch, fetch)
        assert (found.orphans, found.candidates[0].loaded) == ((), True)


def test_a_launcher_that_is_about_to_start_is_not_called_missing(private):
    """The same after a restart, and after a crash, which does not change the server's own start."""
    private.stop()
    private.start()
    assert Launcher.MISSING not in seen_until_it_runs(private)
    with connected(private) as victim, connected(private) as bystander:
        os.kill(victim.info.backend_pid, signal.SIGKILL)
        until(lambda: is_cut_off(bystander))
    assert Launcher.MISSING not in seen_until_it_runs(private)


def is_cut_off(connection: Connection) -> bool:
    """Whether the server has ended it, as it does with every process after a crash of one."""
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def seen_until_it_runs(cluster: Cluster) -> set[Launcher]:
    seen = set()

    def runs() -> bool:
        try:
            with connected(cluster) as connection:
                fetch = fetch_on(connection)
                while Launcher.RUNNING not in seen:
                    seen.add(read_inventory(fetch, fetch).launcher)
        except psycopg.OperationalError:  # it recovers from the crash
            return False
        return True

    until(runs)
    return seen


def test_a_library_that_is_not_loaded_is_named_and_so_is_what_its_settings_mean(private):
    """Such a server also takes a setting that this version of the library does not know."""
    private.stop()
    bare = Cluster(private.data, private.binaries, {**PLAIN, "cron.dom_dow_and_logic": "on"})
    bare.start()
    with connected(bare) as connection:
        fetch = fetch_on(connection)
        found = read_inventory(fetch, fetch)
    assert found.launcher is Launcher.NOT_LOADED
    (candidate,) = found.candidates
    assert candidate.loaded is False
    job = candidate.job
    assert job.both_days is True
    assert "both_days" in job.as_json()
    assert describe(job.schedule, both_days=job.both_days) == (
        "on day 1 of the month and only on Monday, at 12:00 GMT"
    )
