"""Reads the facts: one bounded query each, on the dashboard's read-only connection.

A fact whose query fails becomes a `Problem` and the others stay valid, so nothing here may run
inside a transaction. `findings` decides what the facts mean.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from django.db import connections

from executions.database.problems import (
    RowsHidden,
    or_problem,
)
from executions.database.reading import Fetch, Row, fetch_for_dashboard
from executions.database.router import MULTICA_ALIAS
from executions.database.sql import load
from executions.health.facts import Drift, Facts, Ground, Queue, StateRow
from executions.health.facts.executions import ExecutionFact, Executions, moment_in, runners_of
from executions.health.ledger import usual_window
from executions.health.read_ours import read_ours
from executions.health.read_pg_cron import read_pg_cron
from executions.health.remedies import BACKFILL
from executions.rollup.drift import READ_FOR_DRIFT, read_drift
from executions.rollup.lock import read_lock
from executions.rollup.queue import read_queue
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import newest_due
from executions.scheduler.spec import JobSpec
from executions.text.problem import Problem
from executions.text.sentences import say

SQL = load("health")

# Room for the 288 plans of a day and a foreign writer's row in each minute. The same query also
# reads 2,000 leases, and no read may take more than 5,000 rows.
MOST_ROWS = 2_500
# How many older rows are searched for a success.
MOST_OLDER = 4_000
# After this time the rest is not read: a page must not wait for the sum of all time limits.
BUDGET_SECONDS = 10.0

T = TypeVar("T")


def read_facts(
    spec: JobSpec = ROLLUP,
    *,
    fetch: Fetch = fetch_for_dashboard,
    earlier: Facts | None = None,
    window: timedelta | None = None,
) -> Facts:
    """The facts of a job with a cadence, over a window of plans. Never raises for the database.

    Drift, the one costly read, is taken from ``earlier`` facts while the watermark stays the same.
    """
    reader = _FactsReader(spec, fetch, window or usual_window(spec))
    try:
        return reader.read(earlier)
    finally:
        reader.leave()


def nothing_known(spec: JobSpec, why: Problem) -> Facts:
    """The facts if the database does not even tell its clock."""
    return Facts(
        spec=spec,
        ground=why,
        executions=why,
        state=why,
        queue=why,
        lock=why,
        pg_cron=why,
        drift=why,
        own_runners=why,
    )


class BudgetedReader:
    """One reading, whose queries share one time budget."""

    def __init__(self) -> None:
        self._until = time.monotonic() + BUDGET_SECONDS
        self._failed = False

    def _fact(self, read: Callable[[], T]) -> T | Problem:
        if time.monotonic() > self._until:
            return Problem(
                say("The database took too long, so the rest was not looked at."),
                say("Try again in a moment; if it stays so, look at what else runs there."),
            )
        fact = or_problem(read)
        self._failed |= isinstance(fact, Problem)
        return fact


class _FactsReader(BudgetedReader):
    def __init__(self, spec: JobSpec, fetch: Fetch, window: timedelta) -> None:
        super().__init__()
        self._spec = spec
        self._fetch = fetch
        self._window = window
        self._scope = {
            "job": spec.name,
            "scope_kind": spec.scopes[0].kind,
            "scope_id": spec.scopes[0].id,
        }

    def read(self, earlier: Facts | None) -> Facts:
        ground = self._fact(self._ground)
        if isinstance(ground, Problem):
            return nothing_known(self._spec, ground)
        if why := behind(ground, self._spec):
            return replace(nothing_known(self._spec, why), ground=ground)
        executions = self._fact(lambda: self._executions(ground))
        state = self._fact(lambda: self._state(ground))
        none_yet = isinstance(executions, Executions) and executions.newest is None
        facts = Facts(
            spec=self._spec,
            ground=ground,
            executions=executions,
            state=state,
            queue=self._fact(lambda: self._queue(ground)),
            lock=self._fact(lambda: read_lock(self._fetch, self._spec.cadence)),
            pg_cron=self._fact(lambda: read_pg_cron(self._fetch, ground.database, executions)),
            drift=self._drift(ground, state, earlier),
            own_runners=frozenset(),
            first_trace=self._fact(lambda: self._first_trace(ground)) if none_yet else None,
        )
        # Last, so that a lock on our own tables takes none of the time for Multica's.
        return self._with_ours(facts, ground)

    def _with_ours(self, facts: Facts, ground: Ground) -> Facts:
        seen = facts.executions.rows if isinstance(facts.executions, Executions) else ()
        ours = self._fact(lambda: read_ours(runners_of(seen), ground.now, self._window))
        if isinstance(ours, Problem):
            return replace(facts, own_runners=ours, changes=ours, unwatched=ours)
        return replace(
            facts, own_runners=ours.runners, changes=ours.changes, unwatched=ours.unwatched
        )

    def leave(self) -> None:
        """Close a broken connection, so that the next reading opens another."""
        if self._failed and not connections[MULTICA_ALIAS].in_atomic_block:
            connections[MULTICA_ALIAS].close_if_unusable_or_obsolete()

    def _ground(self) -> Ground:
        (row,) = self._fetch(SQL.ground, {})
        return Ground(**row)

    def _executions(self, ground: Ground) -> Executions:
        """A Multica too old to have the table has no executions, which is known and no failed read.

        A database with neither that table nor usage is not Multica's, and the read must fail.
        """
        refuse_hidden(ground, "sys_cron_executions")
        since = newest_due(self._spec, ground.now) - self._window
        if not ground.has_executions and ground.has_usage:
            return Executions(rows=(), since=since)
        found = self._fetch(
            SQL.executions_of_scope, {**self._scope, "since": since, "most": MOST_ROWS}
        )
        first_plan = next((row["first_plan"] for row in found), None)
        rows, lapsed = _recent_and_abandoned(found)
        # On a standby the server's own clock is ahead of what can be seen there.
        stale = tuple(row for row in lapsed if row.is_stale(ground.now))
        cut_short = len(rows) == MOST_ROWS
        if cut_short:
            since = rows[-1].plan_time
        older: list[ExecutionFact] = []
        if not any(row.succeeded for row in rows):
            before = self._fetch(
                SQL.newest_before, {**self._scope, "since": since, "most": MOST_OLDER}
            )
            older = [execution_of(row) for row in before]
        if older and not found:
            first_plan = self._fetch(SQL.first_plan, self._scope)[0]["first_plan"]
        return Executions(
            rows=rows,
            since=since,
            first_plan=first_plan,
            earlier=older[0] if older and not rows else None,
            earlier_success=next((row for row in older if row.succeeded), None),
            stale=stale,
            cut_short=cut_short,
        )

    def _state(self, ground: Ground) -> StateRow | Problem | None:
        """The watermark can be null only if Multica's own NOT NULL is gone."""
        refuse_hidden(ground, "task_usage_hourly_rollup_state")
        if not ground.has_state and not ground.has_executions and ground.has_usage:
            return None
        return read_state(self._fetch)

    def _queue(self, ground: Ground) -> Queue:
        refuse_hidden(ground, "task_usage_hourly_dirty")
        return read_queue(self._fetch)

    def _drift(
        self, ground: Ground, state: StateRow | Problem | None, earlier: Facts | None
    ) -> Drift | Problem | None:
        if state is None or isinstance(state, Problem):
            return None
        known = earlier.drift if earlier else None
        if isinstance(known, Drift) and known.watermark == state.watermark_at:
            return known

        def compared() -> Drift:
            refuse_hidden(ground, *READ_FOR_DRIFT)
            return read_drift(self._fetch, state.watermark_at)

        return self._fact(compared)

    def _first_trace(self, ground: Ground) -> datetime | None:
        refuse_hidden(ground, "task_usage")
        traces = self._fetch(SQL.first_usage, {})
        if traces[0]["has_migrations"]:
            traces += self._fetch(SQL.first_migration, {})
        return min((row["trace"] for row in traces if row["trace"] is not None), default=None)


