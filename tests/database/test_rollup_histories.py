"""Whatever happened to the usage, the rollup equals the sum of the raw rows."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg import sql

from executions.connections import Connection
from tests.conftest import empty_multica
from tests.database.rollup_world import (
    END,
    HOUR,
    NOON,
    PAUSES,
    World,
    contents,
    expected_buckets,
    number,
    paused_run,
    pausing_trigger,
    stored_buckets,
    window,
)

# Clocks at odd offsets, at half-hour summer time, and changing on the very day of NOON.
ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Pacific/Kiritimati",
)

zones = st.sampled_from(ZONES)
which = st.integers(0, 5)
maybe_which = st.none() | which
tokens = st.integers(0, 10**9)
prices = st.none() | st.integers(0, 10**12)


@given(moment=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)), zone=zones)
@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_an_hour_is_the_utc_hour_in_any_session_time_zone(
    owner: Connection, moment: datetime, zone: str
) -> None:
    moment = moment.replace(tzinfo=UTC)
    owner.execute("SELECT set_config('TimeZone', %s, false)", [zone])
    floor = moment.replace(minute=0, second=0, microsecond=0)
    assert number(owner, "SELECT task_usage_hour_bucket(%s) = %s", [moment, floor])


# One change of the usage or of what it hangs on: the method of Histories, and its arguments.
changes = st.one_of(
    st.tuples(
        st.just("use"),
        st.tuples(which, which, st.integers(0, 4 * 24 * 60), st.booleans(), tokens, prices),
    ),
    st.tuples(st.just("correct"), st.tuples(which, tokens, prices)),
    st.tuples(st.just("start_task"), st.tuples(which, maybe_which, maybe_which)),
    st.tuples(st.just("move_task_to_runtime"), st.tuples(which, maybe_which)),
    st.tuples(st.just("move_task_to_issue"), st.tuples(which, maybe_which)),
    st.tuples(st.just("move_issue_to_project"), st.tuples(which, maybe_which)),
    st.tuples(st.just("remove"), st.tuples(st.sampled_from(("task_usage", "issue")), which)),
    st.tuples(
        st.just("remove"),
        st.tuples(st.sampled_from(("agent_task_queue", "agent_runtime", "agent")), which),
    ),
)
Step = tuple[str, tuple[Any, ...]]


class Histories(RuleBasedStateMachine):
    """A history on a clock of its own, rolled up from watermark to watermark.

    `connection` makes the history and runs the rollup; `rival` commits in the middle of a run.
    """

    connection: Connection
    rival: Connection

    @initialize()
    def begin(self) -> None:
        empty_multica(self.connection)
        self.world = World(self.connection)
        self.watermark, self.clock = NOON, NOON + 2 * HOUR
        for agent in (0, 0, 1):
            task = self.world.task(agent)
            self.world.usage(task, NOON, model="model-0")
            self.world.usage(task, NOON + HOUR, model="model-1", cost_usd_ticks=None)
        self.roll_up("UTC")

    @rule(passed=st.integers(1, 600))
    def wait(self, passed: int) -> None:
        self.clock += timedelta(minutes=passed)

    @rule(step=changes)
    def happen(self, step: Step) -> None:
        name, arguments = step
        getattr(self, name)(*arguments)

    @rule(zone=zones)
    def roll_up(self, zone: str) -> None:
        self.connection.execute("SELECT set_config('TimeZone', %s, false)", [zone])
        window(self.connection, self.watermark, END)
        assert stored_buckets(self.connection) == expected_buckets(self.connection)
        before = contents(self.connection, "task_usage_hourly", "task_usage_hourly_dirty")
        assert window(self.connection, self.watermark, END) == 0
        assert before == contents(self.connection, "task_usage_hourly", "task_usage_hourly_dirty")
        self.watermark = self.clock

    @rule(step=changes, pause=st.sampled_from(sorted(PAUSES)))
    def roll_up_while_something_happens(self, step: Step, pause: str) -> None:
        with paused_run(self.connection, self.rival, pause, self.watermark, END):
            self.world.connection = self.rival
            self.happen(step)
            self.world.connection = self.connection
        self.watermark = self.clock

    def teardown(self) -> None:
        self.roll_up("UTC")

    def use(
        self, n: int, model: int, late: int, undated: bool, used: int, price: int | None
    ) -> None:
        """Report usage, late by some minutes; again for the same model, it is added to it.

        A row without updated_at is found by created_at alone, so it cannot be late.
        """
        task = self.nth("agent_task_queue", n)
        if task is None:
            return
        self.world.connection.execute(
            """
            INSERT INTO task_usage AS known (id, task_id, provider, model, input_tokens,
                                             output_tokens, cost_usd_ticks, created_at, updated_at)
            VALUES (%(id)s, %(task)s, 'anthropic', %(model)s, %(used)s, %(used)s / 2,
                    %(price)s, %(at)s, %(updated)s)
                ON CONFLICT (task_id, provider, model) DO UPDATE
               SET input_tokens = known.input_tokens + excluded.input_tokens,
                   output_tokens = known.output_tokens + excluded.output_tokens,
                   cost_usd_ticks = known.cost_usd_ticks + excluded.cost_usd_ticks,
                   updated_at = %(now)s
            """,
            {
                "id": self.world.next_id(),
                "task": task,
                "model": f"model-{model}",
                "used": used,
                "price": price,
                "at": self.clock - timedelta(minutes=0 if undated else late),
                "updated": None if undated else self.clock,
                "now": self.clock,
            },
        )

    def correct(self, n: int, used: int, price: int | None) -> None:
        if usage := self.nth("task_usage", n):
            self.world.change(
                "task_usage", usage,
                cache_read_tokens=used, cache_write_tokens=used // 3, cost_usd_ticks=price,
                updated_at=self.clock,
            )  # fmt: skip

    def start_task(self, agent: int, runtime: int | None, issue: int | None) -> None:
        if chosen := self.nth("agent", agent):
            self.world.insert(
                "agent_task_queue",
                agent_id=chosen,
                runtime_id=self.nth("agent_runtime", runtime),
                issue_id=self.nth("issue", issue),
            )

    def move_task_to_runtime(self, n: int, runtime: int | None) -> None:
        if task := self.nth("agent_task_queue", n):
            self.world.change(
                "agent_task_queue", task, runtime_id=self.nth("agent_runtime", runtime)
            )

    def move_task_to_issue(self, n: int, issue: int | None) -> None:
        if task := self.nth("agent_task_queue", n):
            self.world.change("agent_task_queue", task, issue_id=self.nth("issue", issue))

    def move_issue_to_project(self, n: int, project: int | None) -> None:
        if issue := self.nth("issue", n):
            projects = self.world.projects
            chosen = None if project is None else projects[project % len(projects)]
            self.world.change("issue", issue, project_id=chosen)

    def remove(self, table: str, n: int) -> None:
        if row := self.nth(table, n):
            self.world.delete(table, row)

    def nth(self, table: str, n: int | None) -> UUID | None:
        """Some row of the table, by its place; None for None, or where there is none."""
        if n is None:
            return None
        query = sql.SQL("SELECT id FROM {} ORDER BY id").format(sql.Identifier(table))
        ids = [row["id"] for row in self.world.connection.execute(query)]
        return ids[n % len(ids)] if ids else None


def test_after_any_history_the_buckets_are_the_sums_and_a_rerun_changes_nothing(
    owner: Connection, connect: Callable[..., Connection]
) -> None:
    machine = type("These", (Histories,), {"connection": owner, "rival": connect()})
    with pausing_trigger(owner):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=120,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
