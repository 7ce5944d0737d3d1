"""What the rollup's tests share: usage to make, the buckets to expect, and runs to pause.

`expected_buckets` is the second opinion. It reads the raw tables without a join and sums them in
Python, so it cannot share a mistake with the SQL that it judges.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, NamedTuple
from uuid import UUID

from psycopg import sql

from executions.database.connections import Connection
from tests.waiting import HANG, until

# Whenever the test runs, usage lies well in the past, and no queue entry in the future.
NOON = datetime(2025, 3, 30, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
# After the time of any test, so that the whole queue is before it.
END = datetime(2100, 1, 1, tzinfo=UTC)

WINDOW = "SELECT rollup_task_usage_hourly_window(%s, %s) AS rows"
ROLLUP = "SELECT rollup_task_usage_hourly() AS rows"

# The advisory lock at which a run stops between its snapshot and its first write.
PAUSE_KEY = 77_000_001


_VERSIONS = sql.SQL("SELECT xmin::text, ctid::text, each::text FROM {} AS each")


class Key(NamedTuple):
    """What a bucket is about, in the order of uq_task_usage_hourly_key."""

    bucket_hour: datetime
    workspace_id: UUID
    runtime_id: UUID
    agent_id: UUID
    project_id: UUID | None
    provider: str
    model: str


@dataclass
class Figures:
    """The figures of a bucket. Tokens are input, output, cache read, cache write."""

    tokens: list[int] = field(default_factory=lambda: [0, 0, 0, 0])
    uncosted: list[int] | None = field(default_factory=lambda: [0, 0, 0, 0])
    cost_usd_ticks: int = 0
    task_count: int = 0
    event_count: int = 0


class World:
    """A small Multica: two workspaces with an agent, a runtime and an issue each, in one project.

    Ids count up, so that a history replays exactly. Changes go through `connection` and are
    committed at once, unless they are inside a transaction.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._ids = (UUID(int=n) for n in count(1))
        self.projects = [self.next_id(), self.next_id()]
        self.workspaces: list[UUID] = []
        self.runtimes: list[UUID] = []
        self.agents: list[UUID] = []
        self.issues: list[UUID] = []
        for project in self.projects:
            workspace = self.insert("workspace")
            self.workspaces.append(workspace)
            self.runtimes.append(self.insert("agent_runtime", workspace_id=workspace))
            self.agents.append(self.insert("agent", workspace_id=workspace))
            self.issues.append(self.insert("issue", workspace_id=workspace, project_id=project))

    def next_id(self) -> UUID:
        """An unused id."""
        return next(self._ids)

    def insert(self, table: str, **values: Any) -> UUID:
        """Insert a row with the next id and return the id."""
        new = self.next_id()
        row = {"id": new, **values}
        self.connection.execute(
            sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                sql.Identifier(table),
                sql.SQL(", ").join(map(sql.Identifier, row)),
                sql.SQL(", ").join(map(sql.Placeholder, row)),
            ),
            row,
        )
        return new

    def task(self, agent: int = 0, **values: Any) -> UUID:
        """A task of that agent with its runtime and its issue, unless `values` say otherwise."""
        chosen = {"runtime_id": self.runtimes[agent], "issue_id": self.issues[agent], **values}
        return self.insert("agent_task_queue", agent_id=self.agents[agent], **chosen)

    def usage(self, task: UUID, at: datetime = NOON, **values: Any) -> UUID:
        """One usage row of `task`, made and updated at `at`, with a price."""
        chosen = {
            "provider": "anthropic",
            "model": "large",
            "input_tokens": 10,
            "output_tokens": 20,
            "cache_read_tokens": 30,
            "cache_write_tokens": 40,
            "cost_usd_ticks": 500,
            "created_at": at,
            "updated_at": at,
            **values,
        }
        return self.insert("task_usage", task_id=task, **chosen)

    def change(self, table: str, row: UUID, **values: Any) -> None:
        self.connection.execute(
            sql.SQL("UPDATE {} SET {} WHERE id = %(id)s").format(
                sql.Identifier(table),
                sql.SQL(", ").join(
                    sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
                    for name in values
                ),
            ),
            {**values, "id": row},
        )

    def delete(self, table: str, row: UUID) -> None:
        self.connection.execute(
            sql.SQL("DELETE FROM {} WHERE id = %s").format(sql.Identifier(table)), [row]
        )


