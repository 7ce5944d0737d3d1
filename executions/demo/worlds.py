"""Named worlds: a day of executions and a state row, sound or broken in one known way.

The scenarios of the demo and the tests are made of them.

A world is made in memory, changed, and then written: ``stopped(owner)`` writes it to PostgreSQL.
Plans are named by their age: 0 is the newest that could have begun, 1 the one before it. Times
count from ``now``, the database's clock unless another is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol
from uuid import NAMESPACE_OID, uuid5

from executions.database.connections import Connection
from executions.database.sql import load
from executions.demo.rows import (
    execution,
    insert_many,
    put_state,
    usage,
)
from executions.scheduler.jobs import ROLLUP, rollup_result
from executions.scheduler.plans import newest_due

Given = ParamSpec("Given")

SQL = load("demo")
CADENCE = ROLLUP.cadence
DELAY = ROLLUP.schedule_delay
# A day, and an hour of plans before it.
PLANS = 300


@dataclass
class DayOfPlans:
    """A day of plans by age, and the state row. Healthy until it is changed.

    ``marks`` are the watermarks (before, after) of plans. Plans without marks continue from one
    success to the next. ``state`` is None if the row is missing.
    """

    connection: Connection
    now: datetime
    plans: dict[int, dict[str, Any]] = field(default_factory=dict)
    marks: dict[int, tuple[datetime | None, datetime | None]] = field(default_factory=dict)
    state: dict[str, Any] | None = None
    others: list[dict[str, Any]] = field(default_factory=list)

    def plan_time(self, age: int) -> datetime:
        return newest_due(ROLLUP, self.now) - age * CADENCE

    def started_at(self, age: int) -> datetime:
        return self.plan_time(age) + DELAY + timedelta(seconds=1)

    def change(self, ages: int | Iterable[int], **columns: Any) -> None:
        """Give plans other columns, or traits of `executions.demo.rows.TRAITS`."""
        for age in [ages] if isinstance(ages, int) else ages:
            self.plans[age] |= columns

    def drop(self, ages: Iterable[int]) -> None:
        """Nobody began these plans."""
        for age in ages:
            self.plans.pop(age, None)

    def lose_the_lock(self, *ages: int) -> None:
        """These runs found lock 4246 taken: no rows, and the watermark as it was."""
        for age in ages:
            self.plans[age] |= {"rows_affected": 0}
            self.marks[age] = (self.reached_before(age), self.reached_before(age))

    def reached_before(self, age: int) -> datetime:
        """The watermark that the preceding run reached."""
        older = min((other for other in self.plans if other > age), default=age + 1)
        before, after = self.marks.get(older, (None, None))
        return after or before or self.started_at(older) - DELAY

    def add(self, **columns: Any) -> None:
        self.others.append(execution(**columns))

    def write(self) -> DayOfPlans:
        """Replace the database's contents in one transaction."""
        rows = [self._row(age) for age in sorted(self.plans, reverse=True)]
        with self.connection.transaction():
            self.connection.execute("DELETE FROM sys_cron_executions")
            insert_many(self.connection, "sys_cron_executions", [*rows, *self.others])
            self.connection.execute("DELETE FROM task_usage_hourly_rollup_state")
            if self.state is not None:
                put_state(self.connection, **self.state)
        return self

    def _row(self, age: int) -> dict[str, Any]:
        plan_time = self.plan_time(age)
        # A plan that is written again keeps its id, so that a link to it goes on to work.
        own_id = uuid5(NAMESPACE_OID, plan_time.isoformat())
        columns = {"id": own_id, "plan_time": plan_time} | self.plans[age]
        if "result" not in columns and not {"failed", "exhausted", "running", "stale"} & set(
            columns
        ):
            known = (self.reached_before(age), self.started_at(age) - DELAY)
            columns["result"] = rollup_result(*self.marks.get(age, known))
        row: dict[str, Any] = execution(**columns)
        return row


def database_now(connection: Connection) -> datetime:
    (row,) = connection.execute(SQL.now)
    now: datetime = row["now"]
    return now


def sound(connection: Connection, now: datetime | None = None, plans: int = PLANS) -> DayOfPlans:
    """A world in which every plan was kept, not written yet."""
    moment = now or database_now(connection)
    world = DayOfPlans(connection, moment, plans={age: {} for age in range(plans)})
    world.state = {
        "watermark_at": world.started_at(0) - DELAY,
        "last_run_started_at": world.started_at(0),
        "last_run_finished_at": world.started_at(0) + timedelta(milliseconds=120),
        "last_run_rows": 4,
    }
    return world


