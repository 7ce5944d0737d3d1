"""What one day's rollup costs, and that the history behind it does not matter.

Two databases are filled side by side, with 30 and 300 days of usage at the same density: 20 agents,
4,000 rows a day. The same last day is then rolled up in both, in turns, each time from nothing and
rolled back, so that load on the machine affects both alike. The bound on the ratio is the project's
promise: ten times the history costs at most 1.5 times as much.

It does not test the figures: tests/database/test_rollup_histories.py does.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import psycopg
from psycopg import sql

from executions.rollup.provision import provision

DAYS = 30
TIMES = 10
ROWS_PER_DAY = 4_000
ROUNDS = 15
BOUND = 1.5

# Timestamps are whole days of a fixed year: the mix is the same whenever the benchmark runs.
LAST_DAY = "2025-06-30 00:00:00+00"

PARENTS = """
INSERT INTO workspace (id) SELECT md5('w')::uuid;
INSERT INTO agent_runtime (id, workspace_id)
SELECT md5('r' || n)::uuid, md5('w')::uuid FROM generate_series(0, 4) AS n;
INSERT INTO agent (id, workspace_id)
SELECT md5('a' || n)::uuid, md5('w')::uuid FROM generate_series(0, 19) AS n;
INSERT INTO issue (id, workspace_id, project_id)
SELECT md5('i' || n)::uuid, md5('w')::uuid,
       CASE WHEN n % 5 > 0 THEN md5('p' || n % 5)::uuid END
  FROM generate_series(0, 999) AS n;
"""

# A task uses the two models of its agent, which stays with one runtime and with an issue for some
# hours. Two agents of twenty have no issues, one task in a hundred no runtime. One row in three
# has no price; one in fifty is from before there was an updated_at. That makes four to a bucket.
TASKS = """
INSERT INTO agent_task_queue (id, agent_id, runtime_id, issue_id)
SELECT md5('t' || day || '/' || n)::uuid,
       md5('a' || n %% 20)::uuid,
       CASE WHEN n %% 100 < 99 THEN md5('r' || n %% 5)::uuid END,
       CASE WHEN n %% 10 > 0 THEN md5('i' || (n %% 20) * 50 + (day + n / 400) %% 50)::uuid END
  FROM generate_series(%(first)s::integer, %(last)s::integer) AS day,
       generate_series(0, %(rows)s / 2 - 1) AS n
"""

USAGE = """
INSERT INTO task_usage (task_id, provider, model, input_tokens, output_tokens,
                        cache_read_tokens, cache_write_tokens, cost_usd_ticks,
                        created_at, updated_at)
SELECT md5('t' || day || '/' || n)::uuid, 'provider-' || n %% 2,
       'model-' || (n %% 20 + half) %% 6, 1000 + n, 200 + n, 5000, 300,
       CASE WHEN n %% 3 > 0 THEN 12345 * (n + 1) END,
       moment.at, CASE WHEN n %% 50 > 0 THEN moment.at + interval '20 seconds' END
  FROM generate_series(%(first)s::integer, %(last)s::integer) AS day,
       generate_series(0, %(rows)s / 2 - 1) AS n,
       generate_series(0, 1) AS half,
       LATERAL (SELECT %(last_day)s::timestamptz - day * interval '24 hours'
                       + n * (interval '23 hours 59 minutes' / (%(rows)s / 2)) AS at) AS moment
"""

DIRECT = """
SELECT count(*) FROM (
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
       AND usage.created_at >= %(last_day)s::timestamptz
       AND usage.created_at < %(last_day)s::timestamptz + interval '24 hours'
     GROUP BY 1, 2, 3, 4, 5, 6, 7) AS bucket
"""

WINDOW = """
SELECT rollup_task_usage_hourly_window(%(last_day)s::timestamptz,
                                       %(last_day)s::timestamptz + interval '24 hours')
