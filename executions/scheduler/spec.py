"""PURE: a job's settings, the rules for them, and what its handler gets.

It runs nothing. `plans.py` has the plan arithmetic, `jobs.py` the registered jobs. Rules and
figures: docs/contract.md section 3.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from executions.database.connections import Connection

# A century before or after now is within Python's calendar and PostgreSQL's.
LONGEST = timedelta(days=36_525)
# PostgreSQL stores a timeout as milliseconds in 31 bits: 24.8 days.
LONGEST_RUN = timedelta(days=24)
# The column is an integer.
MOST_ATTEMPTS = 2**31 - 1
# In one tick and scope. They are listed before the first is claimed, and a tick must end.
MOST_PLANS = 10_000
# The three texts of a row's key share an index entry of at most 2,704 bytes.
LONGEST_TEXT = 200


class InvalidJob(ValueError):
    """A job's settings break a rule. The text is one sentence that names the job."""


class HandlerError(Exception):
    """A handler raises this for an expected failure. It is stored as ``handler_error``."""


class ErrorCode(StrEnum):
    """Why an attempt ended as FAILED (docs/contract.md section 3)."""

    RUN_TIMEOUT = "run_timeout"
    CANCELED = "canceled"
    LEASE_LOST = "lease_lost"
    HANDLER_PANIC = "handler_panic"
    HANDLER_ERROR = "handler_error"
    STALE_TIMEOUT = "stale_timeout"


class CatchUp(Enum):
    """What to do with buckets that no runner ran in time."""

    LATEST_ONLY = "latest-only"
    EVERY_PLAN = "every-plan"


@dataclass(frozen=True)
class Scope:
    """The dimension that a lease locks, written ``kind/id``."""

    kind: str = "global"
    id: str = "global"

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True)
class Taken:
    """A stored plan that cannot be claimed now: it is over, held, or waits for its retry."""

    status: str
    holder: str | None


@dataclass(frozen=True)
class Standing:
    """Where a job stands in one scope, as read from the database at one moment.

    ``now`` is the database's time, ``newest`` the newest stored plan_time. ``retryable`` are the
    FAILED plans inside the catch-up window that may be retried now, oldest first. ``taken`` is the
    newest plan, or None if it can be claimed.
    """

    now: datetime
    newest: datetime | None = None
    retryable: Sequence[datetime] = ()
    taken: Taken | None = None


@dataclass(frozen=True)
class Context:
    """What a handler gets.

    ``connection`` is the handler's own: autocommit, bounded by the run timeout, closed when the run
    ends and cut when it is cancelled. ``cancelled`` is set at that moment, for handlers that wait
    for something else than the database.
    """

    connection: Connection
    spec: JobSpec
    scope: Scope
    plan_time: datetime
    attempt: int
    cancelled: threading.Event


# Rows affected, and a small JSON object for the execution's result.
Returned = tuple[int | None, Mapping[str, object]]
Handler = Callable[[Context], Returned]
# Plan times in the order in which they run, cut at the job's maximum per tick or at MOST_PLANS.
Planner = Callable[["JobSpec", Standing], Iterable[datetime]]


@dataclass(frozen=True)
class Needs:
    """What a job's handler uses in the database. Without it, its plans are not claimed.

    ``functions`` are signatures such as ``f(integer)``, ``rights`` pairs such as
    ``("SELECT", "a_table")``. The rights in ``behind`` are needed only if one of the functions runs
    with its caller's rights. The release that installed a function may need more, so ``rehearsal``
    is a statement that needs the same rights, does nothing and takes no lock that others wait for.
    It is rolled back.
    """

    functions: tuple[str, ...] = ()
    rights: tuple[tuple[str, str], ...] = ()
    behind: tuple[tuple[str, str], ...] = ()
    rehearsal: str = ""


