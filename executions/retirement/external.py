"""Schedules outside the database: how one is retired, and the proof that its caller is gone.

`outside.py` has the commands. Nothing runs them, because cron, systemd and Kubernetes cannot be
reached from here. The plans show whether a caller is gone, by other writers (docs/contract.md
section 6, `other_writer`), and a later report of `findcallers` is a second proof.
"""

from dataclasses import asdict
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from executions.health.findings.writer import LEAST
from executions.models.retirement import AuditEvent, CallerKind, Retirement, RetirementState
from executions.retirement import audit
from executions.retirement.callers_report import second_look
from executions.retirement.facts import read_plans
from executions.retirement.outcomes import REMOVED_BY, move
from executions.retirement.outside import Outside, outside_of
from executions.retirement.quiet import Quiet, quiet_period
from executions.retirement.refusals import Refused
from executions.retirement.rules import Rules
from executions.retirement.watch import Word, summary_of
from executions.retirement.wizard import lock, on_record

REMOVED = "remove outside"
PUT_BACK = "put back outside"
CONFIRMED_GONE = "confirm that it is gone"


def choose(who: audit.Who, outside: Outside) -> Retirement:
    """Begin a retirement of a schedule outside the database. Its pages show the command.

    Raises:
        Refused: no permission.
    """
    subject = f"{outside.kind} {outside.name}".strip()
    with on_record(who, "choose", subject), transaction.atomic():
        retirement = Retirement.objects.create(
            kind=outside.kind,
            state=RetirementState.BY_HAND,
            started_by=who.name,
            external=asdict(outside),
        )
        audit.record(
            who, REMOVED, AuditEvent.Outcome.INTENDED, retirement, statement=outside.remove
        )
    return retirement


def how_long(rules: Rules) -> tuple[Quiet, datetime] | None:
    """The quiet period as it would be now, with the database's clock.

    `None` if the plans cannot be read.
    """
    case = read_plans(rules).case
    return None if case is None else (quiet_period(case), case.now)


def ran_it(who: audit.Who, retirement: Retirement, rules: Rules) -> None:
    """The operator says that the command was run. Later plans show whether the caller is gone.

    Raises:
        Refused: the plans cannot be read now, or are those of a standby, so nothing could be
            verified; or no permission.
    """
    command = outside_of(retirement).remove
    with on_record(who, REMOVED, retirement, command):
        case = read_plans(rules).case
        if case is None:
            raise Refused(_("The plans cannot be read now, so nothing could be verified."))
        if case.ground.is_standby:
            raise Refused(
                _(
                    "DATABASE_URL is a standby. It shows the past, so plans from before the removal"
                    " would be taken for later ones. Point DATABASE_URL at the primary, then say"
                    " it again. Nothing was changed."
                )
            )
        quiet, now = quiet_period(case), case.now
        with transaction.atomic():
            lock(retirement, {RetirementState.BY_HAND})
            move(
                retirement,
                state=RetirementState.WATCHING,
                watched_since=now,
                watch={"needed": quiet.plans or LEAST},
                evidence={"quiet": quiet.as_json(), REMOVED_BY: who.name},
            )
            audit.record(
                who,
                REMOVED,
                AuditEvent.Outcome.DONE,
                retirement,
                summary=_("The operator has run it. %(how)s") % {"how": quiet.summary(now)},
                statement=command,
                evidence={"quiet": quiet.as_json()},
            )


def quiet_of(retirement: Retirement) -> Quiet | None:
    """The quiet period that was set once the operator had run the command, else `None`."""
    stored = retirement.evidence.get("quiet")
    return Quiet.from_json(stored) if stored else None


def is_proved_by_plans(retirement: Retirement) -> bool:
    """Whether the plans prove a removal, so that no operator has to confirm it."""
    if retirement.kind == CallerKind.PG_CRON:
        return True
    quiet = quiet_of(retirement)
    return quiet is not None and quiet.plans is not None


def confirm_gone(who: audit.Who, retirement: Retirement) -> None:
    """The operator confirms by name that the caller is gone, where behaviour proves nothing.

    Raises:
        Refused: the plans can still decide it, or they contradict it; or no permission.
    """
    with on_record(who, CONFIRMED_GONE, retirement), transaction.atomic():
        now = lock(retirement, {RetirementState.WATCHING})
        if now.watch.get("word") != Word.UNPROVEN:
            raise Refused(
                _("The plans still decide it: %(said)s Nothing was changed.")
                % {"said": summary_of(now.watch) or ""}
            )
        look = second_look(outside_of(retirement))
        said = _("%(who)s confirms that it is gone. Behaviour could not prove it.") % {
            "who": who.name
        }
        move(retirement, state=RetirementState.CONFIRMED_GONE, affirmed_by=who.name, reason=said)
        audit.record(
            who,
            CONFIRMED_GONE,
            AuditEvent.Outcome.DONE,
            retirement,
            summary=said,
            statement=outside_of(retirement).remove,
            evidence={
                "watch": now.watch,
                "quiet": now.evidence.get("quiet"),
                "findcallers": look.summary if look else None,
            },
        )


def put_back_done(who: audit.Who, retirement: Retirement) -> None:
    """The operator has brought the schedule back. Nothing here can check that.

    Raises:
        Refused: it was not removed, or no permission.
    """
    command = outside_of(retirement).undo
    with on_record(who, PUT_BACK, retirement, command), transaction.atomic():
        lock(retirement, Retirement.REMOVED)
        move(retirement, state=RetirementState.PUT_BACK)
        audit.record(who, PUT_BACK, AuditEvent.Outcome.DONE, retirement, statement=command)
