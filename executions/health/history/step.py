"""PURE: what a look adds to the history: a change, or the beginning or end of a blind stretch.

The moments of looks are by the clock of our own tables' database, which always answers when a look
is written. Multica's clock is kept beside it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from executions.health.facts import Facts
from executions.health.findings.base import with_explained
from executions.health.verdict import Level, Verdict

# Without a look for this long nobody was watching. A restart is shorter, and so is a slow look.
UNSEEN = timedelta(seconds=90)


class Blindness(TextChoices):
    """Why nobody could see how the rollup goes."""

    NOT_RUNNING = "not_running", _("Multica Admin was not running.")
    OWN_TABLES_AWAY = "own_tables_away", _("Multica Admin's own tables could not be reached.")
    DATABASE_AWAY = "database_away", _("Multica's database could not be reached.")
    RIGHTS_MISSING = "rights_missing", _("The role of the dashboard was not allowed to look.")
    CANNOT_TELL = "cannot_tell", _("What Multica's database holds gave no answer.")


_UNSEEN = frozenset({Blindness.NOT_RUNNING, Blindness.OWN_TABLES_AWAY})
# By the codes of `database/troubles.py`. Other troubles are about what the database holds.
_RIGHTS = frozenset({"rights", "row_security", "no_usage", "no_connect_right", "not_let_in"})
_AWAY = frozenset(
    {
        "no_server", "embedded_stopped", "embedded_lost", "no_host", "no_database",
        "closed_database", "connections", "refused", "not_ready", "server_kind", "tls",
        "not_postgresql", "pool_busy", "lost", "ended", "timeout", "locked", "busy", "taken",
        "resources", "damaged",
    }
)  # fmt: skip


def blindness_of(facts: Facts) -> Blindness | None:
    """Why these facts give no verdict; None if they give one."""
    codes = {problem.code for problem in facts.basics}
    if not codes:
        return None
    if codes & _AWAY:
        return Blindness.DATABASE_AWAY
    return Blindness.RIGHTS_MISSING if codes & _RIGHTS else Blindness.CANNOT_TELL


def marks_of(verdict: Verdict) -> list[str]:
    """The set of findings, those that another explains included. Its order means nothing."""
    return sorted({f"{one.key} {one.severity.word}" for one in with_explained(verdict.findings)})


@dataclass(frozen=True)
class VerdictLook:
    """What a look saw at the moment ``at``. ``clock`` is Multica's then; None if nobody knows."""

    at: datetime
    clock: datetime | None
    level: Level
    marks: list[str]
    blind: Blindness | None


@dataclass(frozen=True)
class Before:
    """What the looks before have left. ``ahead`` is by how much Multica's clock was ahead of ours.

    ``blind`` is the reason of the stretch that has not ended.
    """

    at: datetime
    ahead: timedelta
    level: Level
    marks: list[str]
    blind: Blindness | None


@dataclass(frozen=True)
class Stretch:
    """A blind stretch to write. ``until`` is None if it lasts.

    One that ``was_open`` is in the history already, and ends now.
    """

    reason: Blindness
    since: datetime
    until: datetime | None
    was_open: bool = False


@dataclass(frozen=True)
class VerdictStep:
    """The rows to write. ``after_blindness``: if anything changed, nobody saw when."""

    changed: bool
    stretches: tuple[Stretch, ...]
    after_blindness: bool


def unseen(before: Before, at: datetime, failing_for: timedelta) -> tuple[Stretch, ...]:
    """The stretch since the last look, if nobody was watching; it lasts until a look has seen.

    ``failing_for`` is how long our own tables have been away while this process tried to look.
    """
    if at - before.at <= UNSEEN or before.blind in _UNSEEN:
        return ()
    tried = at - failing_for - before.at <= UNSEEN
    reason = Blindness.OWN_TABLES_AWAY if tried else Blindness.NOT_RUNNING
    begun = Stretch(reason, before.at, None)
    if before.blind is None:
        return (begun,)
    return (Stretch(before.blind, before.at, before.at, was_open=True), begun)


def step(before: Before | None, look: VerdictLook) -> VerdictStep:
    """Compare a look with what is known."""
    if before is None:
        opened = (Stretch(look.blind, look.at, None),) if look.blind else ()
        return VerdictStep(True, opened, after_blindness=False)
    changed = (before.level, before.marks) != (look.level, look.marks)
    if before.blind == look.blind:
        return VerdictStep(changed, (), after_blindness=False)
    stretches: list[Stretch] = []
    if before.blind is not None:
        stretches.append(Stretch(before.blind, look.at, look.at, was_open=True))
    if look.blind is not None:
        since = before.at if before.blind is None else look.at
        stretches.append(Stretch(look.blind, since, None))
    return VerdictStep(changed, tuple(stretches), after_blindness=look.blind is None)
