"""PURE: each version's changes for the rollup, and the changes that lie before an upgrade."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.rollup.versions import CHANGED_IN, Change, Range, Version

WORDS: Mapping[Change, Promise] = {
    Change.HOURLY: _(
        "Usage is summed by the hour in task_usage_hourly, and migration 103 drops the daily"
        " tables that the usage pages read before."
    ),
    Change.SCHEDULER: _(
        "Every backend runs the rollup itself and records it in sys_cron_executions. A pg_cron"
        " job, cron entry, timer or CronJob that calls it becomes redundant."
    ),
    Change.AUTOPILOT: _(
        "The scheduler also dispatches autopilots. Their executions fill the same table; the"
        " rollup itself stays as it is."
    ),
    Change.COSTS: _(
        "Buckets have costs. A bucket from before has none until it is summed again, which a"
        " backfill does."
    ),
    Change.TEARDOWN: _(
        "Deleting a workspace queues no buckets any more, because they all go with it."
    ),
    Change.RUNTIMES: _(
        "Deleting a runtime keeps its tasks and their raw usage, but its buckets go: usage"
        " without a runtime counts for nothing."
    ),
    Change.LOCK: _(
        "The rollup holds its lock only until its transaction ends, so a cancelled run cannot"
        " leave it held any more."
    ),
    Change.INDEX: _(
        "A redundant index on sys_cron_executions goes. The rollup itself stays as it is."
    ),
    Change.IDS: _("New rows have ids that sort by time. The rollup itself stays as it is."),
}


@dataclass(frozen=True)
class ChangeAhead:
    """A change on the way to the target. ``is_certain`` says that the tables lack it."""

    change: Change
    is_certain: bool

    @property
    def version(self) -> Version:
        return CHANGED_IN[self.change]

    @property
    def summary(self) -> Promise:
        return WORDS[self.change]


def changes_ahead(versions: Range, target: Version) -> tuple[ChangeAhead, ...]:
    """The changes up to and including ``target`` that the tables lack or may lack, oldest first."""
    return tuple(
        ChangeAhead(change, is_certain=not versions.may_have(change))
        for change, version in CHANGED_IN.items()
        if version <= target and not versions.has(change)
    )
