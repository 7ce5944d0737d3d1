"""What the scheduler adds to the work that it schedules.

A claim-to-finish cycle of the real rollup is compared with the bare statements that it sends, on
connections of the same kind, in turns, so that load on the machine affects both alike. All of those
connections are open already. A runner opens one for each handler, which costs several times as much
as all the statements, would hide what is measured, and has a row of its own. An idle tick's
statements are counted. Fifty runners contend for one grid of plans.

It does not test leases: tests/faults does.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from benchmarks.rollup_cost import Row
from executions.database.connections import Connection, connect
from executions.rollup.provision import provision
from executions.scheduler import leases
from executions.scheduler.jobs import ROLLUP, roll_up_task_usage
from executions.scheduler.leases import SQL, Plan, Success, uuid7
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import CatchUp, Context, JobSpec, Returned, Scope

ROUNDS = 60
PLANS_PER_ROUND = 10
CYCLE_BOUND = 1.5
IDLE_BOUND = 4

RUNNERS = 50
CONTEST_SECONDS = 10.0
CONTEST_CADENCE = timedelta(milliseconds=100)

Opener = Callable[[str], Connection]


class CountingCursor(psycopg.Cursor[DictRow]):
    """Counts the statements that are sent."""

    sent = 0

    def execute(self, *arguments: Any, **options: Any) -> Any:
        CountingCursor.sent += 1
        return super().execute(*arguments, **options)


class KeptOpen(psycopg.Connection[DictRow]):
    """A connection that stays open when its user closes it."""

    def close(self) -> None:
        pass

    def really_close(self) -> None:
        super().close()


class Lender:
    """Opens one connection for each name, and lends it again whenever that name is asked for."""

    def __init__(self, conninfo: str) -> None:
        self._conninfo = conninfo
        self._lent: dict[str, KeptOpen] = {}

    def __call__(self, application_name: str) -> Connection:
        if application_name not in self._lent:
            self._lent[application_name] = KeptOpen.connect(
                self._conninfo,
                application_name=application_name,
                options="-c timezone=UTC",
                autocommit=True,
                row_factory=dict_row,
            )
        return self._lent[application_name]

    def close(self) -> None:
        for connection in self._lent.values():
            connection.really_close()


def opener(conninfo: str) -> Opener:
    parameters = {name: str(value) for name, value in conninfo_to_dict(conninfo).items()}
    return lambda application_name: connect(parameters, application_name=application_name)


def fresh_plans() -> Iterator[datetime]:
    """Plan times that nobody has used, for ever."""
    moment = datetime(2000, 1, 1, tzinfo=UTC)
    while True:
        moment += timedelta(minutes=5)
        yield moment


def cycle_with_runner(lend: Opener, plans: Iterator[datetime]) -> float:
    """Milliseconds for one plan of a runner's tick, from claim to finish."""
    times = [next(plans) for _ in range(PLANS_PER_ROUND)]
    spec = JobSpec(
        name=ROLLUP.name, handler=roll_up_task_usage, planner=lambda _spec, _standing: times
    )
    with JobRunner([spec], lend, runner_id="bench") as runner:
        began = time.perf_counter()
        reports = runner.tick()
        elapsed = time.perf_counter() - began
    if [report.status for report in reports] != ["SUCCESS"] * PLANS_PER_ROUND:
        raise RuntimeError(f"A cycle did not succeed: {reports}")
    return elapsed * 1000 / PLANS_PER_ROUND


def cycle_bare(lend: Opener, plans: Iterator[datetime]) -> float:
    """Milliseconds for the same statements for one plan, in a plain loop."""
    connection, own = lend("bench bare"), lend("bench handler")
    began = time.perf_counter()
    leases.sweep(connection, ROLLUP)
    (standing,) = leases.read_standings(connection, ROLLUP, [Scope()])
    for _ in range(PLANS_PER_ROUND):
        plan = Plan(ROLLUP, Scope(), next(plans))
        new_id = uuid7(standing.now)
        lease = leases.claim(connection, plan, runner_id="bare", new_id=new_id).lease
        assert lease is not None
        own.execute(SQL.bound_run, {"milliseconds": 1_500_000})
        context = Context(own, ROLLUP, Scope(), plan.plan_time, 1, threading.Event())
        rows, _result = roll_up_task_usage(context)
        leases.finish(connection, lease, Success(rows, "{}"), 1)
    return (time.perf_counter() - began) * 1000 / PLANS_PER_ROUND


def opening(reach: Opener) -> float:
    """Milliseconds for opening and closing a connection, as for each handler."""
    began = time.perf_counter()
    for _ in range(PLANS_PER_ROUND):
        reach("bench opening").close()
    return (time.perf_counter() - began) * 1000 / PLANS_PER_ROUND


