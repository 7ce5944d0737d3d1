"""What each page and each live part costs at the server with ten million executions.

Two databases have the same density of plans (the mix of docs/contract.md section 2). One has
200,000 executions, a week of them, so that no page reads less there; the other has ten million. The
same requests go to both in turns, in this process, signed in, with nothing cached from the request
before. Beside each request the same piece of work runs, which never changes. No bound is in
milliseconds, because they depend on the machine and on what else it does. Promised are, with ten
million rows: a 95th percentile of at most 15 times that of the work beside it, at most 12 queries
to Multica's side, and at most 1.15 times the page's time with 200,000 rows, by their lower
quartiles. Django's stock admin list over the same table is shown for comparison.

The ten million rows take a few minutes and 4 to 5 GB. It does not test what the pages show.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import TYPE_CHECKING
from uuid import uuid4

import django
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from executions.rollup.provision import provision

if TYPE_CHECKING:
    from benchmarks.site import Site

# Both end equally far into a day of 288, so that the newest runners have won as many plans in each.
BUCKETS = {"200,000": 2_104, "10 million": 105_208}
SCOPES = 2_000
PER_BUCKET = 94  # of the job with many scopes, for each plan of the rollup
ROUNDS = 40
PARTS = (False, True)  # the whole page; its live part
MOST_TIMES_THE_WORK = 15.0
MOST_QUERIES = 12
MOST_GROWTH = 1.15

# Plans are written in the order of their time, as in real life, so that the rows of one scope lie
# far apart. Three in 200 failed, most of them for good. Three runners take turns by the day.
FILL = """
INSERT INTO sys_cron_executions (job_name, scope_kind, scope_id, plan_time, status, attempt,
    runner_id, lease_token, heartbeat_at, stale_after, started_at, finished_at, duration_ms,
    rows_affected, result, error_code, error_msg)
SELECT CASE WHEN k = 0 THEN 'rollup_task_usage_hourly' ELSE 'autopilot_schedule_dispatch' END,
       CASE WHEN k = 0 THEN 'global' ELSE 'autopilot_trigger' END,
       CASE WHEN k = 0 THEN 'global' ELSE md5('t' || scope)::uuid::text END,
       plan_time, CASE WHEN failed THEN 'FAILED' ELSE 'SUCCESS' END,
       CASE WHEN failed AND number % 5 > 0 THEN 3 ELSE 1 END,
       md5('r' || number % 3 + bucket / 288 * 3)::uuid::text, gen_random_uuid(),
       plan_time + interval '301 s', plan_time + interval '35 min',
       plan_time + interval '301 s', plan_time + interval '301.2 s', 80 + number % 400, number % 30,
       CASE WHEN k = 0
            THEN jsonb_build_object('advisory_lock_id', 4246,
                                    'watermark_before', plan_time - interval '5 min',
                                    'watermark_after', plan_time)
            ELSE '{"dispatched": 1}' END,
       CASE WHEN failed THEN 'handler_error' END,
       CASE WHEN failed THEN 'task ' || md5(number::text)::uuid || ' answered ' || number % 600
                             || ' after ' || number % 40 || ' tries' END
  FROM (SELECT bucket, k, bucket * 95 + k AS number, (bucket * 94 + k) % %(scopes)s AS scope,
               (bucket * 95 + k) % 200 < 3 AS failed,
               date_trunc('hour', now()) - (%(buckets)s - bucket) * interval '5 min'
                   + k * interval '3 s' AS plan_time
          FROM generate_series(%(first)s::bigint, %(last)s::bigint - 1) AS bucket,
               generate_series(0, %(per_bucket)s) AS k) AS plans
