"""The commands of docs/guide/deploying.md, run in the order of a life against a real PostgreSQL.

A block of ``sh`` is run. One of ``console`` needs what the tests do not have;
`tests/unit/test_guides.py` sees to it that the page says so and that a shell can read it. The
commands of the other guides are run in `tests/database/test_guide_statements.py`.
"""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from psycopg import OperationalError
from psycopg.conninfo import make_conninfo

from executions.database.connections import connect
from tests.conftest import postgresql_with_pg_cron
from tests.markdown_pages import GUIDES
from tests.processes import PROJECT
from tests.servers import connected, private_server

PAGE = (GUIDES / "deploying.md").read_text("utf-8")
JOB = "SELECT cron.schedule('rollup', '*/5 * * * *', 'SELECT rollup_task_usage_hourly()')"


def sections():
    """The text below each heading."""
    parts = re.split(r"(?m)^## (.*)\n", PAGE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def blocks(section, kind="sh"):
    return re.findall(rf"```{kind}\n(.*?)```", sections()[section], re.DOTALL)


@pytest.fixture
def host(tmp_path):
    """A folder like a checkout, and a server with Multica and pg_cron in the same database."""
    for name in (".venv", "manage.py", "deploy"):
        (tmp_path / name).symlink_to(PROJECT / name)
    with private_server() as cluster, connected(cluster) as superuser:
        superuser.execute("CREATE EXTENSION pg_cron")
        superuser.execute((PROJECT / "tests" / "upstream.sql").read_text())
        superuser.execute(JOB)
        for database in ("moved", "own_moved"):
            superuser.execute(f"CREATE DATABASE {database}")
        yield Host(cluster, superuser, tmp_path)


class Host:
    def __init__(self, cluster, superuser, folder):
        self.superuser, self.folder = superuser, folder
        self.socket = str(cluster.socket_directory)
        binaries = postgresql_with_pg_cron().directory
        self.env = {
            "PATH": f"{binaries}:{os.environ['PATH']}",
            "VAR_DIR": str(folder / "var"),
            "SECRET_KEY": "only-for-tests",
            "VIEW_PASSWORD": "a",
            "OWN_PASSWORD": "b",
            "SUPERUSER_URL": self.url("postgres", "postgres"),
            "NEW_SUPERUSER_URL": self.url("postgres", "moved"),
            "ADMIN_DATABASE_URL": self.url("multica_admin", "multica_admin"),
            "NEW_ADMIN_DATABASE_URL": self.url("postgres", "own_moved"),
            "DATABASE_URL": self.url("multica_view", "postgres"),
        }

    def url(self, user, database):
        return make_conninfo(host=self.socket, user=user, dbname=database)

    def run(self, command, *statuses):
        done = subprocess.run(
            ["sh", "-euc", command], cwd=self.folder, env=self.env, capture_output=True,
            text=True, timeout=600, check=False,
        )  # fmt: skip
        assert done.returncode in (statuses or (0,)), f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def run_section(self, name):
        found = blocks(name)
        assert found, name
        return "".join(self.run(block) for block in found)

    def ask(self, user, database, query):
        where = {"host": self.socket, "user": user, "dbname": database}
        connection = connect(where, application_name="test")
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()


def test_every_command_of_the_page_works_in_the_order_of_a_life(host):
    host.run_section("The roles and our database")
    host.run(".venv/bin/python manage.py migrate --verbosity 0")
    audit = "SELECT count(*) AS n FROM multica_admin.executions_auditevent"
    host.run(
        'psql -d "$ADMIN_DATABASE_URL" -c "INSERT INTO multica_admin.executions_auditevent'
        " (user_name, action, subject, outcome, statement, role, summary, evidence)"
        " VALUES ('olga', 'choose', 'x', 'done', '', '', '', '{}')\""
    )

    host.run_section("Upgrading the dashboard")
    (row,) = host.ask("multica_view", "postgres", "SELECT count(*) AS n FROM sys_cron_executions")
    assert row["n"] > 0

    host.run_section("Rolling back the dashboard")
    assert "olga" in (host.folder / "audit.csv").read_text()
    (row,) = host.ask("multica_admin", "multica_admin", audit)
    assert row["n"] == 1

    said = host.run_section("Moving Multica to another server")
    assert "last_run_finished_at" in said
    for name in ("task_usage", "sys_cron_executions", "task_usage_hourly"):
        host.ask("postgres", "moved", f"SELECT count(*) FROM {name}")
    host.ask("postgres", "moved", "SELECT rollup_task_usage_hourly()")
    (row,) = host.ask("postgres", "moved", "SELECT to_regnamespace('cron') IS NULL AS gone")
    assert row["gone"]
    (row,) = host.ask("postgres", "own_moved", audit)
    assert row["n"] == 1

    for database in ("moved", "own_moved"):
        host.superuser.execute(f"DROP DATABASE {database}")
    host.run_section("Removing the dashboard")
    with pytest.raises(OperationalError, match="does not exist"):
        host.ask("multica_view", "postgres", "SELECT 1")
    (row,) = host.ask("postgres", "postgres", "SELECT count(*) AS n FROM cron.job")
    assert row["n"] == 1