def number(connection: Connection, query: str, parameters: Any = None) -> Any:
    """The only column of the only row of `query`."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    (value,) = row.values()
    return value


def window(connection: Connection, start: datetime, end: datetime) -> int:
    """Roll up one window; the number of buckets that changed."""
    changed: int = number(connection, WINDOW, [start, end])
    return changed


def now(connection: Connection) -> datetime:
    moment: datetime = number(connection, "SELECT clock_timestamp()")
    return moment


def set_watermark(connection: Connection, moment: datetime) -> None:
    connection.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = %s", [moment])


def expected_buckets(connection: Connection) -> dict[Key, Figures]:
    """Every bucket that the raw rows require, added up one by one."""
    agents = _by_id(connection, "agent")
    issues = _by_id(connection, "issue")
    tasks = _by_id(connection, "agent_task_queue")
    buckets: dict[Key, Figures] = defaultdict(Figures)
    seen: dict[Key, set[UUID]] = defaultdict(set)
    for usage in _by_id(connection, "task_usage").values():
        task = tasks[usage["task_id"]]
        if task["runtime_id"] is None:
            continue
        key = Key(
            usage["created_at"].astimezone(UTC).replace(minute=0, second=0, microsecond=0),
            agents[task["agent_id"]]["workspace_id"],
            task["runtime_id"],
            task["agent_id"],
            issues[task["issue_id"]]["project_id"] if task["issue_id"] else None,
            usage["provider"],
            usage["model"],
        )
        _add(buckets[key], usage)
        seen[key].add(task["id"])
    for key, figures in buckets.items():
        figures.task_count = len(seen[key])
    return dict(buckets)


def _add(figures: Figures, usage: dict[str, Any]) -> None:
    tokens = [usage[f"{kind}_tokens"] for kind in ("input", "output", "cache_read", "cache_write")]
    figures.tokens = [a + b for a, b in zip(figures.tokens, tokens, strict=True)]
    figures.event_count += 1
    if usage["cost_usd_ticks"] is None:
        assert figures.uncosted is not None
        figures.uncosted = [a + b for a, b in zip(figures.uncosted, tokens, strict=True)]
    else:
        figures.cost_usd_ticks += usage["cost_usd_ticks"]


def stored_buckets(connection: Connection) -> dict[Key, Figures]:
    """Every bucket in task_usage_hourly, except the buckets of deleted agents."""
    kinds = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    agents = _by_id(connection, "agent")
    return {
        Key(
            row["bucket_hour"].astimezone(UTC),
            *(row[name] for name in Key._fields[1:]),
        ): Figures(
            [row[kind] for kind in kinds],
            None
            if row["uncosted_input_tokens"] is None
            else [row[f"uncosted_{kind}"] for kind in kinds],
            row["cost_usd_ticks"],
            row["task_count"],
            row["event_count"],
        )
        for row in connection.execute("SELECT * FROM task_usage_hourly")
        if row["agent_id"] in agents
    }


def key_of(world: World, agent: int = 0, **other: Any) -> Key:
    """The key of `world.usage(world.task(agent))`, except for `other`."""
    return Key(
        NOON,
        world.workspaces[agent],
        world.runtimes[agent],
        world.agents[agent],
        world.projects[agent],
        "anthropic",
        "large",
    )._replace(**other)


def queue(connection: Connection, key: Key, enqueued_at: datetime) -> None:
    """Put a key with that time into the queue of dirty buckets."""
    connection.execute(
        "INSERT INTO task_usage_hourly_dirty VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [*key, enqueued_at],
    )


def queued_keys(connection: Connection) -> set[Key]:
    rows = connection.execute("SELECT * FROM task_usage_hourly_dirty")
    return {
        Key(row["bucket_hour"].astimezone(UTC), *(row[name] for name in Key._fields[1:]))
        for row in rows
    }


def contents(connection: Connection, *tables: str) -> list[Any]:
    """Every row of the tables with its version: if two results are equal, nothing was written."""
    return [
        sorted(tuple(row.values()) for row in connection.execute(_VERSIONS.format(name)))
        for name in map(sql.Identifier, tables)
    ]


def _by_id(connection: Connection, table: str) -> dict[UUID, dict[str, Any]]:
    return {row["id"]: row for row in connection.execute(f"SELECT * FROM {table}")}


def wait_until_blocked(observer: Connection, pid: int) -> None:
    """Return once that backend waits for a lock."""
    until(lambda: is_blocked(observer, pid))


def is_blocked(observer: Connection, pid: int) -> bool:
    return bool(number(observer, "SELECT cardinality(pg_blocking_pids(%s)) > 0", [pid]))


def wait_until_done_or_blocked(
    step: Future[Any], observer: Connection, connection: Connection
) -> bool:
    """Whether `step` is done; False once its `connection` waits for a lock instead."""
    until(lambda: step.done() or is_blocked(observer, connection.info.backend_pid))
    return step.done()


@contextmanager
def pausing_trigger(connection: Connection) -> Iterator[None]:
    """While it lasts, a run whose rival holds PAUSE_KEY stops with its snapshot taken."""
    connection.execute(
        sql.SQL(
            """
            CREATE FUNCTION pause_the_rollup() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_advisory_xact_lock_shared({}); RETURN NULL; END';
            CREATE TRIGGER pause_the_rollup BEFORE INSERT ON task_usage_hourly
            FOR EACH STATEMENT EXECUTE FUNCTION pause_the_rollup();
            """
        ).format(PAUSE_KEY)
    )
    try:
        yield
    finally:
        connection.execute("DROP FUNCTION pause_the_rollup CASCADE")


# Where a run can be made to stop, and what its rival holds for that.
PAUSES = {
    "between reading the queue and summing": "LOCK TABLE agent IN ACCESS EXCLUSIVE MODE",
    "while summing": f"SELECT pg_advisory_xact_lock({PAUSE_KEY})",
    "between summing and draining": "LOCK TABLE task_usage_hourly_dirty IN SHARE MODE",
}


@contextmanager
def paused_run(
    connection: Connection,
    rival: Connection,
    pause: str,
    start: datetime,
    end: datetime,
    run_window: Callable[[Connection, datetime, datetime], int] = window,
) -> Iterator[None]:
    """Run a window on `connection` around the block, which changes things through `rival`.

    The run has stopped at `pause` when the block begins, or has found nothing to do. It continues
    once the rival's changes are committed at the block's end. Stopping "while summing" needs
    `pausing_trigger`.
    """
    with ThreadPoolExecutor(1) as pool:
        with rival.transaction():
            rival.execute(PAUSES[pause])
            run = pool.submit(run_window, connection, start, end)
            wait_until_done_or_blocked(run, rival, connection)
            yield
        run.result(timeout=HANG)
