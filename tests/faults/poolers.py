"""Every part of ours behind a real PgBouncer in every mode, for bin/audit: some two minutes.

Writes are refused before anything is changed. Reads work if PgBouncer accepts the connection
request, and leave no setting behind. The name keeps pytest from collecting it by itself.
"""

from __future__ import annotations

import json

import psycopg
import pytest
from django.db import connections, transaction
from django.urls import reverse

from executions.database.connections import runner_connection
from executions.database.direct import NotDirect
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.rules import current
from multica_admin.databases import admin_alias
from tests import environment
from tests.commands import run_command
from tests.poolers import dashboard_through, pooler
from tests.processes import Process
from tests.retiring import confirmed, jobs, lay_plans, operator, pg_cron, press, schedule
from tests.scheduling import executions, lock_holders, usage

__all__ = ["dashboard_through", "pg_cron", "pooler"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

NEEDED = "A connection pooler answers where PostgreSQL itself is needed."
# Settings that a role may have of its own, and with it a session behind a pooler.
OF_THE_ROLE = {
    "datestyle": "German, DMY",
    "default_transaction_read_only": "off",
    "intervalstyle": "iso_8601",
    "statement_timeout": "0",
    "timezone": "Asia/Tokyo",
}
WATERMARK = "SELECT watermark_at FROM task_usage_hourly_rollup_state"
ADVISORY = "SELECT count(*) AS count FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture(params=["session", "transaction"])
def mode(request):
    return request.param


@pytest.fixture(params=[True, False], ids=["options ignored", "options refused"])
def ignores_options(request):
    return request.param


@pytest.fixture
def between(pooler, mode, ignores_options):
    return pooler(mode, ignores_options=ignores_options)


@pytest.fixture
def lenient(pooler, mode):
    """A PgBouncer that accepts the connection request."""
    return pooler(mode, ignores_options=True)


@pytest.fixture
def own_settings(superuser):
    """The dashboard's role has settings of its own that would change every answer."""
    for name, value in OF_THE_ROLE.items():
        superuser.execute(f"ALTER ROLE multica_view SET {name} = '{value}'")
    yield
    superuser.execute("ALTER ROLE multica_view RESET ALL")


@pytest.mark.parametrize(
    ("command", "status"),
    [
        (("backfill_task_usage_hourly",), 1),
        (("backfill_task_usage_hourly", "--dry-run"), 1),
        (("pruneexecutions",), 1),
        (("pruneexecutions", "--dry-run"), 1),
        (("provision",), 1),
        (("runrollup", "--once"), 2),
        (("runrollup",), 2),
    ],
)
def test_a_command_that_writes_is_refused_before_anything_is_changed(
    owner, superuser, between, settings, command, status
):
    usage(owner, hours=2)
    lay_plans(owner)
    before = executions(owner), owner.execute(WATERMARK).fetchall()
    settings.RUNNER_CONNINFO = between.conninfo("multica")
    ended, said, refused = run_command(*command)
    assert ended == status
    assert said == ""
    assert NEEDED in refused
    assert "Give PostgreSQL's own address in RUNNER_DATABASE_URL." in refused
    assert "Months that were done" not in refused
    assert [{**row, "now": 0} for row in executions(owner)] == [
        {**row, "now": 0} for row in before[0]
    ]
    assert owner.execute(WATERMARK).fetchall() == before[1]
    assert lock_holders(owner) == 0


def test_the_wizard_is_refused_and_the_job_stays(
    pg_cron, owner, superuser, between, settings, admin_client
):
    lay_plans(owner)
    who, jobid = operator(), schedule(pg_cron)
    before = jobs(pg_cron)
    retirement = confirmed(who, jobid)
    settings.RETIRE_CONNINFO = between.conninfo("postgres")
    with pytest.raises(NotDirect):
        acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == before
    assert superuser.execute(ADVISORY).fetchall() == [{"count": 0}]
    assert not retirement.acts.exists()
    status, said, _refused = run_command("checkretirement", "--json")
    assert (status, json.loads(said)["visibility"]) == (3, "unknown")
    status, said, _refused = run_command("checkretirement")
    assert NEEDED in said
    assert "RETIRE_DATABASE_URL" in said
    page = admin_client.get(reverse("schedules")).content.decode()
    assert NEEDED in page
    assert "RETIRE_DATABASE_URL" in page


def test_our_own_tables_are_refused(between, monkeypatch, capsys):
    """Without the settings that it asked for, each query would silently go to the schema public."""
    another = connections["default"].copy()
    made = admin_alias(between.conninfo("multica_admin"))
    monkeypatch.setattr(another, "settings_dict", another.settings_dict | made)
    for _time in range(2):
        with pytest.raises(Exception, match=r"pooler answers|startup parameter"):
            another.cursor()
        assert another.connection is None


def test_the_dashboard_does_not_start_with_its_own_tables_behind_a_pooler(between, tmp_path):
    process = Process(
        *("manage.py", "quickstart", "--check"),
        env={
            "VAR_DIR": str(tmp_path / "var"),
            "DATABASE_URL": environment.url("multica_view"),
            "ADMIN_DATABASE_URL": between.url("multica_admin"),
        },
    )
    assert process.end() == 2
    (line,) = process.errors
    assert "Our own tables cannot be made in ADMIN_DATABASE_URL." in line
    assert "Give PostgreSQL's own address in ADMIN_DATABASE_URL" in line
    assert not (tmp_path / "var").exists()


def test_nothing_is_migrated_through_a_pooler(between, tmp_path):
    process = Process(
        *("manage.py", "migrate"),
        env={
            "VAR_DIR": str(tmp_path / "var"),
            "SECRET_KEY": "only-for-tests",
            "DATABASE_URL": environment.url("multica_view"),
            "ADMIN_DATABASE_URL": between.url("multica_admin"),
        },
    )
    assert process.end() == 2
    (line,) = process.errors
    assert "Give PostgreSQL's own address in ADMIN_DATABASE_URL" in line
    assert "ignore_startup_parameters" not in line  # that helps only what reads


def test_the_dashboard_shows_the_same_as_without_a_pooler(
    owner, pg_cron, lenient, dashboard_through, own_settings, admin_client, every_page
):
    usage(owner, hours=2)
    lay_plans(owner)
    schedule(pg_cron)
    dashboard_through(lenient)
    statuses = {path: admin_client.get(path).status_code for path in every_page}
    assert set(statuses.values()) == {200}, statuses
    with connections["multica"].cursor() as cursor:
        cursor.execute("SELECT now(), timestamptz '2026-02-01 12:00+00', interval '90 min'")
        assert cursor.fetchone()[1].isoformat() == "2026-02-01T12:00:00+00:00"
    assert lenient_session(lenient) == OF_THE_ROLE


def lenient_session(between):
    """What the settings of the dashboard's role are on a session behind the pooler."""
    conninfo = between.conninfo("multica_view")
    with psycopg.connect(**conninfo, autocommit=True) as client:
        return {name: client.execute(f"SHOW {name}").fetchone()[0] for name in OF_THE_ROLE}


@pytest.mark.parametrize("many", [False, True], ids=["alone", "in a transaction"])
def test_a_read_through_a_pooler_is_held_read_only_and_to_its_limits(
    owner, lenient, dashboard_through, own_settings, many
):
    owner.execute("GRANT INSERT ON workspace TO multica_view")
    dashboard_through(lenient, options="-c search_path=public,pg_temp -c statement_timeout=0")

    def read(statement):
        with connections["multica"].cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]

    def look():
        assert read("SHOW transaction_read_only") == "on"
        assert read("SHOW statement_timeout") == "5s"
        assert read("SHOW lock_timeout") == "1s"
        assert read("SHOW search_path") == "public,pg_temp"
        assert read("SHOW timezone") == "UTC"

    if many:
        with transaction.atomic(using="multica"):
            look()
    else:
        look()
    with pytest.raises(Exception, match="read-only transaction"):
        read("INSERT INTO workspace (id) SELECT gen_random_uuid() RETURNING id")
    with pytest.raises(Exception, match="statement timeout"):
        read("SELECT 'too long' FROM pg_sleep(600)")
    look()
    owner.execute("REVOKE INSERT ON workspace FROM multica_view")


def test_where_the_pooler_refuses_the_greeting_the_page_says_which_way_works(
    pooler, mode, dashboard_through, admin_client
):
    dashboard_through(pooler(mode))
    admin_client.raise_request_exception = False
    answer = admin_client.get(reverse("plans"))
    page = answer.content.decode()
    assert answer.status_code == 503
    assert "A connection pooler is in the way" in page
    assert "ignore_startup_parameters = options" in page


def test_a_direct_connection_beside_it_is_not_refused(between):
    with runner_connection() as connection:
        (row,) = connection.execute("SHOW TimeZone")
        assert row == {"TimeZone": "UTC"}
