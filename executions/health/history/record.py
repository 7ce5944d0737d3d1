"""Looks at the shared snapshot and writes the history, once however many processes run.

A process takes the turn to look by writing its token into the one row of `Watch`. Only the token
that is there when the look ends may write: a process that was stopped meanwhile writes nothing.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models.functions import Now

from executions.database.kept import QUIET_SECONDS
from executions.database.old_rows import remove_some
from executions.database.own_clock import from_now
from executions.health import snapshots
from executions.health.assessment import Assessment
from executions.health.history.step import (
    Before,
    Blindness,
    Stretch,
    VerdictLook,
    VerdictStep,
    blindness_of,
    marks_of,
    step,
    unseen,
)
from executions.health.history.stored import finding_to_json, text_to_json
from executions.health.snapshots import Snapshot
from executions.health.verdict import Level
from executions.models import BlindStretch, VerdictChange, Watch

# How often somebody looks while no page is open, as often as an open page does.
LOOK_EVERY = timedelta(seconds=QUIET_SECONDS)
# Each process tries at its own pace. Without this room a turn would be due just after each try.
_ROOM = 0.8
# A turn that takes longer is given to another process. A reading has a limit of its own, below it.
TURN = timedelta(seconds=30)

# How long the history is kept. The newest change stays, however old it is.
KEPT = timedelta(days=400)


class TurnLost(Exception):
    """Another process has taken the turn, because this one took too long."""


@dataclass(frozen=True)
class Seen:
    """What a look saw and wrote, for the code that sends alarms. ``step`` says what was new."""

    look: VerdictLook
    assessment: Assessment
    step: VerdictStep


def look_in_turn(
    every: timedelta = LOOK_EVERY, failing_for: timedelta = timedelta()
) -> Seen | None:
    """Look once and write what is new; None if it is not this process's turn.

    It shares the snapshot with the viewers of this process, unless that is older than ``every``.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    token = _take_turn()
    if token is None:
        return None
    try:
        if _note_unseen(token, failing_for):
            snapshot = snapshots.fresh()  # the ledger has to know of the stretch
        else:
            snapshot = snapshots.current()
            if snapshot.age > every:
                snapshot = snapshots.fresh()
        return _write(snapshot, token, every)
    except TurnLost:
        return None


def _take_turn() -> str | None:
    token = secrets.token_hex(8)
    taken = {"holder": token, "due_at": from_now(TURN)}
    due = Watch.objects.filter(pk=Watch.THE_ONE, due_at__lte=Now())
    if due.update(**taken):
        return token
    if Watch.objects.filter(pk=Watch.THE_ONE).exists():
        return None
    Watch.objects.bulk_create([Watch(pk=Watch.THE_ONE)], ignore_conflicts=True)
    return token if due.update(**taken) else None


def _note_unseen(token: str, failing_for: timedelta) -> bool:
    """Begin a blind stretch if nobody has looked for too long; whether it was begun now."""
    with transaction.atomic():
        watch, now = _held(token)
        before = _before(watch)
        if before is None:
            return False
        stretches = unseen(before, now, failing_for)
        _write_stretches(stretches, before.ahead)
        if stretches:
            Watch.objects.update(blind=stretches[-1].reason)
    return bool(stretches)


def _held(token: str) -> tuple[Watch, datetime]:
    """The one row, locked until the transaction ends, and the clock of its database.

    Raises:
        TurnLost: another process has the turn by now.
    """
    mine = Watch.objects.select_for_update().filter(pk=Watch.THE_ONE, holder=token)
    row = mine.annotate(clock_now=Now()).values_list("clock_now", flat=True).first()
    if row is None:
        raise TurnLost
    return mine.get(), row


def _write(snapshot: Snapshot, token: str, every: timedelta) -> Seen | None:
    """Compare with what is known and write it; None if it is no newer than that."""
    with transaction.atomic():
        watch, now = _held(token)
        look = _look(snapshot, now - snapshot.age)
        before = _before(watch)
        next_turn = {"due_at": from_now(_ROOM * every)}
        if before is not None and look.at <= before.at:
            Watch.objects.update(**next_turn)
            return None
        found = step(before, look)
        ahead = look.clock - look.at if look.clock else watch.ahead or timedelta()
        _write_stretches(found.stretches, ahead)
        if found.changed:
            _write_change(look, snapshot.assessment, found)
        Watch.objects.update(
            **next_turn,
            looked_at=look.at,
            clock=look.clock or watch.clock,
            ahead=ahead,
            level=look.level,
            marks=look.marks,
            blind=look.blind or "",
        )
        _remove_old(now - KEPT)
    return Seen(look, snapshot.assessment, found)


def _look(snapshot: Snapshot, at: datetime) -> VerdictLook:
    return VerdictLook(
        at=at,
        clock=snapshot.checked_at,
        level=snapshot.verdict.level,
        marks=marks_of(snapshot.verdict),
        blind=blindness_of(snapshot.facts),
    )


def _before(watch: Watch) -> Before | None:
    if watch.looked_at is None:
        return None
    return Before(
        at=watch.looked_at,
        ahead=watch.ahead or timedelta(),
        level=Level(watch.level),
        marks=watch.marks,
        blind=Blindness(watch.blind) if watch.blind else None,
    )


def _write_stretches(stretches: Iterable[Stretch], ahead: timedelta) -> None:
    for stretch in stretches:
        ends = {
            "until": stretch.until,
            "clock_until": stretch.until + ahead if stretch.until else None,
        }
        if stretch.was_open:
            BlindStretch.objects.filter(until=None).update(**ends)
        else:
            BlindStretch.objects.create(
                reason=stretch.reason,
                since=stretch.since,
                clock_since=stretch.since + ahead,
                **ends,
            )


def _write_change(look: VerdictLook, assessment: Assessment, found: VerdictStep) -> None:
    verdict = assessment.verdict
    VerdictChange.objects.create(
        at=look.at,
        clock=look.clock,
        level=look.level,
        summary=text_to_json(verdict.summary),
        findings=[finding_to_json(one) for one in verdict.findings],
        blind=look.blind or "",
        after_blindness=found.after_blindness,
    )


def _remove_old(before: datetime) -> None:
    """Remove some of what is older; what is left, a later look removes."""
    newest = VerdictChange.objects.order_by("-at").values("pk")[:1]
    old = VerdictChange.objects.filter(at__lt=before).exclude(pk__in=newest)
    remove_some(old)
    remove_some(BlindStretch.objects.filter(until__lt=before))