""".replace("% ", "%% ")

INDEXES = (
    "ALTER TABLE sys_cron_executions ADD PRIMARY KEY (id)",
    """ALTER TABLE sys_cron_executions ADD CONSTRAINT uq_sys_cron_execution
       UNIQUE (job_name, scope_kind, scope_id, plan_time)""",
    """CREATE INDEX idx_sys_cron_exec_failed_recent
       ON sys_cron_executions (job_name, plan_time DESC) WHERE status = 'FAILED'""",
    """CREATE INDEX idx_sys_cron_exec_running_stale
       ON sys_cron_executions (stale_after) WHERE status = 'RUNNING'""",
    """CREATE INDEX idx_sys_cron_exec_finished
       ON sys_cron_executions (finished_at) WHERE status IN ('SUCCESS', 'FAILED')""",
    "VACUUM ANALYZE sys_cron_executions",
)

ROLLUP = "job=rollup_task_usage_hourly"
DISPATCH = "job=autopilot_schedule_dispatch"
# `benchmarks.site.Site.address` fills in the braces, for each table.
PAGES = {
    "overview": "/",
    "overview of 7 days": "/?window=7d",
    "plans": "/executions/",
    "plans, the second page": "/executions/?cursor={second}",
    "plans, a page of days ago": "/executions/?cursor={days_ago}",
    "plans of one day": "/executions/?since={since}&until={until}",
    "plans of the rollup of one day": f"/executions/?{ROLLUP}&since={{since}}&until={{until}}",
    "plans of the rollup, days ago": f"/executions/?{ROLLUP}&cursor={{plan_days_ago}}",
    "plans of one scope of 2,000": f"/executions/?{DISPATCH}&scope={{scope}}",
    "plans of a scope of any job": "/executions/?scope={scope}",
    "plans of the rollup": f"/executions/?{ROLLUP}",
    "plans of a job of 2,000 scopes": f"/executions/?{DISPATCH}",
    "plans, stale": "/executions/?status=STALE",
    "plans, failed": "/executions/?status=FAILED",
    "plans, retrying": "/executions/?status=RETRYING",
    "plans, searched": "/executions/?q=tries",
    "plans, searched in vain": "/executions/?q=nothing+like+it",
    "plans, one runner's": "/executions/?runner={runner}",
    "plans of the rollup, one runner's": f"/executions/?{ROLLUP}&runner={{runner}}",
    "plans of the rollup, nobody's": f"/executions/?{ROLLUP}&runner=nobody",
    "execution": "/executions/{id}/",
    "runners": "/runners/",
    "runners of 7 days": "/runners/?window=7d",
    "runners of a job of 2,000 scopes": f"/runners/?{DISPATCH}",
    "errors": "/errors/",
    "errors of 30 days": "/errors/?window=30d",
    "errors of the rollup": f"/errors/?{ROLLUP}",
    "jobs": "/jobs/",
    "rollup": "/rollup/",
}


@dataclass(frozen=True)
class Row:
    """One line of the table: a page, and figures that are promised or only for comparison."""

    name: str
    times_the_work: float
    growth: float
    queries: int
    promised: bool = True

    @property
    def holds(self) -> bool:
        return not self.promised or (
            self.times_the_work <= MOST_TIMES_THE_WORK
            and self.growth <= MOST_GROWTH
            and self.queries <= MOST_QUERIES
        )


def _figure(value: float, form: str, most: float, row: Row) -> str:
    """The figure, in bold if it is over its bound."""
    told = format(value, form)
    return f"**{told}**" if row.promised and value > most else told


def rendered(rows: list[Row]) -> str:
    """The rows as a Markdown table, its bounds in the heading."""
    headings = (
        "with ten million rows",
        f"times the work (at most {MOST_TIMES_THE_WORK:g})",
        f"growth (at most {MOST_GROWTH:g})",
        f"queries (at most {MOST_QUERIES})",
    )
    lines = [f"| {' | '.join(headings)} |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {row.name} | {_figure(row.times_the_work, ',.1f', MOST_TIMES_THE_WORK, row)}"
        f" | {_figure(row.growth, '.2f', MOST_GROWTH, row)}"
        f" | {_figure(row.queries, 'd', MOST_QUERIES, row)} |"
        for row in rows
    ]
    return "\n".join(lines)


@dataclass
class Measured:
    """One address on one table: milliseconds of each request, and its most queries."""

    milliseconds: list[float] = field(default_factory=list)
    queries: int = 0

    @property
    def p95(self) -> float:
        return statistics.quantiles(self.milliseconds, n=20)[-1]

    @property
    def quartile(self) -> float:
        """What the quicker quarter takes. Other load on the machine only ever adds to it."""
        return statistics.quantiles(self.milliseconds, n=4)[0]


def run(conninfo: str) -> list[Row]:
    """Every page whole and as a live part; then the stock admin list."""
    django.setup()
    site_module = import_module("benchmarks.site")  # it needs Django to be set up
    with filled(conninfo) as tables:
        site: Site = site_module.Site(tables)
        rows = [
            row_of(site, name, path, part=part) for name, path in PAGES.items() for part in PARTS
        ]
        return [*rows, stock_admin(site)]


@contextmanager
def filled(conninfo: str) -> Iterator[dict[str, str]]:
    """A database for each size of the table, by its name, dropped at the end."""
    databases = {size: f"pages_{uuid4().hex[:12]}" for size in BUCKETS}
    with psycopg.connect(conninfo, autocommit=True) as server:
        try:
            for size, database in databases.items():
                server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
                with psycopg.connect(conninfo, dbname=database, autocommit=True) as connection:
                    fill(connection, BUCKETS[size])
            # otherwise the server still writes while pages are measured
            server.execute("CHECKPOINT")
            yield {
                size: make_conninfo(conninfo, dbname=database)
                for size, database in databases.items()
            }
        finally:
            for database in databases.values():
                name = sql.Identifier(database)
                server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))


def fill(connection: psycopg.Connection, buckets: int) -> None:
    """The rollup's plans and 94 times as many others; indexes once the table is full."""
    provision(connection)
    connection.execute("ALTER TABLE sys_cron_executions DROP CONSTRAINT uq_sys_cron_execution")
    connection.execute("ALTER TABLE sys_cron_executions DROP CONSTRAINT sys_cron_executions_pkey")
    for index in ("failed_recent", "running_stale", "finished"):
        name = sql.Identifier(f"idx_sys_cron_exec_{index}")
        connection.execute(sql.SQL("DROP INDEX {}").format(name))
    step = 10_000
    for first in range(0, buckets, step):
        connection.execute(
            FILL,
            {
                "scopes": SCOPES,
                "per_bucket": PER_BUCKET,
                "buckets": buckets,
                "first": first,
                "last": min(first + step, buckets),
            },
        )
    for statement in INDEXES:
        connection.execute(statement)
    connection.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '7 minutes'"
    )


