"""Hears each look and writes the alarm that is due, once however many processes run.

`telling` decides. The state of what people know is one row, which is locked meanwhile.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from executions.alarms.message import ToldChange
from executions.alarms.silence import quiet_of
from executions.alarms.silences import open_silences, settle
from executions.alarms.telling import (
    HOUR,
    NOTHING_SILENCED,
    AlarmKind,
    Due,
    HeldBack,
    Telling,
    TellingRules,
    VerdictShape,
    hear,
    shape_of,
    told_of_verdict,
)
from executions.database.old_rows import remove_some
from executions.health.history.record import KEPT, Seen
from executions.health.history.stored import text_from_json, text_to_json
from executions.health.verdict import Level, Verdict
from executions.models import Alarm, AlarmDelivery, AlarmReceiver, TellingState


def hear_look(seen: Seen, rules: TellingRules) -> Alarm | None:
    """Compare a look with what people know; the alarm that it made, if any.

    A look that is no newer than the last one that was heard changes nothing.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    at, verdict = seen.look.at, seen.assessment.verdict
    settle(verdict)
    quiet = quiet_of(open_silences(verdict)[0])
    TellingState.objects.bulk_create([TellingState(pk=TellingState.THE_ONE)], ignore_conflicts=True)
    with transaction.atomic():
        row = TellingState.objects.select_for_update().get(pk=TellingState.THE_ONE)
        if row.looked_at is not None and at <= row.looked_at:
            return None
        made = Alarm.objects.filter(made_at__gt=at - HOUR).values_list("made_at", flat=True)
        state, due = hear(
            _state_from_json(row.state),
            shape_of(verdict),
            at,
            rules,
            list(made),
            anew=bool(seen.step.stretches),
            blindly=seen.step.after_blindness,
            quiet=quiet,
        )
        alarm = _write(verdict, due, quiet) if due else None
        TellingState.objects.filter(pk=row.pk).update(looked_at=at, state=_state_to_json(state))
        _remove_old(at - KEPT)
    return alarm


def _write(verdict: Verdict, due: Due, quiet: HeldBack) -> Alarm:
    summary, found = told_of_verdict(verdict, quiet)
    worst = found[0] if found else None
    return Alarm.objects.create(
        kind=due.kind,
        level=verdict.level,
        before=due.before,
        since=due.since,
        summary=text_to_json(summary),
        advice=text_to_json(worst.advice) if worst else None,
        code=worst.code if worst else "",
        also=[text_to_json(one.summary) for one in found[1:]],
        bad_for=due.bad_for,
        held_back=due.held_back,
        is_last=due.is_last,
    )


def says_nothing(alarm: Alarm, quiet: HeldBack) -> bool:
    """Whether all that it would say has been silenced since it was made."""
    return quiet.everything or (alarm.code in quiet.codes and not alarm.also)


def told_of(alarm: Alarm, quiet: HeldBack = NOTHING_SILENCED) -> ToldChange:
    """The alarm as its message needs it, without its worst finding if that is silenced by now."""
    summary, also = text_from_json(alarm.summary), [text_from_json(one) for one in alarm.also]
    advice, code = text_from_json(alarm.advice) if alarm.advice else None, alarm.code
    if also and code in quiet.codes:
        summary, also, advice, code = also[0], also[1:], None, ""
    return ToldChange(
        number=alarm.pk,
        kind=AlarmKind(alarm.kind),
        level=Level(alarm.level),
        before=Level(alarm.before),
        made_at=alarm.made_at,
        since=alarm.since,
        summary=summary,
        advice=advice,
        code=code,
        also=also,
        bad_for=alarm.bad_for,
        held_back=alarm.held_back,
        is_last=alarm.is_last,
    )


def _remove_old(before: datetime) -> None:
    """Remove some of what is older, also receivers that have left the settings since.

    The newest alarm stays, because receivers count up to it.
    """
    newest = Alarm.objects.order_by("-pk").values("pk")[:1]
    remove_some(Alarm.objects.filter(made_at__lt=before).exclude(pk__in=newest))
    remove_some(AlarmDelivery.objects.filter(at__lt=before))
    remove_some(AlarmReceiver.objects.filter(configured_at__lt=before))


def _state_to_json(state: Telling) -> dict[str, Any]:
    return {
        "told": [state.told.level, *state.told.codes],
        "now": [state.now.level, *state.now.codes],
        "since": state.since.isoformat() if state.since else None,
        "times": state.times,
        "blindly": state.blindly,
        "bad_since": state.bad_since.isoformat() if state.bad_since else None,
        "held_back": state.held_back,
        "is_counted": state.is_counted,
    }


def _state_from_json(stored: Mapping[str, Any]) -> Telling:
    if not stored:
        return Telling()
    return Telling(
        told=_shape(stored["told"]),
        now=_shape(stored["now"]),
        since=_moment(stored["since"]),
        times=stored["times"],
        blindly=stored["blindly"],
        bad_since=_moment(stored["bad_since"]),
        held_back=stored["held_back"],
        is_counted=stored["is_counted"],
    )


def _shape(stored: list[str]) -> VerdictShape:
    return VerdictShape(Level(stored[0]), tuple(stored[1:]))


def _moment(written: str | None) -> datetime | None:
    return datetime.fromisoformat(written) if written else None
