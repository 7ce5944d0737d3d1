"""The rollup's functions and triggers, one rule of docs/contract.md section 4 at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from executions.connections import Connection
from tests.database.rollup_world import (
    HOUR,
    NOON,
    PAUSE_KEY,
    PAUSES,
    ROLLUP,
    Key,
    World,
    contents,
    expected_buckets,
    number,
    paused_run,
    pausing_trigger,
    queued_keys,
    stored_buckets,
    wait_until_blocked,
    window,
)

Connect = Callable[..., Connection]

MICROSECOND = timedelta(microseconds=1)
# After the time of any test, so that the whole queue is before it.
END = datetime(2100, 1, 1, tzinfo=UTC)


@pytest.fixture
def world(owner: Connection) -> World:
    return World(owner)


def key_of(world: World, agent: int = 0, **other: Any) -> Key:
    """The key of `world.usage(world.task(agent))`."""
    return Key(
        NOON,
        world.workspaces[agent],
        world.runtimes[agent],
        world.agents[agent],
        world.projects[agent],
        "anthropic",
        "large",
    )._replace(**other)


def state(connection: Connection) -> dict[str, Any]:
    row = connection.execute("SELECT * FROM task_usage_hourly_rollup_state").fetchone()
    assert row is not None
    return row


def set_watermark(connection: Connection, moment: datetime) -> None:
    connection.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = %s", [moment])


def queue(connection: Connection, key: Key, enqueued_at: datetime) -> None:
    connection.execute(
        "INSERT INTO task_usage_hourly_dirty VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [*key, enqueued_at],
    )


def now(connection: Connection) -> datetime:
    moment: datetime = number(connection, "SELECT clock_timestamp()")
    return moment


# The window


def test_a_bucket_sums_tokens_prices_tasks_and_rows(world: World, owner: Connection) -> None:
    one, two = world.task(), world.task()
    world.usage(one, NOON, cost_usd_ticks=7)
    world.usage(two, NOON + HOUR - MICROSECOND, cost_usd_ticks=None)
    assert window(owner, NOON, NOON + HOUR) == 1
    figures = stored_buckets(owner)[key_of(world)]
    assert figures.tokens == [20, 40, 60, 80]
    assert figures.uncosted == [10, 20, 30, 40]
    assert figures.cost_usd_ticks == 7
    assert (figures.task_count, figures.event_count) == (2, 2)


def test_a_bucket_without_a_price_costs_nothing_and_one_of_prices_has_nothing_uncosted(
    world: World, owner: Connection
) -> None:
    world.usage(world.task(), cost_usd_ticks=None, model="unpriced")
    world.usage(world.task(), cost_usd_ticks=0, model="priced")
    window(owner, NOON, NOON + HOUR)
    stored = stored_buckets(owner)
    unpriced = stored[key_of(world, model="unpriced")]
    priced = stored[key_of(world, model="priced")]
    assert (unpriced.cost_usd_ticks, unpriced.uncosted) == (0, [10, 20, 30, 40])
    assert (priced.cost_usd_ticks, priced.uncosted) == (0, [0, 0, 0, 0])


def test_the_workspace_is_the_agents_and_the_project_the_issues(
    world: World, owner: Connection
) -> None:
    world.usage(world.task(0, runtime_id=world.runtimes[1], issue_id=world.issues[1]))
    window(owner, NOON, NOON + HOUR)
    key = key_of(world, runtime_id=world.runtimes[1], project_id=world.projects[1])
    assert set(stored_buckets(owner)) == {key}


def test_a_task_without_an_issue_and_one_of_an_issue_without_a_project_share_a_bucket(
    world: World, owner: Connection
) -> None:
    world.change("issue", world.issues[0], project_id=None)
    world.usage(world.task())
    world.usage(world.task(issue_id=None))
    window(owner, NOON, NOON + HOUR)
    window(owner, NOON, NOON + HOUR)
    assert stored_buckets(owner)[key_of(world, project_id=None)].event_count == 2


def test_usage_of_a_task_without_a_runtime_does_not_count(world: World, owner: Connection) -> None:
    world.usage(world.task(runtime_id=None))
    assert window(owner, NOON, NOON + HOUR) == 0
    assert stored_buckets(owner) == {}


def test_late_usage_is_found_by_updated_at_and_counted_in_the_hour_of_created_at(
    world: World, owner: Connection
) -> None:
    world.usage(world.task(), NOON + 30 * HOUR, created_at=NOON)
    assert window(owner, NOON, NOON + HOUR) == 0
    assert window(owner, NOON + 30 * HOUR, NOON + 31 * HOUR) == 1
    assert set(stored_buckets(owner)) == {key_of(world)}


def test_usage_without_updated_at_is_found_by_created_at(world: World, owner: Connection) -> None:
    world.usage(world.task(), updated_at=None)
    assert window(owner, NOON, NOON + HOUR) == 1
    assert stored_buckets(owner) == expected_buckets(owner)


@pytest.mark.parametrize("column", ["updated_at", "created_at"])
def test_a_window_includes_its_start_and_not_its_end(
    world: World, owner: Connection, column: str
) -> None:
    values = {"created_at": NOON} if column == "updated_at" else {"updated_at": None}
    first, last = NOON + timedelta(minutes=10), NOON + timedelta(minutes=20)
    world.usage(world.task(), first, model="at the start", **values)
    world.usage(world.task(), last, model="at the end", **values)
    assert window(owner, first, last) == 1
    assert set(stored_buckets(owner)) == {key_of(world, model="at the start")}
    assert window(owner, last, last + MICROSECOND) == 1


def test_a_rerun_writes_nothing_and_returns_0(world: World, owner: Connection) -> None:
    world.usage(world.task())
    world.usage(world.task(issue_id=None), cost_usd_ticks=None)
    assert window(owner, NOON, NOON + HOUR) == 2
    before = contents(owner, "task_usage_hourly")
    assert window(owner, NOON, NOON + HOUR) == 0
    assert contents(owner, "task_usage_hourly") == before


def test_a_bucket_from_before_the_split_gets_its_uncosted_tokens(
    world: World, owner: Connection
) -> None:
    world.usage(world.task(), cost_usd_ticks=None)
    window(owner, NOON, NOON + HOUR)
    owner.execute(
        "UPDATE task_usage_hourly SET uncosted_input_tokens = NULL, uncosted_output_tokens = NULL,"
        " uncosted_cache_read_tokens = NULL, uncosted_cache_write_tokens = NULL"
    )
    assert window(owner, NOON, NOON + HOUR) == 1
    assert stored_buckets(owner) == expected_buckets(owner)


def test_an_emptied_bucket_is_deleted_and_counted(world: World, owner: Connection) -> None:
    usage = world.usage(world.task())
    window(owner, NOON, NOON + HOUR)
    world.delete("task_usage", usage)
    assert window(owner, NOON, END) == 1
    assert number(owner, "SELECT count(*) FROM task_usage_hourly") == 0


def test_a_bucket_that_nothing_invalidated_stays_as_it_is(world: World, owner: Connection) -> None:
    world.usage(world.task(0))
    world.usage(world.task(1))
    window(owner, NOON, NOON + HOUR)
    owner.execute("UPDATE task_usage_hourly SET event_count = 99")
    world.usage(world.task(0), NOON + HOUR, created_at=NOON, model="other")
    assert window(owner, NOON + HOUR, NOON + 2 * HOUR) == 1
    counts = {key: figures.event_count for key, figures in stored_buckets(owner).items()}
    assert counts == {key_of(world, 0): 99, key_of(world, 1): 99, key_of(world, model="other"): 1}


def test_queued_keys_wait_until_the_window_ends_after_them(world: World, owner: Connection) -> None:
    world.usage(world.task())
    queue(owner, key_of(world), NOON + 5 * HOUR)
    assert window(owner, NOON + 2 * HOUR, NOON + 5 * HOUR) == 0
    assert queued_keys(owner) == {key_of(world)}
    assert window(owner, NOON + 3 * HOUR, NOON + 5 * HOUR + MICROSECOND) == 1
    assert queued_keys(owner) == set()
    assert stored_buckets(owner) == expected_buckets(owner)


def test_neither_search_path_nor_a_temporary_namesake_misleads_it(
    world: World, owner: Connection
) -> None:
    usage = world.usage(world.task(), NOON)
    owner.execute(
        "CREATE TEMPORARY TABLE task_usage (LIKE public.task_usage);"
        "CREATE TEMPORARY TABLE agent (LIKE public.agent);"
        "CREATE TEMPORARY TABLE task_usage_hourly_dirty (LIKE public.task_usage_hourly_dirty);"
        "CREATE TEMPORARY TABLE task_usage_hourly_rollup_state"
        " (LIKE public.task_usage_hourly_rollup_state);"
        "SET search_path = ''"
    )
    try:
        call = "SELECT public.rollup_task_usage_hourly_window(%s, %s)"
        assert number(owner, call, [NOON, NOON + HOUR]) == 1
        owner.execute("DELETE FROM public.task_usage WHERE id = %s", [usage])
        assert number(owner, call, [NOON, END]) == 1
        owner.execute(
            "UPDATE public.task_usage_hourly_rollup_state SET watermark_at = now() - '1h'::interval"
        )
        assert number(owner, "SELECT public.rollup_task_usage_hourly()") == 0
        assert number(owner, "SELECT public.task_usage_hourly_rollup_lag_seconds()") < 60
        assert number(owner, "SELECT public.prune_task_usage_hourly_dirty()") == 0
    finally:
        owner.execute("RESET search_path; DISCARD TEMP")


# Each call in a transaction of its own, counted there: what it read, and what it read in full.
READS = """
SELECT sum(idx_tup_fetch)::bigint AS fetched, sum(seq_tup_read)::bigint AS scanned
  FROM pg_stat_xact_user_tables
 WHERE relname IN ('task_usage', 'agent_task_queue', 'agent', 'issue', 'task_usage_hourly')
