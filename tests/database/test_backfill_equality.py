"""Our own statements and the window functions that they stand in for give the same buckets."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import rule
from psycopg import sql
from psycopg.errors import UniqueViolation

from executions.database.connections import Connection
from executions.database.reading import fetch_on
from executions.rollup.proven import PROVEN, Proven
from executions.rollup.summing import read_source, sum_slice
from tests.database.rollup_world import (
    END,
    HOUR,
    NOON,
    Key,
    World,
    expected_buckets,
    key_of,
    queue,
    queued_keys,
    stored_buckets,
    window,
)
from tests.database.test_rollup_histories import Histories, maybe_which, run_histories, which

REFERENCE = (Path(__file__).parent / "reference_window.sql").read_text("utf-8")
OURS = next(one for one in PROVEN.values() if one.widened)
COSTED = next(one for one in PROVEN.values() if one.costed and not one.widened)
UNCOSTED = next(one for one in PROVEN.values() if not one.costed)
COST_COLUMNS = (
    ("task_usage", "cost_usd_ticks"),
    ("task_usage_hourly", "cost_usd_ticks"),
    ("task_usage_hourly", "uncosted_input_tokens"),
    ("task_usage_hourly", "uncosted_output_tokens"),
    ("task_usage_hourly", "uncosted_cache_read_tokens"),
    ("task_usage_hourly", "uncosted_cache_write_tokens"),
)

Window = Callable[[Connection, datetime, datetime], object]


def with_ours(proven: Proven) -> Callable[[Connection, datetime, datetime], int]:
    return lambda connection, start, end: sum_slice(connection, proven, start, end)


def reference(*, costed: bool) -> Window:
    def run(connection: Connection, start: datetime, end: datetime) -> None:
        connection.execute("SELECT pg_temp.reference_window(%s, %s, %s)", [start, end, costed])

    return run


# Each function with what must give the same.
PAIRS: list[tuple[Window, Proven]] = [
    (window, OURS),
    (reference(costed=True), COSTED),
    (reference(costed=False), UNCOSTED),
]


def buckets_after(
    connection: Connection, run: Window, start: datetime, end: datetime
) -> list[tuple[Any, ...]]:
    """Every bucket as ``run`` leaves it, without updated_at. Everything is undone afterwards.

    Some buckets are spoiled before: one in three has other figures, one in five is missing.
    """
    with connection.transaction(force_rollback=True):
        connection.execute(
            "DELETE FROM task_usage_hourly AS b WHERE abs(hashtext(b::text)) % 5 = 0"
        )
        connection.execute(
            "UPDATE task_usage_hourly AS b SET input_tokens = 7, cost_usd_ticks = 7"
            " WHERE abs(hashtext(b::text)) % 3 = 0"
        )
        run(connection, start, end)
        rows = connection.execute(
            "SELECT (to_jsonb(b) - 'updated_at')::text AS bucket FROM task_usage_hourly AS b"
        )
        return sorted(row["bucket"] for row in rows)


class Compared(Histories):
    """Histories rolled up by our own statements, after a comparison with each function."""

    window = staticmethod(with_ours(OURS))

    def roll_up(self, zone: str) -> None:
        self.compare(self.watermark, END)
        super().roll_up(zone)

    roll_up = rule(zone=st.just("UTC"))(roll_up)

    @rule(hours=st.integers(-2, 90), long=st.integers(1, 60))
    def compare_a_slice(self, hours: int, long: int) -> None:
        self.compare(NOON + hours * HOUR, NOON + (hours + long) * HOUR)

    @rule(hours=st.integers(0, 60), odd=st.booleans(), agent=which, project=maybe_which)
    def queue_anything(self, hours: int, odd: bool, agent: int, project: int | None) -> None:
        """A key that may have usage or not, of an agent that may be gone, at an odd time."""
        world = self.world
        minutes = timedelta(minutes=30 if odd else 0)
        key = key_of(
            world,
            agent % 2,
            bucket_hour=NOON + hours * HOUR + minutes,
            project_id=None if project is None else world.projects[project % 2],
            model=f"model-{hours % 2}",
        )
        if key not in queued_keys(self.connection):
            self.let(self.queue_it, key)

    def queue_it(self, key: Key) -> None:
        """The neighbour may have queued the same key, which nobody sees yet."""
        with suppress(UniqueViolation):
            queue(self.connection, key, self.clock)

    def compare(self, start: datetime, end: datetime) -> None:
        for function, proven in PAIRS:
            wanted = buckets_after(self.connection, function, start, end)
            assert buckets_after(self.connection, with_ours(proven), start, end) == wanted, proven


def test_on_any_history_our_statements_give_the_buckets_of_each_function(owner, connect):
    owner.execute(REFERENCE)  # once: a session never frees what it knows of a function
    run_histories(Compared, owner, connect, usual=20)


def test_the_function_that_provision_makes_is_known_by_its_source(owner):
    assert read_source(fetch_on(owner)).proven is OURS


def test_another_function_is_not_taken_for_a_known_one(owner):
    with owner.transaction(force_rollback=True):
        owner.execute(
            "CREATE OR REPLACE FUNCTION rollup_task_usage_hourly_window(p_from timestamptz,"
            " p_to timestamptz) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'"
        )
        source = read_source(fetch_on(owner))
        assert source.sha256 is not None
        assert source.proven is None


def test_nothing_is_proven_where_the_hours_are_no_utc_hours(owner):
    with owner.transaction(force_rollback=True):
        owner.execute(
            "CREATE OR REPLACE FUNCTION task_usage_hour_bucket(moment timestamptz)"
            " RETURNS timestamptz LANGUAGE sql IMMUTABLE"
            " AS $$SELECT date_trunc('day', $1, 'UTC')$$"
        )
        source = read_source(fetch_on(owner))
        assert source.known is OURS
        assert source.proven is None


def test_nothing_is_proven_where_a_task_may_have_two_rows_of_a_model(owner):
    with owner.transaction(force_rollback=True):
        owner.execute(
            "ALTER TABLE task_usage DROP CONSTRAINT task_usage_task_id_provider_model_key"
        )
        source = read_source(fetch_on(owner))
        assert source.known is OURS
        assert source.proven is None


@pytest.fixture
def world(owner):
    made = World(owner)
    for hours in (0, 1, 40, 800):
        made.usage(made.task(), NOON + hours * HOUR, model=f"m{hours}")
    return made


def test_an_install_without_cost_columns_is_summed_too(owner, world):
    wanted = {key: (one.tokens, one.event_count) for key, one in expected_buckets(owner).items()}
    with owner.transaction(force_rollback=True):
        for table, column in COST_COLUMNS:
            owner.execute(
                sql.SQL("ALTER TABLE {} DROP COLUMN {}").format(
                    sql.Identifier(table), sql.Identifier(column)
                )
            )
        assert sum_slice(owner, UNCOSTED, NOON, END) == len(wanted)
        rows = owner.execute("SELECT * FROM task_usage_hourly").fetchall()
        assert {row["model"]: row["input_tokens"] for row in rows} == {
            key.model: tokens[0] for key, (tokens, _) in wanted.items()
        }


def test_what_is_right_already_is_not_written_again(owner, world):
    assert sum_slice(owner, OURS, NOON, END) == 4
    versions = "SELECT xmin::text, ctid::text FROM task_usage_hourly ORDER BY 2"
    before = owner.execute(versions).fetchall()
    for proven in PROVEN.values():
        assert sum_slice(owner, proven, NOON, END) == 0
    assert owner.execute(versions).fetchall() == before


def test_a_key_that_somebody_holds_is_left_to_the_next_run(owner, world, connect):
    held, free = key_of(world, model="held"), key_of(world, model="free")
    for key in (held, free):
        queue(owner, key, NOON)
    holder = connect()
    with holder.transaction():
        holder.execute("SELECT FROM task_usage_hourly_dirty WHERE model = 'held' FOR UPDATE")
        sum_slice(owner, COSTED, NOON, END)
    assert held in queued_keys(owner)
    assert stored_buckets(owner) == expected_buckets(owner)
    sum_slice(owner, COSTED, NOON, END)
    assert queued_keys(owner) == set()
