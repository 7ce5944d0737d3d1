"""Two transactions that change usage at once, beside the run.

Each sees its own snapshot, so the keys that its trigger queues may fit neither the old nor the new
state.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations, product
from typing import Any
from uuid import UUID

import pytest
from psycopg.errors import ForeignKeyViolation

from executions.database.connections import Connection
from tests.database.rollup_world import (
    END,
    HOUR,
    NOON,
    ROLLUP,
    Key,
    World,
    contents,
    expected_buckets,
    key_of,
    now,
    number,
    queue,
    queued_keys,
    set_watermark,
    stored_buckets,
    wait_until_done_or_blocked,
    window,
)
from tests.waiting import HANG

Connect = Callable[..., Connection]

LATER = NOON + 2 * HOUR


@dataclass
class Scene:
    """One usage row of a task of issue 0, rolled up, and what may happen to it."""

    world: World
    task: UUID
    usage: UUID

    def through(self, connection: Connection) -> Scene:
        """The same, but what it does goes through that connection."""
        world = copy(self.world)
        world.connection = connection
        return replace(self, world=world)

    def move(self) -> None:
        """The task goes to the other runtime."""
        self.world.change("agent_task_queue", self.task, runtime_id=self.world.runtimes[1])

    def park(self) -> None:
        """The task has no runtime any more, so its usage counts nowhere."""
        self.world.change("agent_task_queue", self.task, runtime_id=None)

    def reassign(self) -> None:
        """The task goes to the other issue."""
        self.world.change("agent_task_queue", self.task, issue_id=self.world.issues[1])

    def project(self) -> None:
        """The issue goes to the other project."""
        self.world.change("issue", self.world.issues[0], project_id=self.world.projects[1])

    def other_project(self) -> None:
        """The issue that the task may go to leaves its project."""
        self.world.change("issue", self.world.issues[1], project_id=None)

    def insert(self) -> None:
        """The task reports usage of another model."""
        self.world.usage(self.task, LATER, model="small", created_at=NOON)

    def start(self) -> None:
        """A new task of the same issue reports usage."""
        self.world.usage(self.world.task(), LATER, model="new", created_at=NOON)

    def correct(self) -> None:
        """The usage gets other figures."""
        self.world.change("task_usage", self.usage, input_tokens=99, updated_at=LATER)

    def delete(self) -> None:
        """The usage is removed."""
        self.world.delete("task_usage", self.usage)

    def remove_issue(self) -> None:
        """The issue is removed, with its tasks."""
        self.world.delete("issue", self.world.issues[0])


# What the rollup finds by updated_at, and what the queue has to tell it.
REPORTS = ("insert", "start", "correct")
MOVES = ("move", "park", "reassign", "project", "other_project", "delete", "remove_issue")
PAIRS = [pair for pair in combinations(MOVES + REPORTS, 2) if not set(pair) <= set(REPORTS)]


def begin(owner: Connection) -> Scene:
    """A new scene in place of any other."""
    owner.execute(
        "DELETE FROM workspace; DELETE FROM task_usage_hourly; DELETE FROM task_usage_hourly_dirty"
    )
    world = World(owner)
    task = world.task()
    usage = world.usage(task)
    window(owner, NOON, NOON + HOUR)
    return Scene(world, task, usage)


@pytest.fixture
def scene(owner: Connection) -> Scene:
    return begin(owner)


@dataclass
class Writer:
    """A transaction of its own, in which one thing happens."""

    connection: Connection
    change: str

    def begin(self, scene: Scene, pool: ThreadPoolExecutor) -> bool:
        """Let it happen; False once it has to wait for another writer."""
        self.connection.execute("BEGIN")
        self.step = pool.submit(getattr(scene.through(self.connection), self.change))
        return wait_until_done_or_blocked(self.step, scene.world.connection, self.connection)

    def end(self) -> None:
        """Commit, or give up where the other writer removed what this one needs."""
        try:
            self.step.result(timeout=HANG)
        except ForeignKeyViolation:
            self.connection.execute("ROLLBACK")
        else:
            self.connection.execute("COMMIT")


def roll_up(owner: Connection, since: datetime) -> None:
    """Run twice, and check that the buckets are the sums of the committed usage."""
    window(owner, since, END)
    assert stored_buckets(owner) == expected_buckets(owner)
    before = contents(owner, "task_usage_hourly")
    assert window(owner, since, END) == 0
    assert contents(owner, "task_usage_hourly") == before


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_of_two_changes_at_once_neither_is_lost(
    owner: Connection, connect: Connect, one: str, other: str
) -> None:
    """In every order of their beginnings and ends, with and without a run between any two."""
    connections = connect(), connect()
    for changes, crossed, runs in product([(one, other), (other, one)], [0, 1], [0, 1]):
        scene = begin(owner)
        overlap(scene, [*map(Writer, connections, changes)], bool(crossed), bool(runs))


def overlap(scene: Scene, writers: list[Writer], crossed: bool, runs: bool) -> None:
    """The second writer begins while the first is open, and ends first unless they are crossed.

    Where it has to wait for the first, that ends first.
    """
    owner, since = scene.world.connection, LATER
    with ThreadPoolExecutor(2) as pool:
        writers[0].begin(scene, pool)
        if writers[1].begin(scene, pool) and not crossed:
            writers.reverse()
        while writers:
            if runs:
                roll_up(owner, since)
                # The watermark passes what was reported once nobody has more to report.
                if not any(writer.change in REPORTS for writer in writers):
                    since = LATER + HOUR
            writers.pop(0).end()
    roll_up(owner, since)
    roll_up(owner, LATER + HOUR)
    assert queued_keys(owner) == set()


# What a run keeps in the queue beside an open change


def kept(scene: Scene, **other: Any) -> Key:
    """The key under which a run keeps what it rolled up beside an open change."""
    return key_of(scene.world, runtime_id=UUID(int=0), project_id=None, **other)


def test_what_is_rolled_up_beside_an_open_change_stays_queued_until_that_is_over(
    scene: Scene, owner: Connection, connect: Connect
) -> None:
    mover = connect()
    mover.execute("BEGIN")
    scene.through(mover).move()
    scene.insert()
    assert window(owner, LATER, LATER + HOUR) == 1
    assert queued_keys(owner) == {kept(scene, model="small")}
    for _ in range(2):
        assert window(owner, LATER + HOUR, END) == 0
        assert queued_keys(owner) == {kept(scene, model="small")}
    mover.execute("ROLLBACK")
    assert window(owner, LATER + HOUR, END) == 0
    assert queued_keys(owner) == set()


def test_usage_of_a_task_that_is_being_given_a_runtime_is_counted_once_it_has_it(
    scene: Scene, owner: Connection, connect: Connect
) -> None:
    """When the run looks, the task has none yet, so there is no bucket that it could be in."""
    scene.park()
    window(owner, LATER, END)
    mover = connect()
    mover.execute("BEGIN")
    scene.through(mover).move()
    scene.insert()
    assert window(owner, LATER, LATER + HOUR) == 0
    assert queued_keys(owner) >= {kept(scene, model="small")}
    mover.execute("COMMIT")
    window(owner, LATER + HOUR, END)
    assert stored_buckets(owner) == expected_buckets(owner)
    assert len(stored_buckets(owner)) == 2
    assert queued_keys(owner) == set()


def test_changes_without_end_keep_nothing_in_the_queue_that_was_there_before_them(
    scene: Scene, owner: Connection, connect: Connect
) -> None:
    first, second = connect(), connect()
    first.execute("BEGIN")
    scene.through(first).move()
    scene.insert()
    window(owner, LATER, LATER + HOUR)
    # The next change begins minutes after that run, before the first is over.
    owner.execute("UPDATE task_usage_hourly_dirty SET enqueued_at = now() - interval '2 minutes'")
    second.execute("BEGIN")
    scene.through(second).other_project()
    first.execute("ROLLBACK")
    window(owner, LATER + HOUR, END)
    assert queued_keys(owner) == set()
    second.execute("ROLLBACK")


def test_a_change_that_moves_nothing_keeps_nothing_in_the_queue(
    scene: Scene, owner: Connection, connect: Connect
) -> None:
    idle = connect()
    with idle.transaction():
        world = scene.through(idle).world
        world.change("agent_task_queue", scene.task, runtime_id=world.runtimes[0])
        world.change("issue", world.issues[0], project_id=world.projects[0])
        scene.insert()
        window(owner, LATER, END)
        assert queued_keys(owner) == set()


def test_a_key_rolled_up_by_the_schedulers_function_waits_for_an_open_change_too(
    scene: Scene, owner: Connection, connect: Connect
) -> None:
    recent = now(owner) - timedelta(minutes=20)
    set_watermark(owner, recent - timedelta(minutes=1))
    mover = connect()
    mover.execute("BEGIN")
    scene.through(mover).move()
    scene.world.usage(scene.task, recent, model="small")
    assert number(owner, ROLLUP) == 1
    mover.execute("COMMIT")
    # Stands for the five minutes until the queue's entries are taken up.
    owner.execute("UPDATE task_usage_hourly_dirty SET enqueued_at = %s", [recent])
    set_watermark(owner, now(owner) - timedelta(minutes=10))
    # Two buckets that were left and two that were entered.
    assert number(owner, ROLLUP) == 4
    assert stored_buckets(owner) == expected_buckets(owner)
    assert queued_keys(owner) == set()


# What is judged with a queued key


def test_a_queued_key_stands_for_every_runtime_and_project_of_its_hour_agent_and_model(
    scene: Scene, owner: Connection
) -> None:
    world = scene.world
    world.usage(world.task(runtime_id=world.runtimes[1]))
    world.usage(world.task(), model="small")
    world.usage(world.task(), created_at=NOON + HOUR)
    world.usage(world.task(1))
    window(owner, NOON, NOON + HOUR)
    owner.execute("UPDATE task_usage_hourly SET event_count = 99")
    queue(owner, key_of(world, runtime_id=world.runtimes[1], project_id=None), NOON)
    assert window(owner, LATER, END) == 2
    counts = {key: figures.event_count for key, figures in stored_buckets(owner).items()}
    assert counts == {
        key_of(world): 1,
        key_of(world, runtime_id=world.runtimes[1]): 1,
        key_of(world, model="small"): 99,
        key_of(world, bucket_hour=NOON + HOUR): 99,
        key_of(world, 1): 99,
    }


def test_of_an_agent_that_is_deleted_only_the_queued_key_itself_goes(
    scene: Scene, owner: Connection
) -> None:
    world = scene.world
    world.usage(world.task(runtime_id=world.runtimes[1]))
    window(owner, NOON, NOON + HOUR)
    world.delete("task_usage", scene.usage)
    world.delete("agent", world.agents[0])
    assert window(owner, LATER, END) == 1
    left = owner.execute("SELECT runtime_id FROM task_usage_hourly").fetchall()
    assert [row["runtime_id"] for row in left] == [world.runtimes[1]]


# Waiting and deadlocks


@pytest.mark.parametrize("change", ["move", "reassign", "project"])
def test_no_report_waits_for_a_change_and_no_change_for_a_report(
    scene: Scene, connect: Connect, change: str
) -> None:
    """Two reports in the opposite order of the tasks, around a change that concerns both."""
    other = scene.world.task()
    patience = {"options": "-c lock_timeout=5s"}
    reporter, mover = connect(**patience), connect(**patience)
    with reporter.transaction(), mover.transaction():
        reports, moves = scene.through(reporter).world, scene.through(mover)
        reports.usage(other, LATER, model="small")
        getattr(moves, change)()
        getattr(replace(moves, task=other), change)()
        reports.usage(scene.task, LATER, model="small")


@pytest.mark.parametrize("change", ["task", "issue"])
def test_two_changes_that_queue_the_same_keys_do_not_deadlock(
    scene: Scene, owner: Connection, connect: Connect, change: str
) -> None:
    """The keys are queued in their order, whichever query plan finds them."""
    world = scene.world
    project, changed = world.projects[0], {"project_id": None}
    issues = [world.insert("issue", workspace_id=world.workspaces[0], project_id=project)
              for _ in range(2)]  # fmt: skip
    tasks = [world.task(issue_id=issue) for issue in issues]
    table, rows = ("issue", issues)
    if change == "task":
        table, rows, changed = "agent_task_queue", tasks, {"issue_id": None}
    models = [f"model-{n:02}" for n in range(60)]
    for task, model in product(tasks, models):
        world.usage(task, model=model)
    owner.execute("ANALYZE")
    blocker, *writers = connect(), connect(), connect(options="-c enable_hashagg=off")
    with ThreadPoolExecutor(2) as pool:
        blocker.execute("BEGIN")
        queue(blocker, key_of(world, model=models[-1]), NOON)
        steps = []
        for writer, row in zip(writers, rows, strict=True):
            steps.append(pool.submit(scene.through(writer).world.change, table, row, **changed))
            wait_until_done_or_blocked(steps[-1], owner, writer)
        blocker.execute("ROLLBACK")
        for step in steps:
            step.result(timeout=HANG)
