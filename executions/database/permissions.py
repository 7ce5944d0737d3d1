"""The rights that each of our roles needs, as statements for an administrator. It runs none.

A viewer reads some columns of Multica's tables. A runner also writes executions and everything that
the rollup writes, because the rollup's functions run with their caller's rights. A retirer sees and
removes pg_cron jobs. Comments in the output say what each group of statements is for.

Multica's tables may hold secrets beside the columns that we read: an agent's environment has API
keys, an issue has texts. So rights to read are on columns, and `READ` is the one list of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from psycopg import sql as writing

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.text.columns import wrapped
from executions.text.sentences import listed

SQL = load("permissions")

PURPOSES = ("viewer", "runner", "retirer")

_KEY = (
    "bucket_hour", "workspace_id", "runtime_id", "agent_id", "project_id", "provider", "model",
)  # fmt: skip
_TOKENS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
# The columns that a bucket's key needs: the agent's workspace, the task's runtime, the issue's
# project.
_KEYS_OF_USAGE: dict[str, tuple[str, ...]] = {
    "agent": ("id", "workspace_id"),
    "agent_task_queue": ("id", "agent_id", "runtime_id", "issue_id"),
    "issue": ("id", "project_id"),
}
# The columns that the dashboard reads of Multica's tables.
READ: dict[str, tuple[str, ...]] = {
    "sys_cron_executions": (
        "id", "job_name", "scope_kind", "scope_id", "plan_time", "status", "attempt",
        "max_attempts", "next_retry_at", "runner_id", "lease_token", "heartbeat_at", "stale_after",
        "started_at", "finished_at", "duration_ms", "rows_affected", "result", "error_code",
        "error_msg", "created_at", "updated_at",
    ),
    "task_usage_hourly_rollup_state": (
        "id", "watermark_at", "last_run_started_at", "last_run_finished_at",
    ),
    **_KEYS_OF_USAGE,
    "task_usage": ("task_id", "provider", "model", *_TOKENS, "created_at", "updated_at"),
    "task_usage_hourly": (*_KEY, *_TOKENS, "event_count"),
    "task_usage_hourly_dirty": (*_KEY, "enqueued_at"),
    "agent_runtime": ("id",),
}  # fmt: skip
# What only a Multica has, by what it is read for. Our standalone side lacks it, and the dashboard
# can do without.
_OF_MULTICA_ALONE: Mapping[Promise, Mapping[str, tuple[str, ...]]] = {
    gettext_lazy("To tell how old the database is:"): {"schema_migrations": ("applied_at",)},
    gettext_lazy("To find tasks that ran and reported no usage:"): {
        "agent_task_queue": ("started_at", "completed_at")
    },
    gettext_lazy("To name a workspace whose usage is missing:"): {"workspace": ("id", "name")},
}
_RUN_DETAILS = (
    "jobid", "runid", "job_pid", "database", "command", "status", "return_message", "start_time",
    "end_time",
)  # fmt: skip

_EXECUTIONS = "sys_cron_executions"
_QUEUE = "task_usage_hourly_dirty"

# Of the text of a comment.
_WIDTH = 93


@dataclass(frozen=True)
class Installed:
    """What Multica's database has, as far as the statements depend on it.

    ``columns`` are the existing columns of `wanted`, by table. ``queues`` says whether the rollup's
    window function adds keys to the dirty queue; None if there is no such function.
    """

    columns: Mapping[str, frozenset[str]]
    queues: bool | None

    def has(self, table: str, columns: Sequence[str]) -> bool:
        return self.columns.get(table, frozenset()).issuperset(columns)


def read_installed(fetch: Fetch) -> Installed:
    """Look at the catalogs.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    wanted = [
        (table, column)
        for group in (READ, *_OF_MULTICA_ALONE.values())
        for table, columns in group.items()
        for column in columns
    ]
    tables, columns = zip(*wanted, strict=True)
    found = fetch(SQL.columns, {"tables": list(tables), "columns": list(columns)})
    by_table: dict[str, set[str]] = {}
    for row in found:
        by_table.setdefault(row["table_name"], set()).add(row["column_name"])
    return Installed(
        columns={table: frozenset(columns) for table, columns in by_table.items()},
        queues=fetch(SQL.queues, {})[0]["queues"],
    )