def healthy(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    return sound(connection, now).write()


def never_ran(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    """Usage of a day ago, and no execution at all."""
    world = sound(connection, now, plans=0)
    usage(connection, world.now - timedelta(days=1))
    world.state = {"watermark_at": datetime.fromisoformat("1970-01-01T00:00:00Z")}
    return world.write()


class Written(Protocol[Given]):
    """Writes a world as of now, unless another moment is given."""

    def __call__(
        self,
        connection: Connection,
        now: datetime | None = None,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> DayOfPlans: ...


def on_a_sound_day(change: Callable[Concatenate[DayOfPlans, Given], None]) -> Written[Given]:
    """The world that ``change`` makes of a sound one."""

    @wraps(change)
    def write(
        connection: Connection,
        now: datetime | None = None,
        *args: Given.args,
        **kwargs: Given.kwargs,
    ) -> DayOfPlans:
        world = sound(connection, now)
        change(world, *args, **kwargs)
        return world.write()

    return write


@on_a_sound_day
def stopped(world: DayOfPlans, plans: int = 20) -> None:
    """No run for so many plans: 20 of them are an hour and 42 minutes."""
    world.drop(range(plans))
    world.state = {"watermark_at": world.started_at(plans) - DELAY}


@on_a_sound_day
def stateless(world: DayOfPlans) -> None:
    """The state row is gone, and the last three runs noticed."""
    world.change(range(3), rows_affected=0, result=rollup_result(None, None))
    world.state = None


@on_a_sound_day
def ahead_of_time(world: DayOfPlans) -> None:
    """The watermark is two hours ahead, so the last three runs did nothing."""
    mark = world.now + timedelta(hours=2)
    world.change(range(3), rows_affected=0, result=rollup_result(mark, mark))
    world.state = {"watermark_at": mark}


@on_a_sound_day
def lagging(world: DayOfPlans, behind: timedelta = timedelta(minutes=25)) -> None:
    """Every run succeeds and moves the watermark by one cadence, ``behind`` where it should be."""
    for age in world.plans:
        after = world.started_at(age) - DELAY - behind
        world.marks[age] = (after - CADENCE, after)
    world.state = {"watermark_at": world.started_at(0) - DELAY - behind}


@on_a_sound_day
def catching_up(world: DayOfPlans) -> None:
    """Forty days behind, one day nearer with each plan."""
    for age in world.plans:
        after = world.now - timedelta(days=40 + age)
        world.marks[age] = (after - timedelta(days=1), after)
    world.state = {"watermark_at": world.now - timedelta(days=40)}


@on_a_sound_day
def losing_the_lock(world: DayOfPlans) -> None:
    """Three runs of the last hour found the lock taken; the ones between did their work."""
    world.lose_the_lock(5, 3, 1)


@on_a_sound_day
def locked_out(world: DayOfPlans, lost: int = 2) -> None:
    """The last ``lost`` runs found the lock taken. The caller arranges who holds it."""
    world.lose_the_lock(*range(lost - 1, -1, -1))


@on_a_sound_day
def abandoned_run(world: DayOfPlans) -> None:
    """The newest run stopped reporting; its lease ended 20 minutes ago."""
    world.change(
        0,
        running=True,
        heartbeat_at=world.now - timedelta(minutes=50),
        stale_after=world.now - timedelta(minutes=20),
    )


@on_a_sound_day
def gap(world: DayOfPlans, ages: Iterable[int] = (3, 4, 5)) -> None:
    """Nobody began three plans within the last hour; later ones went on."""
    world.drop(ages)


@on_a_sound_day
def abandoned_plans(world: DayOfPlans) -> None:
    """Two of the last 12 plans failed with attempts left, and newer ones took over."""
    world.change((4, 7), failed=True)


@on_a_sound_day
def exhausted(world: DayOfPlans) -> None:
    """The newest plan failed in all of its attempts, and an earlier one was abandoned."""
    world.change(0, exhausted=True)
    world.change(6, failed=True)


@on_a_sound_day
def retried_often(world: DayOfPlans) -> None:
    """Six of the last 12 plans needed a second attempt."""
    world.change(range(1, 12, 2), retried=True)


@on_a_sound_day
def other_writer(world: DayOfPlans, ages: Iterable[int] = (1, 3, 5, 7)) -> None:
    """Before some plans something else had moved the watermark already."""
    for age in ages:
        after = world.started_at(age) - DELAY
        world.marks[age] = (world.reached_before(age) + timedelta(minutes=2), after)


@on_a_sound_day
def blocked(world: DayOfPlans, held: timedelta = timedelta(minutes=6)) -> None:
    """A run took 120 ms and was held for much longer, because another job was in the way."""
    world.change(3, finished_at=world.started_at(3) + held)


@on_a_sound_day
def wrong_clock(world: DayOfPlans) -> None:
    """A run ended before it began, one is planned for tomorrow, and one lies off the grid."""
    world.change(5, finished_at=world.started_at(5) - timedelta(minutes=1))
    world.add(plan_time=world.plan_time(0) + timedelta(days=1))
    world.add(plan_time=world.plan_time(9) + timedelta(minutes=2))