def cycles(conninfo: str) -> list[Row]:
    plans = fresh_plans()
    figures: dict[str, list[float]] = {"runner": [], "bare": []}
    with closing(Lender(conninfo)) as lend:
        for _ in range(ROUNDS):
            figures["runner"].append(cycle_with_runner(lend, plans))
            figures["bare"].append(cycle_bare(lend, plans))
    # The best of each, because other load can only add.
    runner, bare = min(figures["runner"]), min(figures["bare"])
    # Measured last, because ending backends still work during the next figure.
    opened = min(opening(opener(conninfo)) for _ in range(ROUNDS))
    return [
        Row("claim to finish, by a runner", runner, "ms", ratio=runner / bare, bound=CYCLE_BOUND),
        Row("the same statements, sent bare", bare, "ms"),
        Row("opening a handler's connection, not in these", opened, "ms"),
    ]


def idle_tick(reach: Opener, scopes: int) -> Row:
    """Statements of a tick whose plans another runner has finished."""

    def counted(application_name: str) -> Connection:
        connection = reach(application_name)
        connection.cursor_factory = CountingCursor
        return connection

    # A bucket of a century does not end between the ticks.
    spec = JobSpec(
        name=f"idle with {scopes}",
        handler=lambda _context: (0, {}),
        cadence=timedelta(days=36_525),
        scopes=tuple(Scope("bench", str(number)) for number in range(scopes)),
    )
    with JobRunner([spec], reach, runner_id="first") as first:
        first.tick()
    with JobRunner([spec], counted, runner_id="second") as second:
        second.tick()
        before = CountingCursor.sent
        second.tick()
        sent = CountingCursor.sent - before
    what = "scope" if scopes == 1 else "scopes"
    name = f"statements of an idle tick, per job of {scopes} {what}"
    return Row(name, sent, "statements", sent, IDLE_BOUND)


def contest(reach: Opener) -> list[Row]:
    """Fifty runners, one job, ten plans a second: what is deadlocked, lost or run twice."""
    ran: Counter[datetime] = Counter()
    counting = threading.Lock()

    def count(context: Context) -> Returned:
        context.connection.execute("SELECT pg_sleep(0.01)")
        with counting:
            ran[context.plan_time] += 1
        return 1, {}

    spec = JobSpec(
        name=f"contest {uuid4()}",
        handler=count,
        cadence=CONTEST_CADENCE,
        schedule_delay=timedelta(),
        catch_up=CatchUp.EVERY_PLAN,
        max_plans_per_tick=100,
    )
    together = threading.Barrier(RUNNERS)
    ticks, errors = [], []

    def contend(number: int) -> None:
        with JobRunner([spec], reach, runner_id=f"runner {number}") as runner:
            together.wait()
            until = time.monotonic() + CONTEST_SECONDS
            while time.monotonic() < until:
                try:
                    runner.tick()
                    ticks.append(number)
                except psycopg.Error as error:
                    errors.append(error)

    threads = [threading.Thread(target=contend, args=[number]) for number in range(RUNNERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    harmed = len(errors) + harmed_plans(reach, spec, ran)
    return [
        Row(f"{RUNNERS} runners: plans run", len(ran), "plans"),
        Row(f"{RUNNERS} runners: ticks", len(ticks) / CONTEST_SECONDS, "a second"),
        Row(f"{RUNNERS} runners: deadlocked, lost or run twice", harmed, "plans", harmed, 0),
    ]


def harmed_plans(reach: Opener, spec: JobSpec, ran: Counter[datetime]) -> int:
    with closing(reach("bench look")) as connection:
        rows = connection.execute(
            "SELECT plan_time, status, attempt FROM sys_cron_executions WHERE job_name = %s"
            " ORDER BY plan_time",
            [spec.name],
        ).fetchall()
        row = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    first, last = rows[0]["plan_time"], rows[-1]["plan_time"]
    lost = int((last - first) / spec.cadence) + 1 - len(rows)
    untidy = sum((row["status"], row["attempt"]) != ("SUCCESS", 1) for row in rows)
    twice = sum(times != 1 for times in ran.values()) + abs(len(ran) - len(rows))
    deadlocks: int = row["deadlocks"] if row else 0
    return lost + untidy + twice + deadlocks


def run(conninfo: str) -> list[Row]:
    """Measure, and return the lines of the table; takes about half a minute."""
    reach = opener(conninfo)
    with closing(reach("bench provision")) as connection:
        provision(connection)
    idle = [idle_tick(reach, scopes) for scopes in (1, 20)]
    return [*cycles(conninfo), *idle, *contest(reach)]
