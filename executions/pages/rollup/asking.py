"""The sessions that hold lock 4246 or wait for it, each with what it is and whether it leaks."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts.sessions import DatabaseSession, Lock
from executions.health.findings import Finding, FindingCode
from executions.health.findings.base import of_code, with_explained


@dataclass(frozen=True)
class Asking:
    """``leak`` is the finding that calls this session a leak; None if none does."""

    session: DatabaseSession
    holds: bool
    leak: Finding | None = None

    @property
    def key(self) -> str:
        return f"{'holds' if self.holds else 'waits'}-{self.session.pid or 'prepared'}"

    @property
    def meaning(self) -> Promise:
        """The consequence for others, unless the session is a leak."""
        if not self.holds:
            return _("It goes on when the lock is free. A run that comes meanwhile does not wait.")
        if not self.session.idle:
            if (self.session.state or "").startswith("idle in transaction"):
                return _(
                    "It has a transaction open and does nothing in it at this moment. Others get"
                    " the lock when that transaction ends."
                )
            return _("It is at work. Others get the lock when it ends.")
        return _(
            "It is idle at this moment, as a backfill is between two slices. If it stays so while"
            " runs find the lock taken, it is a leak, and this page says so."
        )


def askers(lock: Lock, findings: Iterable[Finding]) -> list[Asking]:
    """The holders first, each with the finding that calls it a leak."""
    leak = of_code(FindingCode.LOCK_LEAKED, with_explained(findings))
    leaking = leak.evidence.get("pid") if leak else None
    return [
        *(
            Asking(one, holds=True, leak=leak if leak and one.pid == leaking else None)
            for one in lock.holders
        ),
        *(Asking(one, holds=False) for one in lock.waiters),
    ]
