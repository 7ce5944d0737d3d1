"""Roles with exactly what `manage.py permissions` prints, and everything that is done with them.

The database is that of `tests/upstream.sql`, with the columns of a real install. PUBLIC has no
right to it, so each printed statement counts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from psycopg import sql

from executions.accounts.roles import OPERATOR
from executions.database.connections import Connection
from executions.health import snapshots
from executions.health.facts.pg_cron import Visibility
from executions.health.read import read_facts
from executions.pages.live import forget_shared
from executions.retirement.facts import read_schedules
from multica_admin.databases import reader_alias
from tests import environment
from tests.commands import run_command
from tests.people import make_user
from tests.retiring import schedule

VIEWER, RUNNER = "printed_viewer", "printed_runner"
UPSTREAM = "upstream"

# One workspace whose agent has a key, one task with usage in an hour that is rolled up.
USAGE = """
WITH workspace AS (
    INSERT INTO workspace (name, slug) VALUES ('Research', 'research') RETURNING id
), runtime AS (
    INSERT INTO agent_runtime (workspace_id, name) SELECT id, 'laptop' FROM workspace RETURNING id
), agent AS (
    INSERT INTO agent (workspace_id, custom_env)
    SELECT id, '{"API_KEY": "secret"}' FROM workspace RETURNING id
), issue AS (
    INSERT INTO issue (workspace_id, title) SELECT id, 'a secret plan' FROM workspace RETURNING id
), task AS (
    INSERT INTO agent_task_queue (agent_id, runtime_id, issue_id)
    SELECT agent.id, runtime.id, issue.id FROM agent, runtime, issue RETURNING id
)
INSERT INTO task_usage (id, task_id, provider, model, input_tokens, output_tokens,
                        cache_read_tokens, cache_write_tokens, created_at, updated_at)
SELECT gen_random_uuid(), id, 'anthropic', 'claude-sonnet', 10, 20, 30, 40,
       now() - interval '50 hours', now() - interval '50 hours'
  FROM task
"""
RUN = """
INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command, status,
                                  return_message, start_time, end_time)
VALUES (%s, 1, 1, 'upstream', 'multica', 'SELECT rollup_task_usage_hourly()', 'succeeded',
        'one row', now(), now())
"""


# One run found the watermark further than the runs before it had left it: pg_cron's runs are read
# only if something else moved it.
JUMP = """
UPDATE sys_cron_executions
   SET result = jsonb_set(result, '{watermark_before}', result->'watermark_after')
 WHERE plan_time = (SELECT max(plan_time) FROM sys_cron_executions)