"""


@pytest.mark.parametrize("analyzed", [True, False])
def test_a_window_reads_the_rows_of_its_hours_and_never_the_history(
    world: World, owner: Connection, analyzed: bool
) -> None:
    for minute in range(0, 24 * 60, 5):
        world.usage(world.task(), NOON + timedelta(minutes=minute))
    owner.execute(
        """
        WITH past AS (
            INSERT INTO agent_task_queue (agent_id, runtime_id, issue_id)
            SELECT agent_id, runtime_id, issue_id FROM agent_task_queue, generate_series(1, 100)
            RETURNING id)
        INSERT INTO task_usage (task_id, provider, model, created_at, updated_at)
        SELECT id, 'anthropic', 'large', at, at
          FROM (SELECT id, %s - interval '1 minute' * row_number() OVER () AS at FROM past) AS past
        """,
        [NOON],
    )
    assert window(owner, NOON - 480 * HOUR, NOON) == 480
    if analyzed:
        owner.execute("ANALYZE")
    # More than five times, after which PostgreSQL may keep one plan for any window.
    for _ in range(7):
        # Hands over what earlier transactions counted, which would be taken for this one's.
        owner.execute("SELECT pg_stat_force_next_flush()")
        with owner.transaction(force_rollback=True):
            assert window(owner, NOON, NOON + 24 * HOUR) == 24
            read = owner.execute(READS).fetchone()
        assert read is not None
        assert read["scanned"] == 0
        # A row by its update and by its hour, with its task, agent and issue; and the bucket.
        assert read["fetched"] <= 24 * 12 * 5 + 24


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
        assert queued_keys(owner) == {key_of(world)}
    window(owner, NOON + HOUR, END)
    assert stored_buckets(owner) == {} == expected_buckets(owner)


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


# The rollup as schedulers call it


def test_it_goes_from_the_watermark_to_five_minutes_ago(world: World, owner: Connection) -> None:
    before = now(owner)
    set_watermark(owner, before - HOUR)
    world.usage(world.task(), before - timedelta(minutes=30), model="old enough")
    world.usage(world.task(), before - timedelta(minutes=4), model="too young")
    assert number(owner, ROLLUP) == 1
    assert [key.model for key in stored_buckets(owner)] == ["old enough"]
    five = timedelta(minutes=5)
    row = state(owner)
    assert before - five <= row["watermark_at"] <= now(owner) - five
    assert before <= row["last_run_started_at"] <= row["last_run_finished_at"] <= now(owner)
    assert (row["last_run_rows"], row["last_error"]) == (1, None)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_it_goes_at_most_24_hours_even_where_the_clocks_change(
    world: World, owner: Connection, zone: str
) -> None:
    start = datetime(2025, 3, 29, 12, tzinfo=UTC)
    owner.execute("SELECT set_config('TimeZone', %s, false)", [zone])
    set_watermark(owner, start)
    assert number(owner, ROLLUP) == 0
    assert state(owner)["watermark_at"] == start + 24 * HOUR


def test_a_run_clears_the_error_that_stood_in_the_state_row(
    world: World, owner: Connection
) -> None:
    owner.execute("UPDATE task_usage_hourly_rollup_state SET last_error = 'of an older release'")
    number(owner, ROLLUP)
    assert state(owner)["last_error"] is None


def test_with_a_watermark_in_the_future_it_does_nothing_and_says_that_it_ran(
    world: World, owner: Connection
) -> None:
    world.usage(world.task(), NOON)
    queue(owner, key_of(world), NOON)
    future = now(owner) + HOUR
    set_watermark(owner, future)
    owner.execute("UPDATE task_usage_hourly_dirty SET enqueued_at = now() - '1h'::interval")
    assert number(owner, ROLLUP) == 0
    assert stored_buckets(owner) == {}
    assert queued_keys(owner) == {key_of(world)}
    row = state(owner)
    assert row["watermark_at"] == future
    assert row["last_run_finished_at"] is not None
    assert row["last_run_rows"] == 0


def test_without_a_state_row_it_returns_0(world: World, owner: Connection) -> None:
    owner.execute("DELETE FROM task_usage_hourly_rollup_state")
    world.usage(world.task())
    assert number(owner, ROLLUP) == 0
    assert stored_buckets(owner) == {}
    assert number(owner, "SELECT count(*) FROM task_usage_hourly_rollup_state") == 0


def test_while_somebody_holds_lock_4246_it_returns_0_and_touches_nothing(
    world: World, owner: Connection, connect: Connect
) -> None:
    set_watermark(owner, NOON)
    world.usage(world.task())
    before = contents(owner, "task_usage_hourly_rollup_state")
    rival = connect()
    rival.execute("SELECT pg_advisory_lock(4246)")
    owner.execute("SET lock_timeout = '5s'")
    assert number(owner, ROLLUP) == 0
    assert contents(owner, "task_usage_hourly_rollup_state") == before
    assert stored_buckets(owner) == {}
    rival.execute("SELECT pg_advisory_unlock(4246)")
    assert number(owner, ROLLUP) == 1


@contextmanager
def rollup_held_up(owner: Connection, runner: Connection, rival: Connection) -> Iterator[Any]:
    """A rollup on `runner` that has the lock and has written nothing; goes on after the block."""
    with pausing_trigger(owner), ThreadPoolExecutor(1) as pool:
        with rival.transaction():
            rival.execute("SELECT pg_advisory_xact_lock(%s)", [PAUSE_KEY])
            run = pool.submit(number, runner, ROLLUP)
            wait_until_blocked(rival, runner.info.backend_pid)
            yield run
        run.exception(timeout=30)


def test_of_six_callers_at_once_one_does_the_work_and_the_watermark_moves_once(
    world: World, owner: Connection, connect: Connect
) -> None:
    set_watermark(owner, NOON)
    world.usage(world.task())
    with rollup_held_up(owner, connect(), connect()) as winner:
        others = [connect(options="-c lock_timeout=5s") for _ in range(5)]
        with ThreadPoolExecutor(5) as pool:
            assert list(pool.map(lambda other: number(other, ROLLUP), others)) == [0] * 5
        assert state(owner)["watermark_at"] == NOON
    assert winner.result() == 1
    assert state(owner)["watermark_at"] == NOON + 24 * HOUR
    assert stored_buckets(owner) == expected_buckets(owner)


def test_six_callers_without_order_roll_up_everything_once(
    world: World, owner: Connection, connect: Connect
) -> None:
    set_watermark(owner, now(owner) - HOUR)
    for model in ("one", "two", "three"):
        world.usage(world.task(), now(owner) - HOUR / 2, model=model)
    with ThreadPoolExecutor(6) as pool:
        rows = list(pool.map(lambda other: number(other, ROLLUP), [connect() for _ in range(6)]))
    assert sorted(rows) == [0, 0, 0, 0, 0, 3]
    assert stored_buckets(owner) == expected_buckets(owner)


def test_a_cancelled_rollup_leaves_the_lock_free_and_nothing_changed(
    world: World, owner: Connection, connect: Connect
) -> None:
    set_watermark(owner, NOON)
    world.usage(world.task())
    runner = connect()
    with rollup_held_up(owner, runner, connect()) as run:
        owner.execute("SELECT pg_cancel_backend(%s)", [runner.info.backend_pid])
        assert isinstance(run.exception(timeout=30), psycopg.errors.QueryCanceled)
        held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4246"
        assert number(owner, held) == 0
    assert state(owner)["watermark_at"] == NOON
    assert number(owner, ROLLUP) == 1


def test_an_error_is_raised_and_rolls_everything_back(world: World, owner: Connection) -> None:
    set_watermark(owner, NOON)
    usage = world.usage(world.task())
    world.usage(world.task(), input_tokens=2**63 - 1)
    before = contents(owner, "task_usage_hourly_rollup_state")
    with pytest.raises(psycopg.errors.NumericValueOutOfRange):
        number(owner, ROLLUP)
    assert contents(owner, "task_usage_hourly_rollup_state") == before
    world.delete("task_usage", usage)
    assert number(owner, ROLLUP) == 1


def test_pruning_takes_keys_older_than_7_days_or_as_old_as_it_is_told(
    world: World, owner: Connection
) -> None:
    moment = now(owner)
    for days in (6, 8, 40):
        queue(owner, key_of(world, model=str(days)), moment - timedelta(days=days))
    assert number(owner, "SELECT prune_task_usage_hourly_dirty('30 days')") == 1
    assert number(owner, "SELECT prune_task_usage_hourly_dirty()") == 1
    assert {key.model for key in queued_keys(owner)} == {"6"}


def test_pruning_waits_for_nobody(world: World, owner: Connection, connect: Connect) -> None:
    queue(owner, key_of(world), NOON)
    rival = connect()
    with rival.transaction():
        rival.execute("UPDATE task_usage_hourly_dirty SET enqueued_at = now()")
        owner.execute("SET lock_timeout = '5s'")
        assert number(owner, "SELECT prune_task_usage_hourly_dirty()") == 0
    assert queued_keys(owner) == {key_of(world)}


def test_a_rollup_prunes_what_is_too_old_for_its_window_to_drain(
    world: World, owner: Connection
) -> None:
    set_watermark(owner, NOON)
    moment = now(owner)
    queue(owner, key_of(world, model="old"), moment - timedelta(days=8))
    queue(owner, key_of(world, model="young"), moment - timedelta(days=6))
    number(owner, ROLLUP)
    assert {key.model for key in queued_keys(owner)} == {"young"}


def test_the_lag_is_the_age_of_the_last_run_and_unknown_before_the_first(
    world: World, owner: Connection
) -> None:
    lag = "SELECT task_usage_hourly_rollup_lag_seconds()"
    assert number(owner, lag) is None
    set_watermark(owner, now(owner) - 50 * HOUR)
    number(owner, ROLLUP)
    assert 0 <= number(owner, lag) < 60
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = now() - interval '1h'"
    )
    assert 3600 <= number(owner, lag) < 3660
