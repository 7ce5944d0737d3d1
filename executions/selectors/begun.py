"""Retirements that are open, for the overview: what was done, how it goes, and when it ends.

Asks our own tables only. The whole story of one is on its own page: `retire.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import Error as DatabaseError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from executions.health.ledger import Kind as Plan
from executions.health.sentences import At, Sentence, Text, say, together
from executions.retirement import rules
from executions.retirement.external import quiet_of
from executions.retirement.watch import PLANS, Word
from executions.retirement_models import Act, Retirement, State

MOST = 10

_DONE: Mapping[str, Promise] = {
    State.CHOSEN: _("%(who)s has begun to retire %(job)s. Nothing has been changed yet."),
    State.CONFIRMED: _("%(who)s has begun to retire %(job)s. Nothing has been changed yet."),
    State.BY_HAND: _(
        "%(who)s is going to remove %(job)s by hand, and has not said yet that it is."
    ),
    State.TRIAL: _("%(who)s paused %(job)s on trial at %(at)s."),
    State.TRIAL_PASSED: _(
        "%(who)s paused %(job)s on trial at %(at)s. The trial went well: remove the job now, or"
        " activate it again."
    ),
    State.WATCHING: _("%(who)s removed %(job)s at %(at)s. The plans since are being watched."),
}
_GOOD = {kind.value for kind in Plan if kind.is_success}


@dataclass(frozen=True)
class Begun:
    """One open retirement. ``good`` of ``needed`` plans went well since something was done."""

    pk: int
    label: str
    jobid: int | None
    state: str
    summary: Text
    good: int
    needed: int

    @property
    def version(self) -> tuple[object, ...]:
        return (self.pk, self.state, self.summary.still(), self.good)


def read_begun(now: datetime | None) -> tuple[Begun, ...]:
    """Those that somebody has begun and nobody has ended, newest first.

    None of them if our own tables cannot be asked: the page then says so in other places.
    """
    found = Retirement.objects.exclude(state__in=Retirement.ENDED).prefetch_related("acts")
    try:
        return tuple(_begun(one, now or one.changed_at) for one in found.order_by("-pk")[:MOST])
    except DatabaseError:
        return ()


def _begun(one: Retirement, now: datetime) -> Begun:
    plans = one.watch.get("plans", ())
    good = sum(1 for plan in plans if plan["kind"] in _GOOD)
    needed = int(one.watch.get("needed") or PLANS)
    is_live = one.state in Retirement.LIVE
    summary = together(
        _what_was_done(one, now),
        _how_it_goes(good, needed) if is_live else None,
        _when_it_ends(one, needed, now),
    )
    return Begun(one.pk, one.label, one.jobid, one.state, summary, good, needed)


def _what_was_done(one: Retirement, now: datetime) -> Sentence:
    acts = [act for act in one.acts.all() if act.outcome == Act.Outcome.DONE]
    newest = max(acts, key=lambda act: act.pk, default=None)
    return say(
        _DONE[one.state],
        who=newest.user_name if newest else one.started_by,
        job=one.label,
        at=At(one.watched_since or one.changed_at, now),
    )


def _how_it_goes(good: int, needed: int) -> Sentence:
    return say(
        ngettext_lazy(
            "%(good)s of %(n)s plan has succeeded since.",
            "%(good)s of %(n)s plans have succeeded since.",
            "n",
        ),
        good=good,
        n=needed,
    )


def _when_it_ends(one: Retirement, needed: int, now: datetime) -> Sentence | None:
    if one.state in {State.TRIAL, State.TRIAL_PASSED} and one.deadline is not None:
        return say(
            _("If nobody decides, it ends by itself at %(at)s: the job is then active again."),
            at=At(one.deadline, now),
        )
    if one.state != State.WATCHING or one.watched_since is None:
        return None
    if one.watch.get("word") == Word.UNPROVEN:
        return say(_("It ends when an operator confirms that the caller is gone."))
    quiet = quiet_of(one)
    if quiet is not None and quiet.plans is None:
        return say(_("Then an operator has to confirm that the caller is gone."))
    cadence = quiet.cadence if quiet else rules.current().spec.cadence
    return say(
        _("It ends by itself at %(at)s at the earliest, if the plans go well."),
        at=At(one.watched_since + needed * cadence, now),
    )
