"""Attached to a real Multica the dashboard reads everything, writes nothing and refuses plainly."""

from __future__ import annotations

import logging

import pytest
from django.core.management import call_command
from django.db import InternalError, connections
from django.urls import reverse
from psycopg import sql

from executions.models import Execution
from multica_admin.databases import reader_alias
from tests.emptying import forget_all
from tests.people import PASSWORD
from tests.sizes import sized

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

# What vacuum and analyze keep up to date by themselves.
KEPT_BY_THE_SERVER = [
    "relpages", "reltuples", "relallvisible", "relallfrozen", "relfrozenxid", "relminmxid",
    "datfrozenxid", "datminmxid",
]  # fmt: skip
# Every catalog but the statistics, and how far sequences are.
CATALOGS = """
SELECT quote_ident(relname) AS name
  FROM pg_class
 WHERE relnamespace = 'pg_catalog'::regnamespace
   AND (relkind = 'r' AND relname !~ '^pg_statistic' OR relname = 'pg_sequences')
"""
TABLES = "SELECT quote_ident(tablename) AS name FROM pg_tables WHERE schemaname = 'public'"


def everything(connection):
    """Every row of every catalog and of every table of the database, as one comparable value.

    Ask it of a superuser's connection: others may not read all catalogs.
    """
    found = set()
    for catalog in connection.execute(CATALOGS).fetchall():
        rows = connection.execute(
            f"SELECT (to_jsonb(c) - %s::text[])::text AS row FROM {catalog['name']} c",
            [KEPT_BY_THE_SERVER],
        )
        found |= {(catalog["name"], row["row"]) for row in rows}
    for table in connection.execute(TABLES).fetchall():
        rows = connection.execute(
            f"SELECT ctid::text AS place, xmin::text AS written_by, t::text AS row"
            f" FROM {table['name']} t"
        )
        found |= {(table["name"], row["place"], row["written_by"], row["row"]) for row in rows}
    return found


@pytest.fixture
def attached(upstream, cluster, monkeypatch):
    """Django's alias ``multica`` leads to the upstream database until the test ends."""
    connections["multica"].close_pool()
    before = connections["multica"].settings_dict
    settings_dict = connections.configure_settings(
        {
            "default": connections["default"].settings_dict,
            "multica": reader_alias(cluster.conninfo(upstream.info.dbname, "multica_view")),
        }
    )["multica"]
    monkeypatch.setattr(connections["multica"], "settings_dict", before | settings_dict)
    yield upstream
    connections["multica"].close()
    connections["multica"].close_pool()


CHANGES = (
    "CREATE TRIGGER t BEFORE INSERT ON workspace EXECUTE FUNCTION unique_key_recheck()",
    "ALTER TABLE workspace ADD CHECK (id IS NOT NULL)",
    "ALTER TABLE workspace OWNER TO postgres",
    "ALTER TABLE workspace ALTER name SET DEFAULT 'x'",
    "ALTER TABLE workspace ALTER name SET STATISTICS 7",
    "ALTER TABLE workspace ADD COLUMN more int",
    "ALTER TABLE workspace ENABLE ROW LEVEL SECURITY",
    "COMMENT ON TABLE workspace IS 'x'",
    "ALTER ROLE multica_view IN DATABASE upstream SET work_mem = '5MB'",
    "ALTER ROLE multica_view CONNECTION LIMIT 77",
    "GRANT INSERT ON workspace TO multica_view",
    "CREATE PUBLICATION p FOR TABLE workspace",
    "CREATE INDEX ON workspace (name)",
    "CREATE SCHEMA another",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "INSERT INTO workspace VALUES (gen_random_uuid(), 'x', 'x')",
)


@pytest.fixture
def administrator(upstream, connect):
    return connect("postgres", database="upstream")


def test_every_kind_of_change_would_be_seen(administrator):
    before = everything(administrator)
    assert everything(administrator) == before
    for change in CHANGES:
        with administrator.transaction(force_rollback=True):
            administrator.execute(change)
            assert everything(administrator) != before, change


def test_starting_migrating_signing_in_and_looking_around_writes_nothing_there(
    attached, administrator, client, django_user_model, every_page
):
    before = everything(administrator)
    call_command("migrate", verbosity=0, interactive=False)
    django_user_model.objects.create_superuser("ada", password=PASSWORD)
    signed_in = client.post(reverse("login"), {"username": "ada", "password": PASSWORD})
    assert signed_in.status_code == 302
    for path in every_page:
        assert client.get(path).status_code == 200, path
    assert "Success" in client.get("/").content.decode()
    assert everything(administrator) == before


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO workspace SELECT gen_random_uuid(), 'x', 'x'",
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now()",
        "DELETE FROM task_usage",
        "CREATE TABLE mine (id int)",
    ],
)
def test_the_dashboards_connection_cannot_write_even_with_every_right(attached, connect, statement):
    attached.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO multica_view")
    attached.execute("GRANT CREATE ON SCHEMA public TO multica_view")
    with pytest.raises(InternalError, match="read-only transaction"):
        connections["multica"].cursor().execute(statement)


BREAKAGES = {
    "a missing table": ("DROP TABLE sys_cron_executions", "sys_cron_executions"),
    "a missing column": ("ALTER TABLE sys_cron_executions DROP COLUMN error_code", "error_code"),
    "a missing right": (
        "REVOKE SELECT ON sys_cron_executions FROM multica_view",
        "sys_cron_executions",
    ),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_what_is_missing_gives_one_clear_page_and_one_clear_line(
    attached, admin_client, caplog, breakage
):
    statement, named = BREAKAGES[breakage]
    attached.execute(statement)
    caplog.set_level(logging.INFO)
    admin_client.raise_request_exception = False
    answer = admin_client.get("/")
    page = answer.content.decode()
    assert answer.status_code in {200, 503}
    assert named in page
    assert "Traceback" not in page
    lines = [record for record in caplog.records if named in record.getMessage()]
    assert len(lines) == 1
    assert not lines[0].exc_info


def test_a_watermark_that_is_null_is_told_on_every_page(attached, admin_client, caplog, every_page):
    attached.execute("ALTER TABLE task_usage_hourly_rollup_state ALTER watermark_at DROP NOT NULL")
    attached.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = NULL")
    admin_client.raise_request_exception = False
    statuses = {path: admin_client.get(path).status_code for path in every_page}
    assert set(statuses.values()) == {200}, statuses
    assert "has no watermark" in admin_client.get("/").content.decode()
    assert not [record for record in caplog.records if record.exc_info]


def columns_of_executions():
    return [field.column for field in Execution._meta.concrete_fields]


def test_a_column_that_is_missing_is_told_on_every_page(attached, admin_client, caplog, every_page):
    """In `bin/test` each page misses only one of the columns, and each column is missed by one."""
    admin_client.raise_request_exception = False
    table = sql.SQL("ALTER TABLE sys_cron_executions RENAME {} TO {}")
    renamed = sql.Identifier("renamed")
    columns = columns_of_executions()
    for number, column in enumerate(columns):
        attached.execute(table.format(sql.Identifier(column), renamed))
        forget_all()
        pages = {"/", "/executions/", *sized(every_page[number :: len(columns)], every_page)}
        statuses = {path: admin_client.get(path).status_code for path in pages}
        attached.execute(table.format(renamed, sql.Identifier(column)))
        assert set(statuses.values()) <= {200, 503}, (column, statuses)
        assert not [record for record in caplog.records if record.exc_info], column
