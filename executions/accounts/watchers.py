"""Who keeps a page open: their sessions are checked together, not at each refresh.

A live part refreshes every few seconds, and Django would read the session and the user each time.
Instead, two statements check all sessions that this process has seen, at most every
``LOOK_SECONDS``. Two hundred viewers then cost our own tables as much as one.

A sign-out, a deactivation, a deletion, a new password or a lost role takes effect at once in the
process that made the change, and in every other process at its next check. Only refreshes are
answered this way. Opening a page, every form and every permission to act still ask Django.
"""

import copy
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from django.contrib.auth.models import Group, User
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.utils import timezone

from executions.accounts.roles import LOOK
from executions.models import AccountSession

LOOK_SECONDS = 5.0
# While our own tables answer slowly, the last result stays valid for this long in all.
TRUSTED_SECONDS = 2 * LOOK_SECONDS
# A viewer without a refresh for this long has closed the page or hidden its tab.
GONE_SECONDS = 300.0


@dataclass(frozen=True)
class _Watcher:
    """The user whom Django found for a session, when that was checked, and the last refresh."""

    user: User
    known_at: float
    asked_at: float


class Watchers:
    """The sessions of permitted accounts that this process has lately seen refresh.

    The lock guards memory only and is never held during a database call.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[str, _Watcher] = {}
        self._looked_at: float | None = None
        self._looking = False

    def find(self, session_key: str) -> User | None:
        """The permitted user of this session; None if this process does not know it.

        One thread checks for all. The others continue with the last result.

        Raises:
            django.db.Error: our own tables cannot be read.
        """
        with self._lock:
            now = self._clock()
            if session_key not in self._known:
                return None
            self._known[session_key] = replace(self._known[session_key], asked_at=now)
            due = self._looked_at is None or now - self._looked_at >= LOOK_SECONDS
            looks = due and not self._looking
            if looks:
                self._looking, self._looked_at = True, now
                self._known = {
                    key: watcher
                    for key, watcher in self._known.items()
                    if now - watcher.asked_at < GONE_SECONDS
                }
                watching = dict(self._known)
        if looks:
            self._look(watching, now)
        with self._lock:
            watcher = self._known.get(session_key)
            if watcher is None or now - watcher.known_at >= TRUSTED_SECONDS:
                return None
            # A copy, because a user object caches its permissions on first use.
            return copy.copy(watcher.user)

    def remember(self, session_key: str, user: User) -> None:
        """Remember a permitted user whom Django has just found signed in by this session.

        The user may have signed out since, so the next refresh checks all sessions again.
        """
        with self._lock:
            now = self._clock()
            self._known[session_key] = _Watcher(copy.copy(user), now, now)
            self._looked_at = None

    def look_again(self) -> None:
        """Trust no result before the next check, because roles have changed.

        A check that runs meanwhile may have read the old roles. It finds replaced users here and
        leaves them.
        """
        with self._lock:
            self._known = {
                key: replace(watcher, user=copy.copy(watcher.user), known_at=-math.inf)
                for key, watcher in self._known.items()
            }
            self._looked_at = None

    def forget_session(self, session_key: str) -> None:
        with self._lock:
            self._known.pop(session_key, None)

    def forget_user(self, user_id: int) -> None:
        with self._lock:
            self._known = {
                key: watcher for key, watcher in self._known.items() if watcher.user.pk != user_id
            }

    def _look(self, watching: Mapping[str, _Watcher], now: float) -> None:
        """Keep the sessions that are alive, of an active user with a role and the same password.

        After an error no session is known any more.
        """
        found: dict[str, User] = {}
        try:
            found = _signed_in(watching)
        finally:
            with self._lock:
                self._looking = False
                for key, watcher in watching.items():
                    standing = self._known.get(key)
                    # A session that was forgotten or remembered anew meanwhile stays as it is.
                    if standing is None or standing.user is not watcher.user:
                        continue
                    if key in found:
                        self._known[key] = replace(standing, user=found[key], known_at=now)
                    else:
                        del self._known[key]


def _signed_in(watching: Mapping[str, _Watcher]) -> dict[str, User]:
    """The users whom our own tables show for those sessions, read by two statements."""
    living = AccountSession.objects.filter(session_key__in=watching, expire_date__gt=timezone.now())
    keys = set(living.values_list("session_key", flat=True))
    users = User.objects.with_perm(LOOK).in_bulk({watcher.user.pk for watcher in watching.values()})
    return {
        key: users[watcher.user.pk]
        for key, watcher in watching.items()
        if key in keys and _is_still(watcher.user, users.get(watcher.user.pk))
    }


def _is_still(known: User, found: User | None) -> bool:
    """A session ends with the password that it was begun with."""
    return found is not None and found.password == known.password


_watchers = Watchers()


def current() -> Watchers:
    return _watchers


def _forget_session(instance: AccountSession, **_signal: Any) -> None:
    current().forget_session(instance.session_key)


def _forget_user(
    instance: User, update_fields: frozenset[str] | None = None, **_signal: Any
) -> None:
    if update_fields != frozenset({"last_login"}):  # signing in ends no other session
        current().forget_user(instance.pk)


def _look_again(**_signal: Any) -> None:
    current().look_again()


def connect_signals() -> None:
    """Make this process forget at once every session that it ends itself."""
    post_delete.connect(_forget_session, sender=AccountSession)
    post_delete.connect(_forget_user, sender=User)
    post_save.connect(_forget_user, sender=User)
    post_delete.connect(_look_again, sender=Group)
    for rights in (User.groups, User.user_permissions, Group.permissions):
        m2m_changed.connect(_look_again, sender=rights.through)