def statements(
    role: str,
    purpose: str,
    *,
    database: str,
    cron_database: str,
    has_pg_cron: bool = True,
    installed: Installed | None = None,
) -> list[str]:
    """The lines to print: comments, and statements that each end with a semicolon.

    ``database`` is Multica's and ``cron_database`` pg_cron's; each group says where to run it. If
    pg_cron is known to be missing there, its statements would fail and are comments. So are
    statements for what ``installed`` lacks. Without ``installed``, Multica's side counts as
    complete.

    Raises:
        ValueError: a purpose that is not in :data:`PURPOSES`.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"{purpose} is none of {', '.join(PURPOSES)}")
    lines = [
        *_comment(
            _(
                "The role %(role)s as %(purpose)s. Run these as a superuser or as the owner of the"
                " tables."
            ),
            role=role,
            purpose=purpose,
        )
    ]
    if on_tables := {"viewer": _viewer, "runner": _runner}.get(purpose):
        lines += on_tables(role, database, installed)
    if on_jobs := {"viewer": _sees_jobs, "retirer": _retirer}.get(purpose):
        wanted = on_jobs(role, cron_database)
        lines += wanted if has_pg_cron else _for_later(wanted, cron_database)
    return lines


def reading_rights(role: str) -> list[str]:
    """The statements with which the role reads what the dashboard shows, and nothing more."""
    return list(_reads(role, READ, None))


def sight_statements(role: str, cron_database: str) -> list[str]:
    """The statements with which the role sees every pg_cron job, and nothing more."""
    return list(_sees_jobs(role, cron_database))


def _comment(text: str, **values: str) -> Iterator[str]:
    """The text as comments of SQL, in lines that a terminal and a page can show."""
    for line in wrapped(text % values, _WIDTH):
        yield f"-- {line}"


def _written(template: str, role: str, **names: str | Sequence[str]) -> str:
    """The template with quoted identifiers. A sequence of names becomes a list of columns."""
    identifiers = {
        name: writing.Identifier(value)
        if isinstance(value, str)
        else writing.SQL(", ").join(map(writing.Identifier, value))
        for name, value in names.items()
    }
    template_of = writing.SQL(template)
    return template_of.format(role=writing.Identifier(role), **identifiers).as_string(None)


def _policy(role: str) -> str:
    """The name of our policy, cut to PostgreSQL's maximum length."""
    return f"multica_admin_{role}"[:63]


def _for_later(lines: Iterable[str], cron_database: str) -> Iterator[str]:
    yield from _comment(
        _("There is no pg_cron in the database %(database)s. Only once it is there:"),
        database=cron_database,
    )
    for line in lines:
        yield line if line.startswith("--") else f"-- {line}"


def _enters(role: str, database: str) -> Iterator[str]:
    yield from _comment(_("In the database %(database)s:"), database=database)
    yield _written("GRANT CONNECT ON DATABASE {database} TO {role};", role, database=database)
    yield _written("GRANT USAGE ON SCHEMA public TO {role};", role)


def _reads(
    role: str, wanted: Mapping[str, Sequence[str]], installed: Installed | None
) -> Iterator[str]:
    """The right to read these columns. Missing columns become a comment that names them."""
    for table, columns in wanted.items():
        here = columns if installed is None else installed.columns.get(table, frozenset())
        present = [column for column in columns if column in here]
        missing = [column for column in columns if column not in here]
        if missing:
            yield from _comment(
                _("%(table)s has no %(columns)s here, so no right to it can be given."),
                table=table,
                columns=str(listed(missing)),
            )
        if present:
            yield _written(
                "GRANT SELECT ({columns}) ON public.{table} TO {role};",
                role,
                table=table,
                columns=present,
            )


