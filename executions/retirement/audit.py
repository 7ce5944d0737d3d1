"""The audit: one line for everything that an operator wanted to change, refusals included.

Lines are only added; triggers refuse everything else (docs/interfaces.md, ``/audit/``). So an
account that may not act adds no line, and every text of a line has a maximum length. A line's time
is our own database's clock. The answer of the acting database is in the line's evidence.
"""

from __future__ import annotations

import getpass
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.utils.translation import gettext as _

from executions.health.assessment import plain
from executions.models.retirement import ITSELF, Act, AuditEvent, Retirement

log = logging.getLogger(__name__)

# A line keeps this many characters of a text, and says how many it left out.
MOST_CHARACTERS = 10_000


@dataclass(frozen=True)
class Who:
    """Who acts: a user, or this product itself. Names outlive their accounts.

    ``why`` is the reason in the user's own words, such as a ticket; empty if none was given.
    """

    name: str
    id: int | None = None
    why: str = ""

    @classmethod
    def user(cls, user: AbstractBaseUser | AnonymousUser, why: str = "") -> Who:
        return cls(user.get_username(), user.pk, why)

    @classmethod
    def of_command(cls, why: str = "") -> Who:
        """Whoever runs a command on this machine. A container's user may have no name."""
        try:
            name = getpass.getuser()
        except (KeyError, OSError):
            name = _("somebody")
        return cls(_("%(user)s (manage.py)") % {"user": name}, why=why)


MYSELF = Who(ITSELF)


def record(
    who: Who,
    action: str,
    outcome: AuditEvent.Outcome,
    about: Retirement | Act | str,
    *,
    summary: str = "",
    statement: str = "",
    evidence: Mapping[str, object] | None = None,
) -> AuditEvent:
    """Add one line. Inside a transaction it is committed or rolled back with the change.

    Once it is committed, the log has it too.
    ``about`` is the subject: an act adds its statement, its role and its retirement. Texts longer
    than ``MOST_CHARACTERS`` are cut.
    """
    act = about if isinstance(about, Act) else None
    retirement = act.retirement if act else about if isinstance(about, Retirement) else None
    line = AuditEvent.objects.create(
        user_id=who.id,
        user_name=_bounded(who.name),
        action=_bounded(action),
        outcome=outcome,
        subject=_bounded(retirement.name_on_record if retirement else str(about)),
        summary=_bounded(summary),
        why=_bounded(who.why),
        statement=_bounded(statement or (act.statement if act else "")),
        role=_bounded(act.role if act else ""),
        evidence=_each_bounded(plain(evidence or {})),
        retirement_id=retirement.pk if retirement else None,
        act_id=act.pk if act else None,
    )
    transaction.on_commit(lambda: _log(line))
    return line


def _log(line: AuditEvent) -> None:
    """Write the line to the log too. A log can be stored where this database's users cannot go."""
    extra = {
        "line": line.pk,
        "user_name": line.user_name,
        "action": line.action,
        "outcome": line.outcome,
        "about": line.subject,
        "summary": line.summary,
        "why": line.why,
    }
    log.info("Audit", extra=extra)


def _bounded(text: str) -> str:
    left_out = len(text) - MOST_CHARACTERS
    if left_out <= 0:
        return text
    more = _("(%(count)s more characters)") % {"count": left_out}
    return f"{text[:MOST_CHARACTERS]} … {more}"


def _each_bounded(value: object) -> object:
    """Evidence in JSON's own types, with each text in it cut to its maximum."""
    if isinstance(value, dict):
        return {_bounded(key): _each_bounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_each_bounded(one) for one in value]
    return _bounded(value) if isinstance(value, str) else value
