"""PURE: raw usage beside the buckets, the facts for the diagnosis of "usage shows zero"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from executions.text.problem import Problem


@dataclass(frozen=True)
class Shape:
    """The tables and columns that this Multica has.

    ``active_tasks_need_runtimes`` is true from v0.4.17 on: only a task that has ended may be
    without a runtime, so its runtime was deleted.
    """

    has_usage: bool
    has_buckets: bool
    tasks_tell_times: bool
    workspaces_have_names: bool
    active_tasks_need_runtimes: bool


@dataclass(frozen=True)
class WorkspaceUsage:
    """The usage of one workspace in a sample, counted by what became of it.

    ``workspace_id`` is None for usage whose task or agent is gone. ``waiting`` rows changed after
    the watermark, ``settled`` ones before it. Of the settled ones some have a bucket or are queued;
    the others are ``missing``. ``shown`` rows have a bucket. The bucket of a waiting row may lack
    that row, so ``newest_shown`` is of the newest settled row with a bucket.
    """

    workspace_id: UUID | None
    usage: int
    without_runtime: int
    waiting: int
    settled: int
    shown: int
    missing: int
    newest: datetime
    oldest: datetime
    newest_shown: datetime | None = None
    oldest_missing: datetime | None = None
    newest_waiting: datetime | None = None

    @property
    def counts(self) -> int:
        """Rows that the rollup sums, now or later."""
        return self.waiting + self.settled

    @property
    def is_missing_wholly(self) -> bool:
        return self.missing > 0 and self.shown == 0

    @property
    def lacks_every_runtime(self) -> bool:
        return self.without_runtime > 0 and self.counts == 0


@dataclass(frozen=True)
class Sample:
    """The newest raw usage before a moment, at most ``most`` rows, by workspace."""

    most: int
    workspaces: tuple[WorkspaceUsage, ...]

    def total(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.workspaces)

    @property
    def usage(self) -> int:
        return self.total("usage")

    @property
    def counts(self) -> int:
        return self.total("counts")

    @property
    def newest(self) -> datetime | None:
        return max((one.newest for one in self.workspaces), default=None)

    @property
    def oldest(self) -> datetime | None:
        return min((one.oldest for one in self.workspaces), default=None)

    @property
    def named(self) -> tuple[WorkspaceUsage, ...]:
        """The usage whose workspace is known."""
        return tuple(one for one in self.workspaces if one.workspace_id is not None)


@dataclass(frozen=True)
class RanTasks:
    """Tasks that ran to their end among those seen, and how many of them have no usage.

    ``silent_since`` of these ended more than an hour after the newest usage.
    """

    seen: int
    ended: int
    silent: int
    silent_since: int
    newest_silent: datetime | None


@dataclass(frozen=True)
class UsageFacts:
    """Raw usage and buckets as they were read at one moment.

    ``latest`` is the newest usage of all, ``settled`` the newest that was created before the
    watermark; None if there is no watermark. ``tasks`` is None if tasks do not tell when they ran.
    ``has_tasks`` then says whether there is any. ``deleted_runtimes`` is None if no usage in the
    sample lacks a runtime. ``never_due`` says whether there is usage dated after the year 9999; it
    is not asked, and False, beside any other usage. ``asked`` are the statements that were sent, by
    name.
    """

    shape: Shape | Problem
    newest_usage: datetime | Problem | None
    newest_bucket: datetime | Problem | None
    latest: Sample | Problem
    settled: Sample | Problem | None
    tasks: RanTasks | Problem | None
    has_tasks: bool | Problem
    has_agents: bool | Problem
    deleted_runtimes: int | Problem | None
    never_due: bool | Problem = False
    names: Mapping[UUID, str] | Problem = field(default_factory=dict)
    asked: Mapping[str, str] = field(default_factory=dict)
