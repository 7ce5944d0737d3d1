"""Attached to a Multica that is not ours: look at everything, write nothing, and refuse well."""

from __future__ import annotations

import logging

import pytest
from django.core.management import call_command
from django.db import InternalError, connections
from django.urls import reverse

from multica_admin.databases import reader_alias

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

CATALOG = """
SELECT 'relation' AS kind, n.nspname || '.' || c.relname AS name, c.relkind::text AS detail,
       coalesce(c.relacl::text, '') AS extra
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname !~ '^pg_(toast|temp)'
UNION ALL
SELECT 'function', n.nspname || '.' || p.proname, p.prosrc, ''
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public'
UNION ALL
SELECT 'schema', nspname, coalesce(nspacl::text, ''), ''
  FROM pg_namespace WHERE nspname !~ '^pg_temp'
UNION ALL
SELECT 'column', attrelid::regclass::text, attname, atttypid::regtype::text
  FROM pg_attribute WHERE attrelid = 'public.sys_cron_executions'::regclass
ORDER BY 1, 2, 3, 4
"""


def everything(connection):
    """The catalog and every row of every table of the database, as one comparable value."""
    catalog = connection.execute(CATALOG).fetchall()
    tables = connection.execute(
        "SELECT quote_ident(tablename) AS name FROM pg_tables"
        " WHERE schemaname = 'public' ORDER BY 1"
    ).fetchall()
    contents = {
        table["name"]: connection.execute(
            f"SELECT t.*, t.xmin::text AS written_by FROM {table['name']} t ORDER BY t::text"
        ).fetchall()
        for table in tables
    }
    return catalog, contents


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


def test_starting_migrating_signing_in_and_looking_around_writes_nothing_there(
    attached, client, django_user_model, every_page
):
    before = everything(attached)
    call_command("migrate", verbosity=0, interactive=False)
    django_user_model.objects.create_superuser("ada", password="correct horse battery")
    signed_in = client.post(
        reverse("login"), {"username": "ada", "password": "correct horse battery"}
    )
    assert signed_in.status_code == 302
    for path in every_page:
        assert client.get(path).status_code == 200, path
    assert "Success" in client.get("/").content.decode()
    assert everything(attached) == before


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
