"""What each of our roles needs, as statements for an administrator. Nothing here runs them.

A viewer reads Multica's tables. A runner also writes executions and whatever the rollup writes,
because the rollup's functions run with the rights of their caller. A retirer sees and removes
pg_cron jobs. Comments in the output say what each group of statements is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from psycopg import sql

PURPOSES = ("viewer", "runner", "retirer")

# What the rollup reads, what it writes, and what a runner writes (docs/contract.md 2 and 4).
_SOURCES = (
    "workspace", "agent_runtime", "agent", "issue", "agent_task_queue", "task_usage",
)  # fmt: skip
_DERIVED = ("task_usage_hourly", "task_usage_hourly_dirty", "task_usage_hourly_rollup_state")
_EXECUTIONS = "sys_cron_executions"


def statements(
    role: str, purpose: str, *, database: str, cron_database: str, has_pg_cron: bool = True
) -> list[str]:
    """The lines to print: comments, and statements that each end with a semicolon.

    ``database`` is Multica's and ``cron_database`` pg_cron's; each group says where to run it.
    Where pg_cron is known not to be in there, its statements, which would fail, are comments.

    Raises:
        ValueError: a purpose that is none of :data:`PURPOSES`.
    """
    if purpose not in PURPOSES:
        raise ValueError(f"{purpose} is none of {', '.join(PURPOSES)}")
    lines = [
        f"-- The role {role} as {purpose}. Run these as a superuser or as the owner of the tables."
    ]
    if on_tables := {"viewer": _viewer, "runner": _runner}.get(purpose):
        lines += on_tables(role, database)
    if on_jobs := {"viewer": _sees_jobs, "retirer": _retirer}.get(purpose):
        wanted = on_jobs(role, cron_database)
        lines += wanted if has_pg_cron else _for_later(wanted, cron_database)
    return lines


def sight_statements(role: str, cron_database: str) -> list[str]:
    """The part of it with which the role sees every pg_cron job, and nothing more."""
    return list(_sees_jobs(role, cron_database))


def _written(template: str, role: str, **names: str) -> str:
    identifiers = {name: sql.Identifier(value) for name, value in names.items()}
    return sql.SQL(template).format(role=sql.Identifier(role), **identifiers).as_string(None)


def _policy(role: str) -> str:
    """The name of a policy of ours, no longer than PostgreSQL keeps."""
    return f"multica_admin_{role}"[:63]


def _for_later(lines: Iterable[str], cron_database: str) -> Iterator[str]:
    yield f"-- There is no pg_cron in the database {cron_database}. Only once it is there:"
    for line in lines:
        yield line if line.startswith("--") else f"-- {line}"


def _viewer(role: str, database: str) -> Iterator[str]:
    yield f"-- In the database {database}:"
    yield _written("GRANT CONNECT ON DATABASE {database} TO {role};", role, database=database)
    yield _written("GRANT USAGE ON SCHEMA public TO {role};", role)
    for table in (*_SOURCES, *_DERIVED, _EXECUTIONS):
        yield _written("GRANT SELECT ON public.{table} TO {role};", role, table=table)
    yield "-- Row security hides rows without an error. Where a table has it, let a superuser run"
    yield "-- the next statement too, or the owner the one after it for each such table:"
    yield _written("-- ALTER ROLE {role} BYPASSRLS;", role)
    yield _written(
        "-- CREATE POLICY {policy} ON public.{table} FOR SELECT TO {role} USING (true);",
        role,
        policy=_policy(role),
        table=_EXECUTIONS,
    )
    yield "-- To name what other sessions do, for example who holds the rollup's lock:"
    yield _written("GRANT pg_read_all_stats TO {role};", role)


def _runner(role: str, database: str) -> Iterator[str]:
    yield f"-- In the database {database}:"
    yield _written("GRANT CONNECT ON DATABASE {database} TO {role};", role, database=database)
    yield _written("GRANT USAGE ON SCHEMA public TO {role};", role)
    for table in _SOURCES:
        yield _written("GRANT SELECT ON public.{table} TO {role};", role, table=table)
    for table in (*_DERIVED, _EXECUTIONS):
        yield _written(
            "GRANT SELECT, INSERT, UPDATE, DELETE ON public.{table} TO {role};", role, table=table
        )


def _retirer(role: str, cron_database: str) -> Iterator[str]:
    yield from _sees_jobs(role, cron_database)
    yield "-- To remove jobs of other owners. Pausing them, and scheduling them again for their"
    yield "-- owner, takes a superuser: there is no lesser right for that."
    yield _written("GRANT DELETE ON cron.job TO {role};", role)
    yield "-- To pause, resume and put back jobs of its own:"
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
    yield "-- To tell a running job from its details, and on which node jobs run:"
    yield _written("GRANT pg_read_all_stats, pg_read_all_settings TO {role};", role)


def _sees_jobs(role: str, cron_database: str) -> Iterator[str]:
    yield f"-- In the database {cron_database}, where pg_cron is. Without the two policies row"
    yield "-- security hides every job of another owner:"
    yield _written("GRANT CONNECT ON DATABASE {database} TO {role};", role, database=cron_database)
    yield _written("GRANT USAGE ON SCHEMA cron TO {role};", role)
    yield _written("GRANT SELECT ON cron.job, cron.job_run_details TO {role};", role)
    for table in ("job", "job_run_details"):
        yield _written(
            "CREATE POLICY {policy} ON cron.{table} FOR SELECT TO {role} USING (true);",
            role,
            policy=_policy(role),
            table=table,
        )
