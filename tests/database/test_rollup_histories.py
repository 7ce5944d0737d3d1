"""After any history of changes the rollup equals the sum of the raw rows."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from psycopg import sql
from psycopg.errors import ForeignKeyViolation
from psycopg.pq import TransactionStatus

from executions.database.connections import Connection
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
    queued_keys,
    stored_buckets,
    wait_until_done_or_blocked,
    window,
)
from tests.emptying import empty_multica
from tests.sizes import sized
from tests.waiting import HANG

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
    max_examples=sized(25, 400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
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
# Those of them that decide the bucket of the same few rows, so that two of them often collide.
few = st.integers(0, 1)
collisions = st.one_of(
    st.tuples(
        st.just("use"),
        st.tuples(few, which, st.just(0), st.just(False), tokens, prices),
    ),
    st.tuples(st.just("move_task_to_runtime"), st.tuples(few, st.none() | few)),
    st.tuples(st.just("move_task_to_issue"), st.tuples(few, st.none() | few)),
    st.tuples(st.just("move_issue_to_project"), st.tuples(few, st.none() | few)),
    st.tuples(st.just("remove"), st.tuples(st.just("task_usage"), few)),
)
Step = tuple[str, tuple[Any, ...]]


class Histories(RuleBasedStateMachine):
    """A history on a clock of its own, rolled up from watermark to watermark.

    `connection` makes the history and runs the rollup. `rival` commits in the middle of a run.
    `neighbour` has a transaction open beside both for any time.
    """

    connection: Connection
    rival: Connection
    neighbour: Connection
    observer: Connection
    # What rolls up: the installed function, or what stands in for it.
    window: Callable[[Connection, datetime, datetime], int] = staticmethod(window)

    # Since when on the history's clock the neighbour has reported what nobody sees yet.
    unseen_since: datetime | None = None

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
        """One change."""
        self.let(self.take, step)

    def let(self, change: Callable[..., object], *arguments: object) -> None:
        """Make a change. Where it has to wait for the neighbour, that commits first."""
        with ThreadPoolExecutor(1) as pool:
            made = pool.submit(change, *arguments)
            if not wait_until_done_or_blocked(made, self.observer, self.world.connection):
                self.end_beside(commits=True)
            made.result(timeout=HANG)

    def take(self, step: Step) -> None:
        """Make the change, unless the neighbour has removed what it needs."""
        name, arguments = step
        with suppress(ForeignKeyViolation), self.world.connection.transaction():
            getattr(self, name)(*arguments)

    @rule(step=changes)
    def happen_beside(self, step: Step) -> None:
        """One change of the neighbour's, in a transaction that stays open."""
        if not self.beside:
            self.neighbour.execute("BEGIN")
        if step[0] in ("use", "correct"):
            self.unseen_since = self.unseen_since or self.clock
        self.world.connection = self.neighbour
        self.take(step)
        self.world.connection = self.connection

    @rule(commits=st.booleans())
    def end_beside(self, commits: bool) -> None:
        if self.beside:
            self.neighbour.execute("COMMIT" if commits else "ROLLBACK")
        self.unseen_since = None

    @rule(first=collisions, second=collisions, between=st.booleans())
    def happen_at_once(self, first: Step, second: Step, between: bool) -> None:
        """Two changes that overlap, with or without a run while the first is still open."""
        self.happen_beside(first)
        self.happen(second)
        if between:
            self.wait(1)
            self.roll_up("UTC")
        self.end_beside(commits=True)
        self.roll_up("UTC")

    @property
    def beside(self) -> bool:
        """Whether the neighbour has a transaction open."""
        return self.neighbour.info.transaction_status is TransactionStatus.INTRANS

    @property
    def passed(self) -> datetime:
        """Where a run that begins now may leave the watermark: not past what it cannot see."""
        return self.unseen_since or self.clock

    @rule(zone=zones)
    def roll_up(self, zone: str) -> None:
        self.connection.execute("SELECT set_config('TimeZone', %s, false)", [zone])
        self.window(self.connection, self.watermark, END)
        assert stored_buckets(self.connection) == expected_buckets(self.connection)
        # Beside an open change, a run keeps what it rolled up in the queue, each time anew.
        queue = [] if self.beside else ["task_usage_hourly_dirty"]
        before = contents(self.connection, "task_usage_hourly", *queue)
        assert self.window(self.connection, self.watermark, END) == 0
        assert before == contents(self.connection, "task_usage_hourly", *queue)
        self.watermark = self.passed

    @rule(step=changes, pause=st.sampled_from(sorted(PAUSES)))
    def roll_up_while_something_happens(self, step: Step, pause: str) -> None:
        # The others lock a whole table, for which they would wait for the neighbour.
        pause = "while summing" if self.beside else pause
        passed = self.passed
        with paused_run(self.connection, self.rival, pause, self.watermark, END, self.window):
            self.world.connection = self.rival
            self.happen(step)
            self.world.connection = self.connection
        self.watermark = passed

    def teardown(self) -> None:
        self.end_beside(commits=True)
        self.roll_up("UTC")
        assert queued_keys(self.connection) == set()

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
        """A row of the table by its place; None for None, or if no such row exists."""
        if n is None:
            return None
        query = sql.SQL("SELECT id FROM {} ORDER BY id").format(sql.Identifier(table))
        ids = [row["id"] for row in self.world.connection.execute(query)]
        return ids[n % len(ids)] if ids else None


def test_after_any_history_the_buckets_are_the_sums_and_a_rerun_changes_nothing(
    owner: Connection, connect: Callable[..., Connection]
) -> None:
    run_histories(Histories, owner, connect)


def run_histories(
    kind: type[Histories], owner: Connection, connect: Callable[..., Connection], usual: int = 20
) -> None:
    """Run a machine of that kind; ``usual`` is how many histories `bin/test` makes."""
    others = {name: connect() for name in ("rival", "neighbour", "observer")}
    machine = type("These", (kind,), {"connection": owner, **others})
    with pausing_trigger(owner):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=sized(usual, 1200),
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