@dataclass(frozen=True)
class JobSpec:
    """One job. The defaults are those of ``rollup_task_usage_hourly``.

    ``catch_up_window`` and ``max_plans_per_tick`` apply to every-plan jobs. The second also limits
    a job's own planner. With a ``planner``, cadence and catch-up have no effect.

    Raises:
        InvalidJob: a setting breaks one of the rules of docs/contract.md section 3.
    """

    name: str
    handler: Handler
    cadence: timedelta = timedelta(minutes=5)
    schedule_delay: timedelta = timedelta(minutes=5)
    catch_up: CatchUp = CatchUp.LATEST_ONLY
    catch_up_window: timedelta = timedelta(days=1)
    max_plans_per_tick: int = 0
    run_timeout: timedelta = timedelta(minutes=25)
    stale_timeout: timedelta = timedelta(minutes=30)
    heartbeat_interval: timedelta = timedelta(seconds=30)
    max_attempts: int = 3
    retry_backoff: tuple[timedelta, ...] = (
        timedelta(minutes=1),
        timedelta(minutes=5),
        timedelta(minutes=15),
    )
    allow_stale_reentry: bool = True
    scopes: tuple[Scope, ...] = (Scope(),)
    planner: Planner | None = None
    needs: Needs = Needs()

    def __post_init__(self) -> None:
        for rule, kept in {**self._lengths(), **self._rules()}.items():
            if not kept:
                raise InvalidJob(f"The job {self.name!r} {rule}.")

    def _rules(self) -> dict[str, bool]:
        """Whether each rule holds, by the half sentence for when it does not."""
        nothing = timedelta()
        every_plan = self.planner is None and self.catch_up is CatchUp.EVERY_PLAN
        scope_texts = [text for scope in self.scopes for text in (scope.kind, scope.id)]
        return {
            "needs a name": bool(self.name.strip()),
            f"needs a name that {_STORABLE}": _is_storable(self.name),
            "needs a handler": callable(self.handler),
            "needs at least one scope": bool(self.scopes),
            f"needs scopes of which each part {_STORABLE}": all(map(_is_storable, scope_texts)),
            "needs a cadence above zero or a planner of its own": self.planner is not None
            or self.cadence > nothing,
            "needs a schedule delay of zero or more": self.schedule_delay >= nothing,
            "needs a run timeout above zero": self.run_timeout > nothing,
            f"needs a run timeout of at most {LONGEST_RUN.days} days, which PostgreSQL keeps": (
                self.run_timeout <= LONGEST_RUN
            ),
            "needs a stale timeout that is longer than its run timeout": (
                self.stale_timeout > self.run_timeout
            ),
            "needs a heartbeat interval between zero and its stale timeout": (
                nothing < self.heartbeat_interval < self.stale_timeout
            ),
            "needs at least one attempt": self.max_attempts >= 1,
            f"needs a maximum of attempts up to {MOST_ATTEMPTS:,}, which its rows can hold": (
                self.max_attempts <= MOST_ATTEMPTS
            ),
            "needs retry pauses of zero or more": min(self.retry_backoff, default=nothing)
            >= nothing,
            "needs a maximum per tick of zero or more": self.max_plans_per_tick >= 0,
            f"needs a maximum per tick up to {MOST_PLANS:,}, so that a tick has an end": (
                self.max_plans_per_tick <= MOST_PLANS
            ),
            "replays every plan, so it needs a maximum of plans per tick": (
                not every_plan or self.max_plans_per_tick > 0
            ),
            "replays every plan, so it needs a catch-up window above zero": (
                not every_plan or self.catch_up_window > nothing
            ),
        }

    def _lengths(self) -> dict[str, bool]:
        """The maximum of each duration, so that every time computed from it exists."""
        durations = {
            "a cadence": self.cadence,
            "a schedule delay": self.schedule_delay,
            "a catch-up window": self.catch_up_window,
            "a stale timeout": self.stale_timeout,
            "retry pauses": max(self.retry_backoff, default=timedelta()),
        }
        most = f"of at most {LONGEST.days:,} days, for which there is a calendar"
        return {f"needs {named} {most}": span <= LONGEST for named, span in durations.items()}

    def backoff_after(self, attempt: int) -> timedelta | None:
        """The pause after a failed attempt (1-based), or None after the last attempt."""
        if attempt >= self.max_attempts:
            return None
        if not self.retry_backoff:
            return timedelta()
        return self.retry_backoff[min(attempt, len(self.retry_backoff)) - 1]


_STORABLE = f"has at most {LONGEST_TEXT} letters, and no NUL and no half of a surrogate pair"


def _is_storable(text: str) -> bool:
    """Whether PostgreSQL can store the text in a row's key."""
    halves = any("\ud800" <= letter <= "\udfff" for letter in text)
    return len(text) <= LONGEST_TEXT and "\0" not in text and not halves


def registry(specs: Iterable[JobSpec]) -> dict[str, JobSpec]:
    """The jobs by name, in the order given.

    Raises:
        InvalidJob: two jobs share a name.
    """
    by_name: dict[str, JobSpec] = {}
    for spec in specs:
        if spec.name in by_name:
            raise InvalidJob(f"Two jobs are named {spec.name!r}.")
        by_name[spec.name] = spec
    return by_name
