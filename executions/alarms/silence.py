"""What a silence holds back, and when it ends. It reads neither a database nor a clock.

A silence holds back messages only. Pages, monitors and exit statuses stay true, and mark it.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.alarms.telling import HeldBack
from executions.health.explain import EXPLANATIONS
from executions.health.findings.base import FindingCode
from executions.health.verdict import Level, Verdict, severities
from executions.models import Silence
from executions.text.sentences import At, Sentence, Value, say

SHORTEST = timedelta(minutes=1)
LONGEST = timedelta(days=1)


def quiet_of(silences: Iterable[Silence]) -> HeldBack:
    found = list(silences)
    return HeldBack(
        everything=any(not one.code for one in found),
        codes=frozenset(one.code for one in found if one.code),
    )


def end_of(silence: Silence, now: datetime, verdict: Verdict | None) -> Silence.End | None:
    """Why a silence is over by now; None while it lasts.

    While nobody can see, a finding has neither cleared nor got worse.
    """
    if silence.ended:
        return Silence.End(silence.ended)
    if silence.until is not None and silence.until <= now:
        return Silence.End.TIME
    if silence.severity is None or verdict is None or verdict.level is Level.UNKNOWN:
        return None
    severity = severities(verdict.findings).get(FindingCode(silence.code))
    if severity is None:
        return Silence.End.CLEARED
    return Silence.End.WORSENED if severity > silence.severity else None


def said(silence: Silence, now: datetime) -> Sentence:
    """A silence in a sentence: what, by whom, until when, and why."""
    values: dict[str, Value] = {"who": silence.user_name, "why": silence.why.rstrip(".")}
    until = At(silence.until or now, now)
    if not silence.code:
        return say(_HOLDS_BACK_EVERYTHING, until=until, **values)
    values["finding"] = title_of(silence.code)
    if silence.until is None:
        return say(_ACKNOWLEDGED, **values)
    return say(_SILENCED, until=until, **values)


_HOLDS_BACK_EVERYTHING = _("%(who)s holds back every message until %(until)s: %(why)s.")
_ACKNOWLEDGED = _(
    "%(who)s has acknowledged “%(finding)s”: %(why)s. No message about it is sent until it clears"
    " or gets worse."
)
_SILENCED = _("%(who)s holds back messages about “%(finding)s” until %(until)s: %(why)s.")


def title_of(code: str) -> Promise:
    """The finding as a short sentence without a full stop, in the language of each reader."""
    return EXPLANATIONS[FindingCode(code)].title
