"""PURE: the sessions that hold lock 4246 of the database, wait for it or write buckets."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class SessionWork(TextChoices):
    """What a session probably does, by its name and its current or last statement."""

    OUR_BACKFILL = "our_backfill", _("It is probably a backfill that was started from here.")
    OUR_RUNNER = "our_runner", _("It is probably this installation's own runner.")
    PG_CRON = "pg_cron", _("It is probably a run of a pg_cron job.")
    ROLLUP = "rollup", _("It is probably another run of the rollup, by Multica or by a schedule.")
    BACKFILL = "backfill", _("It is probably a backfill of Multica's.")
    DELETION = "deletion", _("It is probably Multica, which deletes a workspace.")
    CODEX_BACKFILL = "codex_backfill", _("It is probably Multica's codex-usage backfill.")
    OTHER = "other", _("Its statements do not tell what it is for.")
    HIDDEN = "hidden", _("Nobody can tell what it is for: this role may not see its statements.")


@dataclass(frozen=True)
class DatabaseSession:
    """A session of this database. A value that the role may not see is None.

    ``idle`` needs no rights: a session outside a transaction holds no virtual transaction id.
    ``since`` is when its state last changed.
    """

    pid: int | None
    application_name: str | None
    user: str | None
    state: str | None
    since: datetime | None
    idle: bool
    work: SessionWork = SessionWork.HIDDEN


@dataclass(frozen=True)
class Lock:
    """Advisory lock 4246 of this database: who holds it, who waits, and who writes buckets now.

    ``writers`` hold a write lock on ``task_usage_hourly`` or visibly call a rollup function. A
    backfill is idle between two slices, so our own backfill's sessions and sessions that ran the
    window function a moment ago are writers too. ``waiters`` wait for the lock, as a backfill and
    the deletion of a workspace do. A run of the rollup never waits.
    """

    holders: tuple[DatabaseSession, ...] = ()
    writers: tuple[DatabaseSession, ...] = ()
    waiters: tuple[DatabaseSession, ...] = ()

    @property
    def idle_holder(self) -> DatabaseSession | None:
        return next((holder for holder in self.holders if holder.idle), None)
