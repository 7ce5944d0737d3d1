"""Where an act leads, written once: its outcome, the retirement's new state and the audit line.

All three are one transaction of our own database. It begins with one comparison: the process that
finds the outcome still open writes it. That is the acting process, or one that settles a crash.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions.health.facts.pg_cron import Match, is_same_place
from executions.models.retirement import Act, AuditEvent, CallerKind, Retirement, RetirementState
from executions.retirement import audit
from executions.retirement.rules import Rules

# A key in the evidence of a retirement: who removed it by hand. An act names its own user.
REMOVED_BY = "removed_by"


def conclude(
    act: Act,
    outcome: Act.Outcome,
    detail: str,
    rules: Rules,
    evidence: Mapping[str, object] | None = None,
) -> bool:
    """Write the outcome. Return False if another process has written it already."""
    with transaction.atomic():
        written = Act.objects.filter(pk=act.pk, outcome=None).update(
            outcome=outcome, outcome_at=Now(), detail=detail
        )
        act.refresh_from_db()
        if not written:
            return False
        if outcome == Act.Outcome.DONE:
            _go_on(act, rules)
        audit.record(
            audit.Who(act.user_name, act.user_id, act.why),
            act.kind,
            AuditEvent.Outcome(outcome.value),
            act,
            summary=detail,
            evidence={**act.evidence, **(evidence or {}), "acted_at": act.acted_at},
        )
    return True


def move(retirement: Retirement, *, state: RetirementState, **values: Any) -> None:
    """Move the retirement into another state. Call it only inside the transaction that says why.

    A ``reason`` belongs to one state. Without a new reason the next state has none.
    """
    values = {"reason": "", **values}
    Retirement.objects.filter(pk=retirement.pk).update(
        state=state, changed_at=Now(), looked_at=None, **values
    )
    retirement.refresh_from_db()


def _go_on(act: Act, rules: Rules) -> None:
    """Move the retirement where its act leads, even if it was closed in the meantime.

    A newer record of the same job that has changed nothing is closed. Otherwise the newer one
    continues.
    """
    values, done = _consequences(act, rules), act.retirement
    newer = None
    if values["state"] not in Retirement.ENDED:
        others = Retirement.objects.select_for_update().exclude(pk=done.pk)
        newer = open_retirement((done.server, done.database), done.jobid, others)
    if newer is not None and not _drop(newer, done):
        said = _("Retirement %(number)s goes on with this job.") % {"number": newer.pk}
        Retirement.objects.filter(pk=done.pk).update(reason=said)
    else:
        move(done, **values)


def open_retirement(
    place: tuple[str, str], jobid: int | None, among: QuerySet[Retirement] | None = None
) -> Retirement | None:
    """The open record of the pg_cron job of that number in that `Server.place`.

    If the server keeps its number to itself, now or when the job was chosen, there may be several:
    a record with the same number comes first, then the newest.
    """
    records = Retirement.objects.all() if among is None else among
    numbered = records.filter(kind=CallerKind.PG_CRON, jobid=jobid)
    still_open = numbered.exclude(state__in=Retirement.ENDED)
    same = [one for one in still_open if is_same_place(place, (one.server, one.database))]
    return max(same, key=lambda one: (one.server == place[0], one.pk), default=None)


def _drop(newer: Retirement, done: Retirement) -> bool:
    """Close a record that has changed nothing, because another record did the work."""
    if newer.state not in Retirement.UNCHANGED or newer.open_act is not None:
        return False
    said = _("Retirement %(number)s had acted on this job already.") % {"number": done.pk}
    move(newer, state=RetirementState.CLOSED, reason=said)
    audit.record(audit.MYSELF, "close", AuditEvent.Outcome.DONE, newer, summary=said)
    return True


def _consequences(act: Act, rules: Rules) -> dict[str, Any]:
    """The retirement's fields after a finished act. Times are the acting database's."""
    if act.kind == Act.Kind.REMOVE:
        highest = act.evidence.get("found", {}).get("highest_jobid")
        return removed(act.retirement, act.acted_at, highest)
    if act.kind == Act.Kind.PAUSE:
        deadline = act.acted_at + rules.trial_limit if act.acted_at else None
        return {
            "state": RetirementState.TRIAL,
            "paused_at": act.acted_at,
            "watched_since": act.acted_at,
            "deadline": deadline,
            "watch": {},
        }
    if act.kind == Act.Kind.ACTIVATE:
        return {"state": RetirementState.TRIAL_ENDED, "reason": act.evidence.get("reason", "")}
    return {"state": RetirementState.PUT_BACK, "put_back_jobid": act.new_jobid}


def removed(retirement: Retirement, at: datetime | None, highest: int | None) -> dict[str, Any]:
    """The fields after a removal, which is watched. A legacy job only failed, so it is not watched.

    ``highest`` is the highest job number at the time of the removal. Jobs that are put back have
    higher numbers. None if nobody has looked.
    """
    legacy = retirement.match == Match.LEGACY
    return {
        "state": RetirementState.VERIFIED if legacy else RetirementState.WATCHING,
        "watched_since": at,
        "watch": {},
        "evidence": {**retirement.evidence, "highest_jobid": highest},
    }
