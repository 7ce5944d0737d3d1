"""Open retirements for the overview: what was done, how it goes, and when it ends.

It reads our own tables only. A retirement's own page has the whole story: `pages/wizard/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts.pg_cron import PgCron
from executions.health.ledger import PlanOutcome
from executions.models.retirement import Act, Retirement, RetirementState
from executions.retirement import rules
from executions.retirement.external import is_proved_by_plans
from executions.retirement.outcomes import REMOVED_BY
from executions.retirement.watch import PLANS, Word, due_after, longest_wait, summary_of
from executions.text.sentences import At, Sentence, Text, say, say_counted, sentences_of, together

MOST = 10

_DONE: Mapping[str, Promise] = {
    RetirementState.CHOSEN: _("%(who)s has begun to retire %(job)s. Nothing has been changed yet."),
    RetirementState.CONFIRMED: _(
        "%(who)s has begun to retire %(job)s. Nothing has been changed yet."
    ),
    RetirementState.BY_HAND: _(
        "%(who)s is going to remove %(job)s by hand, and has not said yet that it is."
    ),
    RetirementState.TRIAL: _("%(who)s paused %(job)s on trial at %(at)s."),
    RetirementState.TRIAL_PASSED: _(
        "%(who)s paused %(job)s on trial at %(at)s. The trial went well: remove the job now, or"
        " activate it again."
    ),
    RetirementState.WATCHING: _(
        "%(who)s removed %(job)s at %(at)s. The plans since are being watched."
    ),
}
_BEGUN: Mapping[str, Promise] = {
    Act.Kind.REMOVE: _(
        "%(who)s began to remove %(job)s at %(at)s. Nobody knows yet whether it is removed: the"
        " database is being asked."
    ),
    Act.Kind.PAUSE: _(
        "%(who)s began to pause %(job)s at %(at)s. Nobody knows yet whether it is paused: the"
        " database is being asked."
    ),
    Act.Kind.ACTIVATE: _(
        "%(who)s began to activate %(job)s again at %(at)s. Nobody knows yet whether it is active:"
        " the database is being asked."
    ),
    Act.Kind.PUT_BACK: _(
        "%(who)s began to put %(job)s back at %(at)s. Nobody knows yet whether it is back: the"
        " database is being asked."
    ),
}
_GOOD = {kind.value for kind in PlanOutcome if kind.is_success}


@dataclass(frozen=True)
class Begun:
    """One open retirement. ``good`` of ``needed`` plans went well since the act."""

    pk: int
    label: Sentence
    server: str
    database: str
    jobid: int | None
    state: str
    summary: Text
    good: int
    needed: int

    def may_be_in(self, pg_cron: PgCron | None) -> bool:
        """Whether it may be about this pg_cron's job; always if outside the database."""
        return (
            self.jobid is None or pg_cron is None or pg_cron.may_be_at(self.server, self.database)
        )

    @property
    def version(self) -> tuple[object, ...]:
        return (self.pk, self.state, self.summary.still(), self.good)


def read_begun(now: datetime | None) -> tuple[Begun, ...]:
    """The retirements that were begun and not ended, newest first.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    found = Retirement.objects.exclude(state__in=Retirement.ENDED).prefetch_related("acts")
    return tuple(_begun(one, now or one.changed_at) for one in found.order_by("-pk")[:MOST])


def _begun(one: Retirement, now: datetime) -> Begun:
    plans = one.watch.get("plans", ())
    good = sum(1 for plan in plans if plan["kind"] in _GOOD)
    needed = int(one.watch.get("needed") or PLANS)
    is_live = one.state in Retirement.LIVE
    open_act = next((act for act in one.acts.all() if act.outcome is None), None)
    goes = _how_it_goes(one, good, needed) if is_live and not open_act else None
    # Until the outcome of an act is known, nobody can say that nothing was changed.
    summary = together(
        _what_was_begun(one, open_act, now) if open_act else _what_was_done(one, now),
        *(sentences_of(goes) if goes else ()),
        _when_it_ends(one, good, needed, now),
    )
    return Begun(
        pk=one.pk,
        label=one.name,
        server=one.server,
        database=one.database,
        jobid=one.jobid,
        state=one.state,
        summary=summary,
        good=good,
        needed=needed,
    )


def _what_was_begun(one: Retirement, act: Act, now: datetime) -> Sentence:
    return say(_BEGUN[act.kind], who=act.user_name, job=one.name, at=At(act.intended_at, now))


def _what_was_done(one: Retirement, now: datetime) -> Sentence:
    acts = [act for act in one.acts.all() if act.outcome == Act.Outcome.DONE]
    newest = max(acts, key=lambda act: act.pk, default=None)
    who = newest.user_name if newest else one.started_by
    return say(
        _DONE[one.state],
        who=one.evidence.get(REMOVED_BY, who) if one.is_removed else who,
        job=one.name,
        at=At(one.watched_since or one.changed_at, now),
    )


def _how_it_goes(one: Retirement, good: int, needed: int) -> Text:
    """How many plans went well; once they are enough, why the watch still continues."""
    said = summary_of(one.watch)
    if good >= needed and one.state != RetirementState.TRIAL_PASSED and said:
        return said
    good = min(good, needed)
    return say_counted(
        needed,
        "%(good)s of %(n)s plan has succeeded since.",
        "%(good)s of %(n)s plans have succeeded since.",
        good=good,
    )


def _when_it_ends(one: Retirement, good: int, needed: int, now: datetime) -> Sentence | None:
    if (
        one.state in {RetirementState.TRIAL, RetirementState.TRIAL_PASSED}
        and one.deadline is not None
    ):
        return say(
            "If nobody decides, it ends by itself at %(at)s: the job is then active again.",
            at=At(one.deadline, now),
        )
    if one.state != RetirementState.WATCHING or one.watched_since is None:
        return None
    if one.watch.get("word") == Word.UNPROVEN:
        return say("It ends when an operator confirms that the caller is gone.")
    if not is_proved_by_plans(one):
        return say("Then an operator has to confirm that the caller is gone.")
    return _when_the_watch_ends(one, one.watched_since, good, needed, now)


def _when_the_watch_ends(
    one: Retirement, since: datetime, good: int, needed: int, now: datetime
) -> Sentence:
    spec = rules.current().spec
    if good < needed:
        return say(
            "It ends by itself at %(at)s at the earliest, if the plans go well.",
            at=At(due_after(since, needed, spec), now),
        )
    if one.watch.get("alive"):
        return say("It ends by itself once that run is over.")
    return say(
        "It ends by itself at about %(at)s at the latest, if the plans go well.",
        at=At(due_after(since, longest_wait(needed), spec), now),
    )