def row_of(site: Site, name: str, path: str, *, part: bool) -> Row:
    addresses = {size: site.address(size, path) for size in site.sizes}
    told = f"{name}, its live part" if part else name
    return _compared(site, told, ROUNDS, lambda size: site.ask(addresses[size], part=part))


def stock_admin(site: Site) -> Row:
    """It has fewer rounds, because it takes so long."""
    name = "for comparison: Django's stock admin list"
    return replace(_compared(site, name, 3, site.ask_stock_admin), promised=False)


def _compared(site: Site, name: str, rounds: int, ask: Callable[[str], float]) -> Row:
    """Both tables in turns, so that other load on the machine affects both alike."""
    work = Measured()
    measured = {size: Measured() for size in site.sizes}
    for number in range(rounds + 2):
        for size, found in measured.items():
            took = _unchanging_work()
            with site.reading(size) as spent:
                asked = ask(size)
            if number > 1:  # the first two fill caches
                work.milliseconds.append(took)
                found.milliseconds.append(asked)
                found.queries = max(found.queries, len(spent))
    small, big = measured.values()
    return Row(name, big.p95 / work.p95, big.quartile / small.quartile, big.queries)


def _unchanging_work() -> float:
    """Milliseconds of the interpreter's own work, which reads and keeps nothing."""
    began = time.perf_counter()
    sum(number * number for number in range(60_000))
    return 1000 * (time.perf_counter() - began)