def behind(ground: Ground, spec: JobSpec) -> Problem | None:
    """Why a standby cannot tell what is true now; None if it can.

    Each plan commits something. So without a commit for two cadences either the standby lags or the
    primary does nothing. A standby cannot tell which, so neither is concluded.
    """
    if not ground.is_standby:
        return None
    if ground.replay_lag is not None and ground.replay_lag <= 2 * spec.cadence:
        return None
    reached = (
        say("it has replayed nothing yet")
        if ground.replay_lag is None
        else say(
            "the last commit that it replayed is of %(at)s UTC",
            at=f"{ground.now.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
        )
    )
    return Problem(
        say(
            "This is a standby, and %(reached)s: it lags, or nothing was committed on the primary"
            " since. So it cannot tell how usage stands.",
            reached=reached,
        ),
        say("Point DATABASE_URL at the primary, or look why the standby does not follow it."),
    )


def read_state(fetch: Fetch) -> StateRow | Problem | None:
    """The state row, None if it is missing, a problem if it has no watermark.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    rows = fetch(SQL.state, {})
    if rows and rows[0]["watermark_at"] is None:
        return Problem(
            say("The rollup's state row has no watermark, so nobody knows how far usage is."),
            say("Run “%(command)s”, which sets the watermark.", command=BACKFILL),
        )
    return StateRow(**rows[0]) if rows else None


def refuse_hidden(ground: Ground, *tables: str) -> None:
    """Refuse to take the rows that row security leaves for the whole table.

    Raises:
        RowsHidden: row security hides rows of one of these tables.
    """
    if hidden := [table for table in tables if table in ground.hidden]:
        raise RowsHidden(hidden, ground.role)


def _recent_and_abandoned(
    found: list[Row],
) -> tuple[tuple[ExecutionFact, ...], tuple[ExecutionFact, ...]]:
    parts: dict[bool, list[ExecutionFact]] = {False: [], True: []}
    for row in found:
        del row["first_plan"]
        parts[row.pop("is_abandoned")].append(execution_of(row))
    return tuple(parts[False]), tuple(parts[True])


def execution_of(row: Row) -> ExecutionFact:
    """An execution from a row of a query of `health.sql`. It takes the row over."""
    for name in ("watermark_before", "watermark_after"):
        if row[name] is not None:
            row[name] = moment_in(row[name])
    execution = ExecutionFact.__new__(ExecutionFact)
    # Like __init__, which takes several times as long for a frozen class; a week has 2,000 rows.
    object.__setattr__(execution, "__dict__", row)
    return execution
