"""One window of the rollup, one rule of docs/contract.md section 4 at a time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.database.connections import Connection
from tests.database.rollup_world import (
    END,
    HOUR,
    NOON,
    World,
    contents,
    expected_buckets,
    key_of,
    number,
    queue,
    queued_keys,
    stored_buckets,
    window,
)
from tests.sizes import sized

MICROSECOND = timedelta(microseconds=1)


@pytest.fixture
def world(owner: Connection) -> World:
    return World(owner)


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


# How often the history repeats the 288 rows of a day.
DAYS = sized(20, 100)
# Each call in a transaction of its own, counted there: what it read, and what it read in full.
READS = """
SELECT sum(idx_tup_fetch)::bigint AS fetched, sum(seq_tup_read)::bigint AS scanned
  FROM pg_stat_xact_user_tables
 WHERE relname IN ('task_usage', 'agent_task_queue', 'agent', 'issue', 'task_usage_hourly')
"""


@pytest.mark.parametrize("analyzed", ["the history", "nothing", "other rows"])
def test_a_window_reads_the_rows_of_its_hours_and_never_the_history(
    world: World, owner: Connection, analyzed: str
) -> None:
    if analyzed == "other rows":
        # Statistics of a table whose rows all lay in one hour, as on the first day of an install.
        task = world.task()
        for model in range(120):
            world.usage(task, model=f"model-{model}")
        owner.execute("ANALYZE; DELETE FROM agent_task_queue; DELETE FROM task_usage_hourly_dirty")
    for minute in range(0, 24 * 60, 5):
        world.usage(world.task(), NOON + timedelta(minutes=minute))
    owner.execute(
        """
        WITH past AS (
            INSERT INTO agent_task_queue (agent_id, runtime_id, issue_id)
            SELECT agent_id, runtime_id, issue_id FROM agent_task_queue, generate_series(1, %s)
            RETURNING id)
        INSERT INTO task_usage (task_id, provider, model, created_at, updated_at)
        SELECT id, 'anthropic', 'large', at, at
          FROM (SELECT id, %s - interval '1 minute' * row_number() OVER () AS at FROM past) AS past
        """,
        [DAYS, NOON],
    )
    hours = DAYS * 288 // 60  # a row in each minute
    assert window(owner, NOON - hours * HOUR, NOON) == hours
    if analyzed == "the history":
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