"""


@dataclass(frozen=True)
class Right:
    """One right of one printed statement. ``give`` and ``take`` are run in ``database``."""

    database: str
    give: str
    take: str

    def __str__(self) -> str:
        return self.take


class Printed:
    """The world of these tests: the rights of each role, and what goes wrong."""

    def __init__(self, superuser: Callable[[str], Connection], client: Client) -> None:
        self._superuser = superuser
        self._client = client
        self.execution = (
            superuser(UPSTREAM)
            .execute("SELECT id FROM sys_cron_executions ORDER BY plan_time LIMIT 1")
            .fetchone()["id"]
        )  # type: ignore[index]

    def run(self, database: str, statement: str) -> None:
        self._superuser(database).execute(statement.encode())

    def text(self, role: str, purpose: str) -> str:
        return run_command("permissions", "--role", role, "--as", purpose).said

    def statements(self, role: str, purpose: str) -> list[tuple[str, str]]:
        """The printed statements, each with the database that its group names."""
        found: list[tuple[str, str]] = []
        database = ""
        for line in self.text(role, purpose).splitlines():
            if named := re.match(r"-- In the database (\w+)", line):
                database = named[1]
            elif not line.startswith("--"):
                found.append((database, line))
        return found

    def grant(self, role: str, purpose: str) -> list[Right]:
        """Run the printed statements. Return each right, so that it can be revoked by itself."""
        rights = []
        for database, statement in self.statements(role, purpose):
            self.run(database, statement)
            rights += [Right(database, give, take) for give, take in _apart(statement)]
        return rights

    def complaints_of_pages(self, pages: list[str]) -> list[str]:
        """What the pages, the files and the commands that look say when something is refused."""
        addresses = [
            *pages,
            f"/executions/{self.execution}/",
            "/executions/export.csv",
            "/executions/export.jsonl",
        ]
        found = []
        for address in addresses:
            snapshots.forget()
            forget_shared()
            answer = self._client.get(address)
            body = b"".join(answer) if answer.streaming else answer.content
            said = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", body.decode()))
            if answer.status_code not in {200, 302}:
                found.append(f"{address} {answer.status_code}: {said}")
            found += [f"{address}: {said}" for words in REFUSED if words in said]
        snapshots.forget()
        said = json.loads(run_command("checkrollup", "--json").said)
        found += [one["summary"] for one in said["findings"] if one["code"] == UNREAD]
        found += self._unseen()
        warnings = run_command("check", "--database", "multica").refused
        return [*found, warnings] if "executions.W" in warnings else found

    def _unseen(self) -> list[str]:
        """What is not seen of pg_cron: by the role that may retire, and by the overview."""
        try:
            inventory = read_schedules()
        except psycopg.Error as error:
            return [f"not seen: {error}"]
        overview = read_facts().pg_cron
        seen = {
            "the jobs": inventory.visibility is Visibility.FULL,
            "the runs of the job": any(one.runs for one in inventory.candidates),
            "the runs, on the overview": bool(getattr(overview, "runs", ())),
        }
        return [f"not seen: {what}" for what, is_seen in seen.items() if not is_seen]

    def complaints_of_the_runner(self) -> list[str]:
        """What the commands that write say when something is refused."""
        found = []
        for command in (
            ("runrollup", "--once"),
            ("backfill_task_usage_hourly", "--dry-run"),
            ("backfill_task_usage_hourly",),
            ("pruneexecutions",),
        ):
            told = run_command(*command)
            if told.status:
                found.append(f"{' '.join(command)} {told.status}: {told.said} {told.refused}")
        return found


# A page uses these words to say that it was refused something.
REFUSED = ("permission denied", "may not read", "may not look", "would show them")
UNREAD = "not_available"


_GRANT = re.compile(
    r"GRANT (?P<rights>.+?)(?: \((?P<columns>.+)\))? ON (?P<on>.+) TO (?P<role>\".+\");"
)
_MEMBER = re.compile(r"GRANT (?P<of>[\w, ]+) TO (?P<role>\".+\");")
_POLICY = re.compile(r"CREATE POLICY (?P<name>\S+) ON (?P<table>\S+) ")


def _apart(statement: str) -> Iterator[tuple[str, str]]:
    """How to grant and how to revoke each right of a statement."""
    if found := _POLICY.match(statement):
        yield statement, f"DROP POLICY {found['name']} ON {found['table']}"
    elif found := _GRANT.fullmatch(statement):
        columns = (found["columns"] or "").split(", ")
        for right in found["rights"].split(", "):
            for column in columns:
                what = f"{right} ({column})" if column else right
                yield (
                    f"GRANT {what} ON {found['on']} TO {found['role']}",
                    f"REVOKE {what} ON {found['on']} FROM {found['role']}",
                )
    elif found := _MEMBER.fullmatch(statement):
        for group in found["of"].split(", "):
            yield f"GRANT {group} TO {found['role']}", f"REVOKE {group} FROM {found['role']}"
    else:
        raise AssertionError(f"nobody knows how to take back: {statement}")


@pytest.fixture
def printed(
    role: Any, upstream: Connection, pg_cron: Connection, connect: Any, cluster: Any, settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Printed]:  # fmt: skip
    """Both roles without any right yet, and every connection of the product using them."""
    role(VIEWER)
    role(RUNNER)
    opened: dict[str, Connection] = {}

    def superuser(database: str) -> Connection:
        if database not in opened:
            opened[database] = connect("postgres", database=database)
        return opened[database]

    here = superuser(UPSTREAM)
    here.execute(USAGE)
    here.execute(JUMP)
    here.execute("CREATE INDEX ON task_usage (updated_at)")
    jobid = schedule(pg_cron, owner="multica")
    pg_cron.execute(RUN, [jobid])
    for database in (UPSTREAM, environment.DATABASE):
        name = sql.Identifier(database)
        here.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(name))
    here.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
    here.execute("GRANT USAGE ON SCHEMA public TO upstream_owner")
    here.execute("GRANT CONNECT ON DATABASE multica TO multica_view, multica_admin")
    pg_cron.execute("REVOKE SELECT ON cron.job, cron.job_run_details FROM PUBLIC")

    as_viewer = cluster.conninfo(UPSTREAM, VIEWER)
    settings.MULTICA_CONNINFO = as_viewer
    settings.RUNNER_CONNINFO = cluster.conninfo(UPSTREAM, RUNNER)
    settings.RETIRE_CONNINFO = cluster.conninfo(environment.DATABASE, VIEWER)
    connections["multica"].close_pool()
    before = connections["multica"].settings_dict
    configured = connections.configure_settings(
        {"default": connections["default"].settings_dict, "multica": reader_alias(as_viewer)}
    )["multica"]
    monkeypatch.setattr(connections["multica"], "settings_dict", before | configured)
    client = Client(raise_request_exception=False)
    client.force_login(make_user("olga", OPERATOR))
    yield Printed(superuser, client)
    connections["multica"].close()
    connections["multica"].close_pool()
    here.execute("GRANT CONNECT ON DATABASE multica TO PUBLIC")
    here.execute("REVOKE CONNECT ON DATABASE multica FROM multica_view, multica_admin")
    pg_cron.execute("GRANT SELECT ON cron.job, cron.job_run_details TO PUBLIC")


__all__ = ["RUNNER", "VIEWER", "User", "printed"]
