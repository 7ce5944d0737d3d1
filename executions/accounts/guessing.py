"""Limits how often somebody may guess, such as a password or a code.

A guess is counted before anybody checks it, by one statement in our own database, so many at once
get no more than the limit in all processes together. Nothing here knows which accounts exist.
"""

import ipaddress
import logging
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import F
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from executions.accounts.turns import Turns
from executions.database.old_rows import remove_some
from executions.database.own_clock import from_now
from executions.database.sql import load
from executions.models import GuessCount
from multica_admin.arriving import PASSWORD_THREADS

log = logging.getLogger(__name__)

GUESSING = load("guessing")
# A count is removed so long after its time is over, when nobody asks for it any more.
KEPT = timedelta(hours=1)
# The part of an IPv6 address that one client usually has for itself.
_IPV6_NETWORK = 64


@dataclass(frozen=True)
class Purpose:
    """What is guessed, and how often within ``span`` from the first guess on.

    Each purpose has counts of its own. ``name`` is stored.
    """

    name: str
    per_account: int
    per_address: int
    span: timedelta


SIGN_IN = Purpose("sign in", per_account=10, per_address=50, span=timedelta(minutes=10))
# Strangers cannot use up these guesses, so whoever is signed in can go on while they guess.
CONFIRM = Purpose("sign in again", per_account=10, per_address=50, span=timedelta(minutes=10))


# One thread is left to tell others that there are too many.
CHECKS = Turns(PASSWORD_THREADS - 1)
# All the checks that may wait at once are over by then.
_BUSY_SECONDS = 3


class GuessRefused(ValidationError):
    """A guess that must not be checked for so many ``seconds``.

    ``message`` is a sentence for people, the same for every account, which a form shows by itself.
    """

    def __init__(self, message: str, seconds: int) -> None:
        super().__init__(message)
        self.seconds = seconds


class TooManyGuesses(GuessRefused):
    """The account or the address has no guess left."""

    def __init__(self, seconds: int) -> None:
        minutes = -(-seconds // 60)
        message = ngettext(
            "There were too many tries. Try again in %(n)s minute.",
            "There were too many tries. Try again in %(n)s minutes.",
            minutes,
        )
        super().__init__(message % {"n": minutes}, seconds)


class TooManyAtOnce(GuessRefused):
    """Passwords from this address are waiting already, and this one is not counted."""

    def __init__(self) -> None:
        message = _(
            "Too many passwords are being checked at this moment. Try again in a few seconds."
        )
        super().__init__(message, _BUSY_SECONDS)


@contextmanager
def guess(purpose: Purpose, account: str, address: str, device: str = "") -> Iterator[None]:
    """Count a guess at the name of an account from a client's address; an error means a wrong one.

    A browser that the account knows (`devices`) has a count of its own instead of the account's.

    Raises:
        TooManyGuesses: it must not be checked.
    """
    begin(purpose, account, address, device)
    yield
    _was_right(purpose, account, address, device)


@contextmanager
def password_guess(
    purpose: Purpose, account: str, address: str, device: str = ""
) -> Iterator[None]:
    """As `guess`, for what takes a processor for long: it waits for its turn, once it is counted.

    Raises:
        GuessRefused: it must not be checked. Nothing has waited.
    """
    with CHECKS.place(_address(address)) as ticket:
        if ticket is None:
            extra = {"purpose": purpose.name, "address": address}
            log.warning("Too many passwords at once", extra=extra)
            raise TooManyAtOnce
        with guess(purpose, account, address, device):
            CHECKS.take(ticket)
            yield


def begin(purpose: Purpose, account: str, address: str, device: str = "") -> None:
    """Count a guess, or anything else that somebody may do only so often, such as asking for mail.

    It is committed at once, so no transaction may be open: its end could undo the count.

    Raises:
        TooManyGuesses: it must not be checked.
    """
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            GUESSING.begin,
            {
                "purpose": purpose.name,
                "account": _account(account, device),
                "address": _address(address),
                "per_account": purpose.per_account,
                "per_address": purpose.per_address,
                "seconds": purpose.span.total_seconds(),
            },
        )
        refused = cursor.fetchone()
    if refused:
        extra = {"purpose": purpose.name, "address": address, "seconds": refused[0]}
        log.warning("Too many guesses", extra=extra)
        raise TooManyGuesses(refused[0])
    remove_some(GuessCount.objects.filter(until__lt=from_now(-KEPT)))


def _was_right(purpose: Purpose, account: str, address: str, device: str) -> None:
    """Forget the guesses at that account or device, and the one of the address that was none."""
    counts = GuessCount.objects.filter(purpose=purpose.name)
    counts.filter(whose=_account(account, device)).delete()
    counts.filter(whose=_address(address), guesses__gt=0).update(guesses=F("guesses") - 1)


def is_one_account(name: str, other: str) -> bool:
    """Whether the two names are counted as one."""
    return _account(name) == _account(other)


def _account(name: str, device: str = "") -> str:
    """One digest for all spellings of a name that could mean the same account, or for a device."""
    if device:
        return _digest("device", device)
    return _digest("account", unicodedata.normalize("NFKC", name).strip().casefold())


def _address(address: str) -> str:
    """One digest for all addresses that one client can choose from."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return _digest("address", address)
    bits = _IPV6_NETWORK if known.version == 6 else known.max_prefixlen
    return _digest("address", str(ipaddress.ip_network((int(known), bits), strict=False)))


def _digest(kind: str, value: str) -> str:
    return salted_hmac(f"{__name__} {kind}", value, algorithm="sha256").hexdigest()
