"""How long somebody stays signed in, and signing out everywhere.

A session is over after ``SESSION_IDLE`` without use, and ``SESSION_AGE`` after the sign-in however
it is used. Both are in its row as one moment, so whoever reads sessions judges them alike. An open
page that refreshes by itself is no use.
"""

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import SessionBase
from django.db.models.functions import Now
from django.http import HttpRequest

from executions.database.old_rows import remove_some
from executions.models import AccountSession, LastSeen

log = logging.getLogger(__name__)

# Use is written down this often, and not with each page.
NOTED_SECONDS = 300
_BEGUN, _USED = "begun_at", "used_at"


# Generic for the type checker only: Django's class cannot be subscripted at run time.
if TYPE_CHECKING:
    _SessionStore = db.SessionStore[AccountSession]
else:
    _SessionStore = db.SessionStore


class SessionStore(_SessionStore):
    """Django's sessions in our own tables, each with the account that is signed in by it."""

    @classmethod
    def get_model_class(cls) -> type[AccountSession]:
        return AccountSession

    def create_model_instance(self, data: dict[str, Any]) -> AccountSession:
        row = super().create_model_instance(data)
        row.account_id = data.get(SESSION_KEY)
        return row


def begin(request: HttpRequest, user: User, **_signal: Any) -> None:
    """Somebody has just signed in, by whatever way."""
    request.session.pop(_USED, None)
    request.session[_BEGUN] = time.time()
    keep(request.session, user)


def keep(session: SessionBase, user: User) -> None:
    """Let the session of somebody who uses the pages go on, as long as it may."""
    now = time.time()
    if 0 <= now - session.get(_USED, 0) < min(NOTED_SECONDS, settings.SESSION_IDLE / 10):
        return
    end = min(now + settings.SESSION_IDLE, session.setdefault(_BEGUN, now) + settings.SESSION_AGE)
    session[_USED] = now
    session.set_expiry(datetime.fromtimestamp(end, UTC))
    LastSeen.objects.bulk_create(
        [LastSeen(account=user, at=Now())],
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["at"],
    )
    remove_some(AccountSession.objects.filter(expire_date__lt=Now()))


def end_all(user: User, but: str | None = None) -> None:
    """Sign the account out of every session, except the one with that key."""
    ended, _of_each = AccountSession.objects.filter(account_id=user.pk).exclude(pk=but).delete()
    extra = {"user_name": user.get_username(), "sessions": ended}
    log.info("Sessions ended", extra=extra)
