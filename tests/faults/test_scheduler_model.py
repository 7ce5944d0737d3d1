"""Any history of runners that tick, crash, stall, lose the database and recover keeps the rules.

Hypothesis makes up the histories. Every step is a step of real runners on real connections. Time
passes by moving what is stored into the past, which is the same to the database's clock, so a
history of hours takes milliseconds. `bin/audit histories` plays thousands. A failure prints its
steps and a seed; as MODEL_SEED it plays them again.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from queue import Empty, Queue

import psycopg
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from executions.database.connections import Connection
from executions.rollup.watermark import read_watermark
from executions.scheduler import finishing, leases
from executions.scheduler import run as run_module
from executions.scheduler import runner as runner_module
from executions.scheduler.jobs import roll_up_task_usage
from executions.scheduler.leases import Lease, Plan
from executions.scheduler.plans import floor
from executions.scheduler.reports import TickReport
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import Context, HandlerError, JobSpec, Returned
from tests.emptying import empty_multica
from tests.faults.history import broken_rules, kept
from tests.scheduling import Reach, age, executions, usage
from tests.short_jobs import job, seconds
from tests.sizes import sized
from tests.waiting import HANG

SEED = int(os.environ.get("MODEL_SEED") or secrets.randbits(32))
HISTORIES = sized(30, 3000)
RUNNERS = 3
PLANS = 3
HOUR = timedelta(hours=1)

which = st.integers(0, RUNNERS - 1)


class NamedReach(Reach):
    """Names every connection after its runner, so that the history knows who wrote."""

    def __init__(self, conninfo: dict[str, str], name: str) -> None:
        super().__init__(conninfo)
        self._name = name

    def __call__(self, _application_name: str) -> Connection:
        return super().__call__(self._name)


class Replica:
    """A runner whose handler waits until the history says how it ends."""

    def __init__(self, name: str, spec: JobSpec, conninfo: dict[str, str]) -> None:
        self.reach = NamedReach(conninfo, name)
        self.spec = replace(spec, handler=self._handle)
        self.runner = JobRunner([self.spec], self.reach, runner_id=name)
        self.begun: Queue[Context | None] = Queue()
        self.endings: Queue[str] = Queue()
        self.context: Context | None = None
        self.lease: Lease | None = None
        self.ticking: Future[list[TickReport]] | None = None
        # The handler has ended, and its finish waits until the database is back.
        self.waiting = False

    def _handle(self, context: Context) -> Returned:
        self.begun.put(context)
        while not context.cancelled.is_set():
            with suppress(Empty):
                return self._end(self.endings.get(timeout=0.005), context)
        raise HandlerError("cancelled")

    def _end(self, how: str, context: Context) -> Returned:
        if how == "fail":
            raise HandlerError("no luck")
        if how == "crash":
            raise ZeroDivisionError
        return roll_up_task_usage(context)

    @property
    def in_hand(self) -> bool:
        """Whether a handler of this runner is under way."""
        return self.context is not None

    def tick(self, pool: ThreadPoolExecutor, look: Connection) -> None:
        """Begin a tick and come back once it is over or its handler has begun."""
        self.ticking = pool.submit(self.runner.tick)
        self.ticking.add_done_callback(lambda _done: self.begun.put(None))
        self._await(look)

    def end(self, how: str, look: Connection) -> None:
        """Let the handler end so, and the tick go on to its next handler or its own end.

        Without a database the end waits to be written.
        """
        self.endings.put(how)
        if self.reach.away.is_set():
            self.waiting = True
        else:
            self._await(look)

    def come_back(self, look: Connection) -> None:
        self.reach.away.clear()
        if self.waiting:
            self.waiting = False
            self._await(look)

    def _await(self, look: Connection) -> None:
        self.context = self.begun.get(timeout=HANG)
        self.lease = None
        if self.context is not None:
            self.lease = self._current_lease(look, self.context)
            return
        assert self.ticking is not None
        error = self.ticking.exception(HANG)
        # A database that is away ends a tick so; anything else is a mistake.
        if error is not None and not isinstance(error, psycopg.OperationalError):
            raise error
        self.ticking = None

    def _current_lease(self, look: Connection, context: Context) -> Lease:
        plan = Plan(self.spec, context.scope, context.plan_time)
        row = look.execute(
            "SELECT id, lease_token FROM sys_cron_executions WHERE job_name = %s"
            " AND plan_time = %s AND runner_id = %s AND attempt = %s",
            [self.spec.name, plan.plan_time, self.runner.runner_id, context.attempt],
        ).fetchone()
        assert row is not None
        return Lease(
            plan, self.runner.runner_id, row["id"], row["lease_token"], context.attempt, 0.0
        )

    def crash(self) -> None:
        """Nothing that this process does from now on reaches the database."""
        self.reach.lose()
        self.runner.cancel()
        if self.ticking is not None:
            with suppress(psycopg.Error):
                self.ticking.result(HANG)
        self.reach.close()


class Histories(RuleBasedStateMachine):
    """Three replicas, one job with three plans, short attempts and no patience."""

    look: Connection
    conninfo: dict[str, str]

    def __init__(self) -> None:
        super().__init__()
        empty_multica(self.look)
        usage(self.look, hours=2)
        row = self.look.execute(
            "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '5 days'"
            " RETURNING now() AS now, watermark_at"
        ).fetchone()
        assert row is not None
        self.watermark = row["watermark_at"]
        first = floor(row["now"], HOUR)
        times = [first - number * HOUR for number in reversed(range(PLANS))]
        self.spec = job(
            planner=lambda _spec, _standing: times,
            retry_backoff=(seconds(60),),
            run_timeout=seconds(100),
            stale_timeout=seconds(120),
            heartbeat_interval=seconds(30),
        )
        self.pool = ThreadPoolExecutor(64)
        self.made = 0
        self.replicas = [self._replica() for _ in range(RUNNERS)]
        self.checked = self._last_change()

    def _replica(self) -> Replica:
        self.made += 1
        return Replica(f"runner-{self.made}", self.spec, self.conninfo)

    def _last_change(self) -> int:
        row = self.look.execute("SELECT max(number) AS number FROM history").fetchone()
        assert row is not None
        return row["number"] or 0

    # --- What may happen ------------------------------------------------------------------------

    @rule(number=which)
    def tick(self, number: int) -> None:
        replica = self.replicas[number]
        if not replica.in_hand:
            replica.tick(self.pool, self.look)

    @precondition(lambda self: any(replica.in_hand for replica in self.replicas))
    @rule(number=which, how=st.sampled_from(["succeed", "succeed", "fail", "crash"]))
    def handler_ends(self, number: int, how: str) -> None:
        replica = self.replicas[number]
        if replica.in_hand and not replica.waiting:
            replica.end(how, self.look)

    @rule(number=which)
    def crash(self, number: int) -> None:
        self.replicas[number].crash()
        self.replicas[number] = self._replica()

    @rule(number=which)
    def lose_the_database(self, number: int) -> None:
        self.replicas[number].reach.lose()

    @rule(number=which)
    def come_back(self, number: int) -> None:
        self.replicas[number].come_back(self.look)

    @rule(
        by=st.sampled_from([seconds(20), seconds(61), seconds(121)]),
        stalled=st.sets(which),
    )
    def time_passes(self, by: timedelta, stalled: set[int]) -> None:
        """Runners that neither stall nor are cut off send the heartbeats of that time."""
        before = self._running()
        self._move_time(by)
        for number, replica in enumerate(self.replicas):
            if number in stalled or replica.lease is None or replica.reach.away.is_set():
                continue
            # Only who had lost the lease before may find it lost now.
            owned = heartbeat_of(replica)
            assert owned or before.get(replica.lease.id) != replica.lease.token

    @precondition(lambda self: any(replica.in_hand for replica in self.replicas))
    @rule(
        number=which,
        thief=which,
        how=st.sampled_from(["succeed", "fail"]),
        beats=st.booleans(),
        retried=st.booleans(),
    )
    def a_stalled_runner_is_robbed_and_wakes_up(
        self, number: int, thief: int, how: str, beats: bool, retried: bool
    ) -> None:
        """Stopped past its lease with a handler under way: what it then writes must not land."""
        stalled = self.replicas[number]
        if not stalled.in_hand or number == thief:
            return
        self.time_passes(self.spec.stale_timeout + seconds(1), {number})
        if retried:
            self.tick(thief)
        else:
            self.another_replica_sweeps()
        if beats and stalled.lease is not None:
            heartbeat_of(stalled)
        self.handler_ends(number, how)

    @rule()
    def another_replica_sweeps(self) -> None:
        leases.sweep(self.look, self.spec)

    def _running(self) -> dict:
        return {
            row["id"]: row["lease_token"]
            for row in executions(self.look)
            if row["status"] == "RUNNING"
        }

    def _move_time(self, by: timedelta) -> None:
        """Not part of the history: the trigger must not see it."""
        with self.look.transaction():
            self.look.execute("ALTER TABLE sys_cron_executions DISABLE TRIGGER write_history")
            age(self.look, by)
            self.look.execute("ALTER TABLE sys_cron_executions ENABLE TRIGGER write_history")

    # --- What always holds ----------------------------------------------------------------------

    @invariant()
    def no_change_broke_a_rule(self) -> None:
        assert broken_rules(self.look, self.checked) == []
        self.checked = self._last_change()

    @invariant()
    def at_most_one_live_lease_for_each_plan(self) -> None:
        rows = executions(self.look)
        plans = [(row["job_name"], row["scope_id"], row["plan_time"]) for row in rows]
        assert len(plans) == len(set(plans)) <= PLANS
        tokens = {row["lease_token"] for row in rows if row["status"] == "RUNNING"}
        holders = [
            replica.lease.token
            for replica in self.replicas
            if replica.lease is not None and replica.lease.token in tokens
        ]
        assert len(holders) == len(set(holders))

    @invariant()
    def attempts_stay_within_their_limit(self) -> None:
        assert all(1 <= row["attempt"] <= row["max_attempts"] for row in executions(self.look))

    @invariant()
    def the_watermark_never_goes_back(self) -> None:
        watermark = read_watermark(self.look)
        assert watermark is not None
        assert watermark >= self.watermark
        self.watermark = watermark

    def teardown(self) -> None:
        """Whatever was left: a runner that comes along brings every plan to its end."""
        for replica in self.replicas:
            replica.crash()
        self.pool.shutdown(wait=True)
        last = Reach(self.conninfo)
        finishing = replace(self.spec, handler=roll_up_task_usage)
        with JobRunner([finishing], last, runner_id="last") as runner:
            for _ in range(self.spec.max_attempts + 1):
                self._move_time(seconds(121))
                runner.tick()
        last.close()
        self.no_change_broke_a_rule()
        for row in executions(self.look):
            exhausted = row["status"] == "FAILED" and row["attempt"] == row["max_attempts"]
            assert row["status"] == "SUCCESS" or exhausted
        row = self.look.execute("SELECT pg_try_advisory_xact_lock(4246) AS free").fetchone()
        assert row is not None
        assert row["free"]


def heartbeat_of(replica: Replica) -> bool:
    """A heartbeat as the replica's own thread would send it; False when it found no lease."""
    assert replica.lease is not None
    try:
        connection = replica.reach("heartbeat")
    except psycopg.OperationalError:
        return False
    with connection:
        return leases.heartbeat(connection, replica.lease)


@contextmanager
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.005)
        patch.setattr(runner_module, "GIVE_UP_SECONDS", 0.02)
        patch.setattr(run_module, "UNWIND_SECONDS", HANG)
        yield


def test_any_history_keeps_the_rules(
    owner: Connection, reach: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    Histories.look, Histories.conninfo = owner, reach.conninfo
    of_this_size = settings(
        max_examples=HISTORIES,
        stateful_step_count=20,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with impatient(monkeypatch), kept(owner):
        try:
            run_state_machine_as_test(seed(SEED)(Histories), settings=of_this_size)
        except BaseException as error:
            error.add_note(f"MODEL_SEED={SEED} plays this history again.")
            raise
    assert threading.active_count() < 50, "threads were left behind"
