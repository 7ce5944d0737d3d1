"""The rollup as schedulers call it: watermark, lock 4246, pruning and the state row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from executions.database.connections import Connection
from tests.database.rollup_world import (
    HOUR,
    NOON,
    PAUSE_KEY,
    ROLLUP,
    World,
    contents,
    expected_buckets,
    key_of,
    now,
    number,
    pausing_trigger,
    queue,
    queued_keys,
    set_watermark,
    stored_buckets,
    wait_until_blocked,
    window,
)
from tests.waiting import HANG

Connect = Callable[..., Connection]


@pytest.fixture
def world(owner: Connection) -> World:
    return World(owner)


def state(connection: Connection) -> dict[str, Any]:
    row = connection.execute("SELECT * FROM task_usage_hourly_rollup_state").fetchone()
    assert row is not None
    return row


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
        run.exception(timeout=HANG)


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
        assert isinstance(run.exception(timeout=HANG), psycopg.errors.QueryCanceled)
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


def test_a_rollup_that_is_weeks_behind_keeps_the_old_keys_that_no_window_has_drained(
    world: World, owner: Connection
) -> None:
    moment = now(owner)
    set_watermark(owner, moment - timedelta(days=20))
    queue(owner, key_of(world, model="drained by this window"), moment - timedelta(days=19.5))
    queue(owner, key_of(world, model="old and not reached yet"), moment - timedelta(days=8))
    number(owner, ROLLUP)
    assert {key.model for key in queued_keys(owner)} == {"old and not reached yet"}


def test_a_correction_from_weeks_ago_is_in_the_sums_once_the_rollup_has_caught_up(
    world: World, owner: Connection
) -> None:
    moment = now(owner)
    hour = (moment - timedelta(days=25)).replace(minute=0, second=0, microsecond=0)
    row = world.usage(world.task(), hour)
    assert window(owner, hour, hour + HOUR) == 1
    set_watermark(owner, moment - timedelta(days=20))
    world.delete("task_usage", row)
    owner.execute("UPDATE task_usage_hourly_dirty SET enqueued_at = now() - interval '8 days'")
    for _day in range(21):
        number(owner, ROLLUP)
    assert number(owner, "SELECT count(*) FROM task_usage_hourly") == 0


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
