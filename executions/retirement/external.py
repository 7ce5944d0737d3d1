"""Schedules outside the database: the exact command that removes each kind, and proof of removal.

Nothing here runs a command, because cron, systemd and Kubernetes cannot be reached from here. The
plans show whether a caller is gone, by other writers (docs/contract.md section 6, `other_writer`).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from executions.health.findings.writer import LEAST
from executions.models.retirement import AuditEvent, CallerKind, Retirement, RetirementState
from executions.pgcron.match import ROLLUP
from executions.retirement import audit
from executions.retirement.facts import read_plans
from executions.retirement.outcomes import REMOVED_BY, move
from executions.retirement.quiet import Quiet, quiet_period
from executions.retirement.refusals import Refused
from executions.retirement.rules import Rules
from executions.retirement.watch import Word
from executions.retirement.wizard import on_record, permitted, require

_LABEL = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
# The pattern of names for each kind of schedule. The name of a crontab may be empty.
_NAMES: dict[str, dict[str, re.Pattern[str]]] = {
    CallerKind.CRON: {"name": re.compile(r"([a-z_][a-z0-9_.-]{0,31}\$?)?", re.IGNORECASE)},
    CallerKind.SYSTEMD: {"name": re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}")},
    CallerKind.CRONJOB: {"name": _LABEL, "namespace": _LABEL},
}
REMOVED = "remove outside"
PUT_BACK = "put back outside"
CONFIRMED_GONE = "confirm that it is gone"


class NotAName(ValueError):
    """The operator typed something that cannot be a name. ``field`` says where."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class Outside:
    """A schedule outside the database, as the operator names it.

    ``name`` is the user of a crontab, the unit of a timer or the name of a CronJob, and
    ``namespace`` a CronJob's. An empty ``name`` of cron is the operator's own crontab.

    Raises:
        NotAName: a name is invalid, with a sentence that says why.
    """

    kind: str
    name: str = ""
    namespace: str = "default"

    def __post_init__(self) -> None:
        if self.kind not in _NAMES:
            raise NotAName("kind", _("“%(name)s” is not a valid name.") % {"name": self.name})
        for field, pattern in _NAMES[self.kind].items():
            name = getattr(self, field)
            _refuse_option(field, name)
            if not pattern.fullmatch(name):
                raise NotAName(field, _("“%(name)s” is not a valid name.") % {"name": name})

    @property
    def unit(self) -> str:
        return self.name if self.name.endswith(".timer") else f"{self.name}.timer"

    @property
    def find(self) -> str:
        """The command that shows the schedule."""
        if self.kind == CallerKind.CRON:
            return f"crontab {self._user}-l | grep -n {ROLLUP}"
        if self.kind == CallerKind.SYSTEMD:
            return f"systemctl list-timers --all {shlex.quote(self.unit)}"
        return f"kubectl --namespace {self.namespace} get cronjob {self.name} -o yaml"

    @property
    def remove(self) -> str:
        """The command that removes the schedule. A crontab's line becomes a comment."""
        if self.kind == CallerKind.CRON:
            edit = f"sed '/^[^#].*{ROLLUP}/s/^/#retired /'"
            return f"crontab {self._user}-l | {edit} | crontab {self._user}-"
        if self.kind == CallerKind.SYSTEMD:
            return f"systemctl disable --now {shlex.quote(self.unit)}"
        return (
            f"kubectl --namespace {self.namespace} get cronjob {self.name} -o yaml"
            f" > {self.name}.yaml"
            f" && kubectl --namespace {self.namespace} delete cronjob {self.name}"
        )

    @property
    def undo(self) -> str:
        """The command that brings the schedule back."""
        if self.kind == CallerKind.CRON:
            edit = f"sed '/{ROLLUP}/s/^#retired //'"
            return f"crontab {self._user}-l | {edit} | crontab {self._user}-"
        if self.kind == CallerKind.SYSTEMD:
            return f"systemctl enable --now {shlex.quote(self.unit)}"
        return f"kubectl --namespace {self.namespace} apply -f {self.name}.yaml"

    @property
    def _user(self) -> str:
        return f"-u {shlex.quote(self.name)} " if self.name else ""


def _refuse_option(field: str, name: str) -> None:
    """Refuse a name that begins with "-": even quoted, a command would take it for an option.

    Raises:
        NotAName: the name begins so.
    """
    if name.startswith("-"):
        raise NotAName(
            field,
            _(
                "“%(name)s” is not a valid name: it begins with “-”, so the command would"
                " take it for an option.") % {"name": name}
        )  # fmt: skip


def outside_of(retirement: Retirement) -> Outside:
    """The schedule that an external retirement is about."""
    stored: Mapping[str, str] = retirement.external or {}
    return Outside(**{name: stored[name] for name in ("kind", "name", "namespace")})


def choose(who: audit.Who, outside: Outside) -> Retirement:
    """Begin a retirement of a schedule outside the database. Its pages show the command.

    Raises:
        Refused: no permission.
    """
    with on_record(who, "choose", f"{outside.kind} {outside.name}".strip()):
        permitted(who)
    with transaction.atomic():
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
        permitted(who)
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
            require(
                Retirement.objects.select_for_update().get(pk=retirement.pk),
                {RetirementState.BY_HAND},
            )
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
    with on_record(who, CONFIRMED_GONE, retirement):
        permitted(who)
        with transaction.atomic():
            now = Retirement.objects.select_for_update().get(pk=retirement.pk)
            require(now, {RetirementState.WATCHING})
            if now.watch.get("word") != Word.UNPROVEN:
                raise Refused(
                    _("The plans still decide it: %(said)s Nothing was changed.")
                    % {"said": now.watch.get("summary", "")}
                )
            said = _("%(who)s confirms that it is gone. Behaviour could not prove it.") % {
                "who": who.name
            }
            move(
                retirement, state=RetirementState.CONFIRMED_GONE, affirmed_by=who.name, reason=said
            )
            audit.record(
                who,
                CONFIRMED_GONE,
                AuditEvent.Outcome.DONE,
                retirement,
                summary=said,
                statement=outside_of(retirement).remove,
                evidence={"watch": now.watch, "quiet": now.evidence.get("quiet")},
            )


def put_back_done(who: audit.Who, retirement: Retirement) -> None:
    """The operator has brought the schedule back. Nothing here can check that.

    Raises:
        Refused: it was not removed, or no permission.
    """
    command = outside_of(retirement).undo
    with on_record(who, PUT_BACK, retirement, command):
        permitted(who)
        with transaction.atomic():
            now = Retirement.objects.select_for_update().get(pk=retirement.pk)
            require(now, Retirement.REMOVED)
            move(retirement, state=RetirementState.PUT_BACK)
            audit.record(who, PUT_BACK, AuditEvent.Outcome.DONE, retirement, statement=command)
