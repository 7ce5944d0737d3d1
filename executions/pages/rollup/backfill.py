"""The page Backfill: what a run would do, how one that is at work gets on, and the command.

It follows a backfill of anybody's by the session that holds lock 4246 or writes buckets, which the
snapshot of the overview knows. What a run would look at is read when the page is opened and not at
its refreshes. It starts nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from executions.accounts.requests import LiveRequest
from executions.database.problems import or_problem
from executions.database.reading import Fetch, fetch_for_dashboard
from executions.health import snapshots
from executions.health.facts import Ground
from executions.health.facts.sessions import DatabaseSession, Lock, SessionWork
from executions.health.read import behind, refuse_hidden
from executions.health.remedies import BACKFILL, BACKFILL_LOOK, wherever
from executions.pages.from_snapshot import FromSnapshot
from executions.pages.history.filters import Filters
from executions.rollup.lock import BACKFILL_NAME
from executions.rollup.outlook import Outlook, read_outlook
from executions.rollup.proven import WindowSource
from executions.rollup.summing import read_source
from executions.scheduler.jobs import ROLLUP
from executions.text.digest import digest
from executions.text.problem import Problem

COUNT = "count"
CHOICES = {COUNT: ("yes",)}
_BACKFILLS = (SessionWork.OUR_BACKFILL, SessionWork.BACKFILL)
# What `executions.rollup.backfill.walk` calls its session.
_ANNOUNCED = re.compile(re.escape(BACKFILL_NAME) + r" (\d+)/(\d+) (\d{4}-\d{2})")


@dataclass(frozen=True)
class Running:
    """A session that is probably a backfill. Only ours tells ``month``, ``number`` and ``of``."""

    session: DatabaseSession
    month: str = ""
    number: int = 0
    of: int = 0

    @property
    def is_ours(self) -> bool:
        return self.session.work is SessionWork.OUR_BACKFILL


def running(lock: Lock) -> list[Running]:
    """PURE: the backfills among the sessions that hold the lock, wait for it or write buckets."""
    sessions = {
        one.pid: one
        for one in (*lock.waiters, *lock.writers, *lock.holders)
        if one.work in _BACKFILLS
    }
    return [_running(one) for one in sessions.values()]


def _running(session: DatabaseSession) -> Running:
    found = _ANNOUNCED.fullmatch(session.application_name or "")
    if not found:
        return Running(session)
    return Running(session, found[3], int(found[1]), int(found[2]))


@dataclass(frozen=True)
class Backfill(FromSnapshot):
    """The live part: the backfills that are at work, as the snapshot knows them."""

    @property
    def lock(self) -> Lock | Problem:
        return self.snapshot.facts.lock

    @cached_property
    def running(self) -> list[Running]:
        return [] if isinstance(self.lock, Problem) else running(self.lock)

    @property
    def version(self) -> str:
        return digest(self.lock, self.now is None)


def read_backfill(_filters: Filters) -> Backfill:
    """The backfills that are at work now."""
    return Backfill(snapshots.current())


@dataclass(frozen=True)
class Prospect:
    """The usage that a run would look at, and how the run would sum it."""

    outlook: Outlook | Problem
    source: WindowSource | Problem


def prospect(_request: LiveRequest, filters: Filters, shown: Backfill) -> Mapping[str, object]:
    """What the page shows around its live part; read only when the page is opened."""
    if _request.htmx:
        return {}
    count = filters.choice(COUNT, "") == "yes"
    return {
        "prospect": read_prospect(shown.snapshot, count=count),
        "counted": count,
        "look": wherever(BACKFILL_LOOK),
        "commands": wherever(BACKFILL),
    }


def read_prospect(
    snapshot: snapshots.Snapshot, fetch: Fetch = fetch_for_dashboard, *, count: bool = False
) -> Prospect:
    """What cannot be read is a problem in its place."""
    ground = snapshot.facts.ground
    if isinstance(ground, Problem):
        return Prospect(ground, ground)
    if why := behind(ground, ROLLUP):
        return Prospect(why, why)
    return Prospect(
        or_problem(lambda: _outlook(ground, fetch, count=count)),
        or_problem(lambda: read_source(fetch)),
    )


def _outlook(ground: Ground, fetch: Fetch, *, count: bool) -> Outlook:
    refuse_hidden(ground, "task_usage")
    return read_outlook(fetch, count=count)
