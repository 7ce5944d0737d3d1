"""What seeding a month by a backfill costs, beside one direct aggregate of the same rows.

Two databases have 30 days of usage of 20 agents: 120,000 rows and ten times as many. In both a
backfill walks every month from an empty rollup, in turns with one direct aggregate and, on the
small one, with the walk that calls the installed window function. That is the one that `provision`
makes; Multica's takes minutes.

The bounds are the project's promises: at most three times the direct aggregate, and growing no
faster than the rows do. That the buckets are equal is tested in
tests/database/test_backfill_equality.py.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from benchmarks.rollup_cost import LAST_DAY, PARENTS, TASKS, USAGE, Row
from executions.database.connections import Connection
from executions.database.reading import fetch_on
from executions.rollup import backfill
from executions.rollup.proven import Proven
from executions.rollup.provision import provision
from executions.rollup.summing import read_source

DAYS = 30
ROWS_PER_DAY = 4_000
TIMES = 10
ROUNDS = 5
BOUND = 3.0

# All sums are computed and none is stored or sent.
DIRECT = """
WITH bucket AS MATERIALIZED (
    SELECT task_usage_hour_bucket(usage.created_at), agent.workspace_id, task.runtime_id,
           task.agent_id, issue.project_id, usage.provider, usage.model,
           sum(usage.input_tokens), sum(usage.output_tokens),
           sum(usage.cache_read_tokens), sum(usage.cache_write_tokens),
           sum(usage.cost_usd_ticks), count(*), count(DISTINCT usage.task_id)
      FROM task_usage AS usage
      JOIN agent_task_queue AS task ON task.id = usage.task_id
      JOIN agent ON agent.id = task.agent_id
      LEFT JOIN issue ON issue.id = task.issue_id
     WHERE task.runtime_id IS NOT NULL
     GROUP BY 1, 2, 3, 4, 5, 6, 7)
SELECT count(*) AS buckets FROM bucket
"""


@contextmanager
def filled(conninfo: str, rows_per_day: int) -> Iterator[Connection]:
    """A database of its own with 30 days of usage, and lock 4246 of it held as a backfill does."""
    name = f"backfill_{uuid4().hex[:12]}"
    with psycopg.connect(conninfo, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            with psycopg.connect(
                conninfo, dbname=name, autocommit=True, row_factory=dict_row
            ) as connection:
                provision(connection)
                connection.execute(PARENTS)
                for day in range(DAYS - 1, -1, -1):
                    figures = {
                        "first": day, "last": day, "rows": rows_per_day, "last_day": LAST_DAY,
                    }  # fmt: skip
                    connection.execute(TASKS, figures)
                    connection.execute(USAGE, figures)
                connection.execute("VACUUM ANALYZE")
                backfill.take_lock(connection, timedelta(seconds=1))
                yield connection
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def walked(proven: Proven | None) -> Callable[[Connection], int]:
    """A whole backfill of an empty rollup. It returns the buckets that it stored."""

    def run(connection: Connection) -> int:
        stored = 0

        def count(one: backfill.Sliced) -> None:
            nonlocal stored
            stored += one.buckets

        months = backfill.slices(backfill.read_extent(fetch_on(connection)))
        backfill.walk(
            connection, months, proven=proven, pause=timedelta(), stop=Event(),
            begun=lambda _: None, done=count,
        )  # fmt: skip
        return stored

    return run


def aggregated(connection: Connection) -> int:
    """One direct aggregate of all rows. It returns the buckets that they make."""
    row = connection.execute(DIRECT).fetchone()
    assert row is not None
    return int(row["buckets"])


def run(conninfo: str) -> list[Row]:
    """Measure, and return the lines of the table. Takes some ten minutes.

    `conninfo` is a server and a role that may create databases.
    """
    times: dict[str, list[float]] = {}
    buckets: dict[str, set[int]] = {}
    with filled(conninfo, ROWS_PER_DAY) as small, filled(conninfo, ROWS_PER_DAY * TIMES) as large:
        proven = read_source(fetch_on(small)).proven
        if proven is None:
            raise RuntimeError("Nothing is proven of the window function that provision makes.")
        ours = walked(proven)
        for _ in range(ROUNDS):
            for size, name, connection, work in (
                ("small", "direct", small, aggregated),
                ("small", "ours", small, ours),
                ("small", "window", small, walked(None)),
                ("large", "direct", large, aggregated),
                ("large", "ours", large, ours),
            ):
                connection.execute("TRUNCATE task_usage_hourly")
                began = time.perf_counter()
                stored = work(connection)
                elapsed = (time.perf_counter() - began) * 1000
                times.setdefault(f"{size} {name}", []).append(elapsed)
                buckets.setdefault(size, set()).add(stored)
    if any(len(numbers) != 1 for numbers in buckets.values()):
        raise RuntimeError(f"The backfill and the aggregate disagree on the buckets: {buckets}")
    # The fastest round, because other load can only add to a time.
    figures = {name: min(values) for name, values in times.items()}
    rows = DAYS * ROWS_PER_DAY
    growth = figures["large ours"] / figures["small ours"] / TIMES
    return [
        Row(f"backfill of {rows:,} rows", figures["small ours"], "ms",
            ratio=figures["small ours"] / figures["small direct"], bound=BOUND),
        Row(f"direct aggregate of {rows:,} rows", figures["small direct"], "ms"),
        Row(f"through the installed window function, {rows:,} rows", figures["small window"], "ms",
            ratio=figures["small window"] / figures["small direct"]),
        Row(f"backfill of {rows * TIMES:,} rows", figures["large ours"], "ms",
            ratio=figures["large ours"] / figures["large direct"], bound=BOUND),
        Row(f"direct aggregate of {rows * TIMES:,} rows", figures["large direct"], "ms"),
        Row("growth of the backfill, by that of the rows", growth * TIMES, "times",
            ratio=growth, bound=1.0),
        Row(f"buckets of {rows:,} rows", max(buckets["small"]), "buckets"),
    ]  # fmt: skip
