"""Recorded changes of schedules: paused, removed, activated or put back, and when.

It reads our own tables, not Multica's. `findings` decides what they mean for another writer.
"""

from collections.abc import Iterator
from datetime import datetime

from executions.health.facts import ScheduleChange
from executions.models.retirement import Act, Retirement, RetirementState

# The most retirements that are read: the latest ones.
MOST = 50
_STOPS = {Act.Kind.REMOVE, Act.Kind.PAUSE}


def changes_on_record(since: datetime) -> tuple[ScheduleChange, ...]:
    """Every later change, newest first, by the clock of the database in which it was made.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    changed = Retirement.objects.filter(changed_at__gte=since).prefetch_related("acts")
    found = [change for one in changed.order_by("-changed_at")[:MOST] for change in _changes(one)]
    return tuple(sorted(found, key=lambda change: change.at, reverse=True))


def _changes(one: Retirement) -> Iterator[ScheduleChange]:
    """The acts of the wizard, and the changes that an operator made without the wizard."""
    done: set[str] = set()
    for act in one.acts.all():
        if act.outcome == Act.Outcome.DONE and act.acted_at is not None:
            done.add(act.kind)
            yield ScheduleChange(act.acted_at, one.name, stops=act.kind in _STOPS)
    if one.is_removed and Act.Kind.REMOVE not in done and one.watched_since is not None:
        yield ScheduleChange(one.watched_since, one.name, stops=True)
    if one.state == RetirementState.PUT_BACK and Act.Kind.PUT_BACK not in done:
        yield ScheduleChange(one.changed_at, one.name, stops=False)
