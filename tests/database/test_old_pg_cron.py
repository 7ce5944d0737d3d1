"""A package of pg_cron that was upgraded without its objects is named, with the cure."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace

import pytest
from django.core.management import call_command
from django.test import Client

from executions.accounts.roles import OPERATOR
from executions.database.reading import fetch_on
from executions.health.read import read_facts
from executions.health.upgrade.read import read_migrator
from executions.pgcron.sight import visible_jobs
from executions.text.problem import Problem
from tests.people import make_user
from tests.retiring import lay_plans
from tests.servers import connected, private_server

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

CURE = "ALTER EXTENSION pg_cron UPDATE"


@pytest.fixture
def old(request, settings):
    """pg_cron's database with objects of an old version, which the installation looks at."""
    version = getattr(request, "param", "1.2")
    with private_server() as cluster:
        with connected(cluster) as connection:
            connection.execute(f"CREATE EXTENSION pg_cron VERSION '{version}'")
            connection.execute(
                "INSERT INTO cron.job (schedule, command, nodeport)"
                " VALUES ('*/5 * * * *', 'SELECT rollup_task_usage_hourly()', 5432)"
            )
        settings.RETIRE_CONNINFO = dict(cluster.conninfo("postgres"))
        yield version, cluster


def text(answer):
    shown = html.unescape(re.sub(r"<[^>]+>", "", answer.content.decode()))
    return re.sub(r"\s+", " ", shown).strip()


@pytest.mark.parametrize("old", ["1.0", "1.2"], indirect=True)
def test_objects_that_are_too_old_are_named_everywhere_and_never_multicas_tables(
    owner, old, capsys
):
    version, _cluster = old
    lay_plans(owner)
    client = Client()
    client.force_login(make_user("olga", OPERATOR))
    page = text(client.get("/schedules/"))
    assert f"are of version {version}" in page
    assert CURE in page
    assert "Multica's is missing" not in page
    assert "not Multica's database" not in page
    assert "another database of this server" not in page

    assert CURE in text(client.get("/retire/"))

    with pytest.raises(SystemExit) as ended:
        call_command("checkretirement", "--json")
    assert (ended.value.code, json.loads(capsys.readouterr().out)["visibility"]) == (3, "unknown")
    with pytest.raises(SystemExit):
        call_command("checkretirement")
    assert CURE in capsys.readouterr().out


def test_choosing_a_job_there_is_answered_with_the_cure(owner, old):
    lay_plans(owner)
    client = Client(raise_request_exception=False)
    client.force_login(make_user("olga", OPERATOR))
    answer = client.post("/retire/job/1/")
    assert answer.status_code == 503
    assert CURE in text(answer)
    assert "Multica's is missing" not in text(answer)


def test_the_overview_does_not_blame_multicas_tables(owner, old):
    """Where the dashboard's own role is not shown pg_cron, the other one is asked."""
    lay_plans(owner)
    found = read_facts().pg_cron
    assert isinstance(found, Problem)
    assert CURE in str(found.todo)
    assert "Multica's tables are fine" in str(found.reason)


def test_any_error_in_pg_crons_own_tables_is_told_as_that(old):
    """Not by its version alone: somebody may have changed them."""
    _version, cluster = old
    with connected(cluster) as connection:
        connection.execute("ALTER EXTENSION pg_cron UPDATE")
        connection.execute("ALTER TABLE cron.job RENAME COLUMN command TO order_of_the_day")
        fetch = fetch_on(connection)
        with pytest.raises(Exception, match="cannot be used: column"):
            visible_jobs(fetch)


@pytest.mark.parametrize("old", ["1.0", "1.2"], indirect=True)
def test_before_an_upgrade_the_migrator_is_told_beside_such_objects(old):
    """Jobs have no names before pg_cron 1.3, so migration 103 cannot look for them."""
    _version, cluster = old
    with connected(cluster) as connection:
        connection.execute("CREATE TABLE task_usage ()")
        migrator = read_migrator(fetch_on(connection))
        connection.execute("ALTER EXTENSION pg_cron UPDATE")
        updated = read_migrator(fetch_on(connection))
    assert (migrator.may_create, migrator.may_look, migrator.sees_all) == (True, True, True)
    assert not migrator.jobs_have_names
    assert updated == replace(migrator, jobs_have_names=True)