def _viewer(role: str, database: str, installed: Installed | None) -> Iterator[str]:
    yield from _enters(role, database)
    yield from _comment(
        _("Only the columns that are read: others of these tables hold API keys and texts.")
    )
    yield from _reads(role, READ, installed)
    for purpose, wanted in _OF_MULTICA_ALONE.items():
        if installed is None or all(installed.has(*one) for one in wanted.items()):
            yield from _comment(str(purpose))
            yield from _reads(role, wanted, installed)
    yield from _comment(
        _(
            "Row security hides rows without an error. Where a table has it, let a superuser run"
            " the next statement too, or the owner the one after it for each such table:"
        )
    )
    yield _written("-- ALTER ROLE {role} BYPASSRLS;", role)
    yield _written(
        "-- CREATE POLICY {policy} ON public.{table} FOR SELECT TO {role} USING (true);",
        role,
        policy=_policy(role),
        table=_EXECUTIONS,
    )
    yield from _comment(
        _("To name what other sessions do, for example who holds the rollup's lock:")
    )
    yield _written("GRANT pg_read_all_stats TO {role};", role)


def _runner(role: str, database: str, installed: Installed | None) -> Iterator[str]:
    yield from _enters(role, database)
    yield from _comment(
        _(
            "To claim plans and write what came of them; DELETE is for “manage.py"
            " pruneexecutions” alone:"
        )
    )
    yield _on_table(role, "SELECT, INSERT, UPDATE, DELETE", _EXECUTIONS)
    yield from _comment(
        _(
            "What the rollup's functions read. Of the first three tables only these columns, for"
            " others hold API keys and texts. The last one holds counts only, and the functions of"
            " another release of Multica may read more of them:"
        )
    )
    yield from _reads(role, _KEYS_OF_USAGE, installed)
    yield _on_table(role, "SELECT", "task_usage")
    yield from _comment(
        _(
            "What they write. INSERT on the state row is for a backfill, which makes it anew"
            " where it was lost:"
        )
    )
    yield _on_table(role, "SELECT, INSERT, UPDATE, DELETE", "task_usage_hourly")
    yield _on_table(role, "SELECT, INSERT, UPDATE", "task_usage_hourly_rollup_state")
    yield _on_table(role, "SELECT, DELETE", _QUEUE)
    adds = _on_table(role, "INSERT, UPDATE", _QUEUE)
    if installed is None or installed.queues is None:
        yield from _comment(
            _("Only where “manage.py provision” made the functions, which also add to the queue:")
        )
        yield f"-- {adds}"
    elif installed.queues:
        yield from _comment(
            _("The functions that “manage.py provision” made also add to the queue:")
        )
        yield adds


def _on_table(role: str, privileges: str, table: str) -> str:
    return _written(f"GRANT {privileges} ON public.{{table}} TO {{role}};", role, table=table)


def _retirer(role: str, cron_database: str) -> Iterator[str]:
    yield from _sees_jobs(role, cron_database)
    yield from _comment(
        _(
            "To remove jobs of other owners. Pausing them, and scheduling them again for their"
            " owner, takes a superuser: there is no lesser right for that."
        )
    )
    yield _written("GRANT DELETE ON cron.job TO {role};", role)
    yield from _comment(_("To pause, resume and put back jobs of its own:"))
    yield _written(
        "GRANT EXECUTE ON FUNCTION cron.alter_job(bigint, text, text, text, text, boolean)"
        " TO {role};",
        role,
    )
    yield _written(
        "GRANT EXECUTE ON FUNCTION cron.schedule_in_database(text, text, text, text, text, boolean)"
        " TO {role};",
        role,
    )
    yield from _comment(_("To tell a running job from its details, and on which node jobs run:"))
    yield _written("GRANT pg_read_all_stats, pg_read_all_settings TO {role};", role)


def _sees_jobs(role: str, cron_database: str) -> Iterator[str]:
    yield from _comment(
        _(
            "In the database %(database)s, where pg_cron is. Without the two policies row security"
            " hides every job of another owner:"
        ),
        database=cron_database,
    )
    yield _written("GRANT CONNECT ON DATABASE {database} TO {role};", role, database=cron_database)
    yield _written("GRANT USAGE ON SCHEMA cron TO {role};", role)
    yield _written("GRANT SELECT ON cron.job TO {role};", role)
    yield _written(
        "GRANT SELECT ({columns}) ON cron.job_run_details TO {role};", role, columns=_RUN_DETAILS
    )
    for table in ("job", "job_run_details"):
        yield _written(
            "CREATE POLICY {policy} ON cron.{table} FOR SELECT TO {role} USING (true);",
            role,
            policy=_policy(role),
            table=table,
        )
