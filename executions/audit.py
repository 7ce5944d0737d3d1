"""The audit: one line for everything that somebody wanted to change, refusals included.

Lines are only added; triggers refuse everything else (docs/interfaces.md, ``/audit/``). Its time is
the clock of our own database. What the acting database said is in the line's evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser

from executions.health.assessment import plain
from executions.retirement_models import ITSELF, Act, AuditEvent, Retirement


@dataclass(frozen=True)
class Who:
    """Who acts: a user, or this product by itself. Names outlive their accounts."""

    name: str
    id: int | None = None

    @classmethod
    def user(cls, user: AbstractBaseUser | AnonymousUser) -> Who:
        return cls(user.get_username(), user.pk)


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
    """Add one line. Inside a transaction it stands or falls with what it tells of.

    ``about`` is what it concerns: an act brings its statement, its role and its retirement along.
    """
    act = about if isinstance(about, Act) else None
    retirement = act.retirement if act else about if isinstance(about, Retirement) else None
    return AuditEvent.objects.create(
        user_id=who.id,
        user_name=who.name,
        action=action,
        outcome=outcome,
        subject=retirement.label if retirement else str(about),
        summary=summary,
        statement=statement or (act.statement if act else ""),
        role=act.role if act else "",
        evidence=plain(evidence or {}),
        retirement_id=retirement.pk if retirement else None,
        act_id=act.pk if act else None,
    )
