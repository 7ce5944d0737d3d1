"""Begins and ends silences, once however many processes run, each with its line in the audit.

`silence.py` decides what a silence holds back and when it ends.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions.alarms.silence import LONGEST, SHORTEST, end_of, said, title_of
from executions.database.own_clock import from_now
from executions.health.findings.base import FindingCode
from executions.health.verdict import Verdict, severities
from executions.models import Silence
from executions.models.retirement import AuditEvent
from executions.retirement import audit
from executions.retirement.forms import LONGEST_WHY
from executions.retirement.refusals import Refused
from executions.text.formatters import seconds
from executions.text.visible import shortened

SILENCED, ENDED = "silence", "silence ended"
_EVERYTHING = "messages"


def open_silences(verdict: Verdict | None) -> tuple[tuple[Silence, ...], datetime | None]:
    """The silences that last, newest first, and the clock that they were judged by.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    rows = list(Silence.objects.filter(ended_at=None).annotate(now=Now()).order_by("-begun_at"))
    lasting = tuple(row for row in rows if end_of(row, row.now, verdict) is None)
    return lasting, rows[0].now if rows else None


def begin(
    who: audit.Who,
    *,
    code: str = "",
    span: timedelta | None = None,
    verdict: Verdict | None = None,
) -> Silence:
    """Hold back messages: all of them or those about one finding, for a time.

    Without a time a finding is acknowledged: the silence lasts until it clears or gets worse in
    comparison with this ``verdict``. The reason is that of ``who``.

    Raises:
        Refused: there is no reason, no end, or no such finding now.
        django.db.Error: our own tables cannot be reached.
    """
    why = shortened(who.why.strip(), LONGEST_WHY)
    about = code or _EVERYTHING
    if not why:
        raise Refused(
            _("Say why: people who wait for a message need to know. Nothing was silenced.")
        )
    if code and code not in set(FindingCode):
        raise Refused(_("No finding is called “%(code)s”. Nothing was silenced.") % {"code": code})
    if span is not None and not SHORTEST <= span <= LONGEST:
        raise Refused(
            _("A silence lasts from %(shortest)s to %(longest)s. Nothing was silenced.")
            % {"shortest": seconds(SHORTEST), "longest": seconds(LONGEST)}
        )
    severity = None
    if span is None:
        severity = severities(verdict.findings).get(FindingCode(code)) if verdict and code else None
        if severity is None:
            raise Refused(_no_end(code))
    with transaction.atomic():
        silence = Silence.objects.create(
            code=code,
            severity=severity,
            until=from_now(span) if span else None,
            user_name=who.name,
            why=why,
        )
        silence.refresh_from_db()
        audit.record(
            who,
            SILENCED,
            AuditEvent.Outcome.DONE,
            about,
            summary=str(said(silence, silence.begun_at)),
            evidence={"silence": silence.pk, "until": silence.until, "severity": severity},
        )
    return silence


def _no_end(code: str) -> str:
    if not code:
        return _("Say how long: a silence has an end. Nothing was silenced.")
    return _(
        "“%(finding)s” is not found now, so it cannot be acknowledged. Nothing was silenced."
    ) % {"finding": title_of(code)}


def lift(who: audit.Who, number: int) -> bool:
    """End a silence before its time; whether it still lasted.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    return _end(who, Q(pk=number), lambda _silence: Silence.End.LIFTED) > 0


def settle(verdict: Verdict) -> None:
    """Note the end of every silence that is over, seen by this verdict.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    _end(audit.MYSELF, Q(), lambda silence: end_of(silence, silence.now, verdict))


def _end(who: audit.Who, which: Q, why: Callable[[Any], Silence.End | None]) -> int:
    """End the open silences among ``which`` for which there is a reason; how many there were."""
    if not Silence.objects.filter(which, ended_at=None).exists():
        return 0
    ended = 0
    with transaction.atomic():
        rows = Silence.objects.select_for_update(skip_locked=True).filter(which, ended_at=None)
        for silence in rows.annotate(now=Now()):
            reason = why(silence)
            if reason is None:
                continue
            Silence.objects.filter(pk=silence.pk).update(ended_at=Now(), ended=reason)
            ended += 1
            audit.record(
                who,
                ENDED,
                AuditEvent.Outcome.DONE,
                silence.code or _EVERYTHING,
                summary=str(reason.label),
                evidence={"silence": silence.pk},
            )
    return ended
