"""The queue of dirty buckets: what fills it, and that no run loses an entry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from executions.database.connections import Connection
from tests.database.rollup_world import (
    END,
    HOUR,
    NOON,
    PAUSES,
    Key,
    World,
    expected_buckets,
    key_of,
    number,
    paused_run,
    pausing_trigger,
    queue,
    queued_keys,
    stored_buckets,
    window,
)

Connect = Callable[..., Connection]


@pytest.fixture
def world(owner: Connection) -> World:
    return World(owner)


# Invalidations that commit in the middle of a run


@pytest.mark.parametrize("pause", sorted(PAUSES))
@pytest.mark.parametrize("queued_before", [True, False])
def test_an_invalidation_that_commits_in_the_middle_of_a_run_is_not_lost(
    world: World, owner: Connection, connect: Connect, pause: str, queued_before: bool
) -> None:
    task = world.task()
    world.usage(task, model="stays")
    usage = world.usage(task)
    window(owner, NOON, NOON + HOUR)
    if queued_before:
        # Later than the rival's own entry will be, so that only its row version tells of it.
        queue(owner, key_of(world), END - HOUR)
    rival = connect()
    with pausing_trigger(owner), paused_run(owner, rival, pause, NOON + HOUR, END):
        rival.execute("DELETE FROM task_usage WHERE id = %s", [usage])
    window(owner, NOON + 2 * HOUR, END)
    assert stored_buckets(owner) == expected_buckets(owner)
    assert queued_keys(owner) == set()


def test_a_key_that_another_transaction_is_queueing_is_left_to_the_next_run(
    world: World, owner: Connection, connect: Connect
) -> None:
    task = world.task()
    world.usage(task)
    window(owner, NOON, NOON + HOUR)
    queue(owner, key_of(world), NOON)
    rival = connect()
    with rival.transaction():
        rival.execute("DELETE FROM agent_task_queue WHERE id = %s", [task])
        owner.execute("SET lock_timeout = '5s'")
        window(owner, NOON + HOUR, END)
        # Nothing but the key under which the run keeps what it rolled up beside an open change.
        kept = key_of(world, runtime_id=UUID(int=0), project_id=None)
        assert queued_keys(owner) == {key_of(world), kept}
    window(owner, NOON + HOUR, END)
    assert stored_buckets(owner) == {} == expected_buckets(owner)
    assert queued_keys(owner) == set()


# The triggers


def test_each_change_that_a_watermark_cannot_see_queues_the_keys_it_leaves_and_enters(
    world: World, owner: Connection
) -> None:
    def queued_by(change: Callable[[], None]) -> set[Key]:
        owner.execute("TRUNCATE task_usage_hourly_dirty")
        change()
        return queued_keys(owner)

    task = world.task()
    usage = world.usage(task)
    world.usage(task, NOON + HOUR, model="small")
    here = {key_of(world), key_of(world, bucket_hour=NOON + HOUR, model="small")}

    def moved(**other: Any) -> set[Key]:
        return {key._replace(**other) for key in here}

    def move(**values: Any) -> Callable[[], None]:
        return lambda: world.change("agent_task_queue", task, **values)

    there = {"runtime_id": world.runtimes[1]}
    assert queued_by(move(**there)) == here | moved(**there)
    assert queued_by(move(runtime_id=None)) == moved(**there)
    assert queued_by(move(runtime_id=world.runtimes[0])) == here
    assert queued_by(move(issue_id=None)) == here | moved(project_id=None)
    assert queued_by(move(issue_id=world.issues[0])) == here | moved(project_id=None)
    project = {"project_id": world.projects[1]}
    assert queued_by(lambda: world.change("issue", world.issues[0], **project)) == here | moved(
        **project
    )
    here = moved(**project)
    assert queued_by(lambda: world.delete("task_usage", usage)) == {
        key for key in here if key.model == "large"
    }
    here = {key for key in here if key.model == "small"}
    assert here <= queued_by(lambda: world.delete("issue", world.issues[0]))
    assert number(owner, "SELECT count(*) FROM task_usage") == 0


@pytest.mark.parametrize("table", ["agent_task_queue", "agent_runtime"])
def test_a_deleted_task_queues_the_keys_of_the_usage_that_goes_with_it(
    world: World, owner: Connection, table: str
) -> None:
    task = world.task()
    world.usage(task)
    world.delete(table, task if table == "agent_task_queue" else world.runtimes[0])
    assert queued_keys(owner) == {key_of(world)}


def test_an_update_that_changes_nothing_queues_nothing(world: World, owner: Connection) -> None:
    task = world.task()
    world.usage(task)
    world.change("agent_task_queue", task, runtime_id=world.runtimes[0], issue_id=world.issues[0])
    world.change("issue", world.issues[0], project_id=world.projects[0])
    assert queued_keys(owner) == set()


def test_deleting_an_agent_queues_nothing_and_leaves_its_buckets(
    world: World, owner: Connection
) -> None:
    world.usage(world.task())
    window(owner, NOON, NOON + HOUR)
    world.delete("agent", world.agents[0])
    assert queued_keys(owner) == set()
    window(owner, NOON, END)
    assert number(owner, "SELECT count(*) FROM task_usage_hourly") == 1


def test_a_model_corrected_in_place_queues_nothing_and_leaves_the_old_bucket(
    world: World, owner: Connection
) -> None:
    usage = world.usage(world.task())
    window(owner, NOON, NOON + HOUR)
    world.change("task_usage", usage, model="small", updated_at=NOON + 2 * HOUR)
    assert queued_keys(owner) == set()
    window(owner, NOON + HOUR, END)
    assert set(stored_buckets(owner)) == {key_of(world), key_of(world, model="small")}


@pytest.mark.parametrize("table", ["task_usage", "agent_task_queue", "issue"])
def test_the_teardown_of_a_workspace_queues_nothing(
    world: World, owner: Connection, table: str
) -> None:
    task = world.task()
    usage = world.usage(task)
    row = {"task_usage": usage, "agent_task_queue": task, "issue": world.issues[0]}[table]
    with owner.transaction():
        owner.execute("SELECT set_config('multica.workspace_teardown', 'on', true)")
        if table == "agent_task_queue":
            world.change(table, task, runtime_id=world.runtimes[1])
        world.delete(table, row)
    assert queued_keys(owner) == set()


def test_a_project_that_changes_is_queued_even_during_a_teardown(
    world: World, owner: Connection
) -> None:
    world.usage(world.task())
    with owner.transaction():
        owner.execute("SELECT set_config('multica.workspace_teardown', 'on', true)")
        world.change("issue", world.issues[0], project_id=None)
    assert queued_keys(owner) == {key_of(world), key_of(world, project_id=None)}


@pytest.mark.parametrize("change", ["usage", "task", "issue"])
@pytest.mark.parametrize(
    ("queued_at", "kept"),
    [(END, "enqueued_at = '2100-01-01 00:00:00+00'"), (NOON, "enqueued_at = now()")],
)
def test_a_key_queued_twice_keeps_the_later_time(
    world: World, owner: Connection, change: str, queued_at: datetime, kept: str
) -> None:
    task = world.task()
    usage = world.usage(task)
    queue(owner, key_of(world), queued_at)
    with owner.transaction():
        if change == "usage":
            world.delete("task_usage", usage)
        elif change == "task":
            world.change("agent_task_queue", task, runtime_id=None)
        else:
            world.change("issue", world.issues[0], project_id=None)
        query = f"SELECT {kept} FROM task_usage_hourly_dirty WHERE project_id IS NOT NULL"
        assert number(owner, query) is True