"""


@dataclass(frozen=True)
class Row:
    """One line of the table: a figure in `unit`, and where promised its ratio and bound."""

    name: str
    value: float
    unit: str
    ratio: float | None = None
    bound: float | None = None

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its promise; true if nothing was promised."""
        return self.ratio is None or self.bound is None or self.ratio <= self.bound


@contextmanager
def filled(conninfo: str, days: int) -> Iterator[psycopg.Connection]:
    """A database of its own with that many days of usage, rolled up but for the last day."""
    name = sql.Identifier(f"rollup_cost_{uuid4().hex[:12]}")
    with psycopg.connect(conninfo, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            with psycopg.connect(
                conninfo, dbname=name.as_string(server).strip('"'), autocommit=True
            ) as connection:
                provision(connection)
                fill(connection, days)
                yield connection
        finally:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def fill(connection: psycopg.Connection, days: int) -> None:
    """Insert the parents and `days` days of usage, then roll up all but the last."""
    connection.execute(PARENTS)
    # Day by day, so that rows lie on disk in the order in which usage arises.
    for day in range(days - 1, -1, -1):
        figures = {"first": day, "last": day, "rows": ROWS_PER_DAY, "last_day": LAST_DAY}
        connection.execute(TASKS, figures)
        connection.execute(USAGE, figures)
    connection.execute("VACUUM ANALYZE")
    connection.execute(
        "SELECT rollup_task_usage_hourly_window('-infinity', %s::timestamptz)", [LAST_DAY]
    )
    connection.execute("VACUUM ANALYZE task_usage_hourly")


def timed(connection: psycopg.Connection, query: str) -> tuple[float, int]:
    """Run `query` in a transaction that is rolled back: milliseconds, and the number it returns."""
    with connection.transaction(force_rollback=True):
        began = time.perf_counter()
        row = connection.execute(query, {"last_day": LAST_DAY}).fetchone()
        elapsed = (time.perf_counter() - began) * 1000
    assert row is not None
    return elapsed, row[0]


def run(conninfo: str) -> list[Row]:
    """Measure, and return the lines of the table.

    `conninfo` is a server and a role that may create databases. Takes a few minutes at most.
    """
    with filled(conninfo, DAYS) as short, filled(conninfo, DAYS * TIMES) as long:
        times: dict[str, list[float]] = {"short": [], "long": [], "direct": []}
        buckets = set()
        for _ in range(ROUNDS):
            for name, connection, query in (
                ("short", short, WINDOW),
                ("long", long, WINDOW),
                ("direct", long, DIRECT),
            ):
                elapsed, number = timed(connection, query)
                times[name].append(elapsed)
                buckets.add(number)
    if len(buckets) != 1:
        raise RuntimeError(
            f"The rollup and the direct aggregate disagree on the buckets: {buckets}"
        )
    # The fastest round, because other load can only add to a time.
    figures = {name: min(values) for name, values in times.items()}
    rows_behind = DAYS * ROWS_PER_DAY
    return [
        Row(f"one day, {rows_behind:,} rows of history", figures["short"], "ms"),
        Row(
            f"one day, {rows_behind * TIMES:,} rows of history",
            figures["long"],
            "ms",
            ratio=figures["long"] / figures["short"],
            bound=BOUND,
        ),
        Row("direct aggregate of the same day", figures["direct"], "ms"),
        Row("buckets of that day", buckets.pop(), "buckets"),
    ]


def main() -> int:
    """Print the table for the server named on the command line. Return 1 if a bound is broken."""
    if len(sys.argv) != 2:
        print("usage: python -m benchmarks.rollup_cost CONNINFO", file=sys.stderr)
        return 2
    rows = run(sys.argv[1])
    for row in rows:
        promised = f"  {row.ratio:.2f} times, at most {row.bound}" if row.ratio else ""
        print(f"{row.name:45} {row.value:10,.1f} {row.unit}{promised}")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
