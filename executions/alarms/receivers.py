"""Sends a message to a receiver by apprise, and says in safe words why it did not get through.

No address, and no text of apprise or of a receiver, leaves this module: they may contain secrets.
"""

from __future__ import annotations

import hashlib
import logging
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from executions.alarms.message import Message

if TYPE_CHECKING:
    from apprise import Apprise, NotifyBase

# What a failure is called in our own tables; `problems.py` has the sentences.
UNUSABLE, UNREACHED, REFUSED = "unusable", "unreached", "refused"
STATUS = "status"
# One address must not be guessed from its digest, so the digest takes a while to make.
_ROUNDS = 100_000
_SALT = b"multica-admin receivers of alarms"


@dataclass(frozen=True)
class Receiver:
    """One address of ALERT_URLS, by its position there from 1 on. It never shows the address."""

    position: int
    url: str = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """Tells it from other receivers in every process, wherever it stands in the list."""
        made = hashlib.pbkdf2_hmac("sha256", self.url.encode(), _SALT, _ROUNDS)
        return made.hex()[:24]

    @cached_property
    def _plugin(self) -> NotifyBase | None:
        """apprise is imported only where there is a receiver, because it takes a second."""
        import apprise

        with _listening():
            asset = apprise.AppriseAsset(
                app_id="Multica Admin",
                http_redirects=False,
                service_timeout=0,  # otherwise it sends in a thread of its own: see `_Heard`
            )
            plugin = apprise.Apprise.instantiate(self.url, asset=asset)
        if plugin is None:
            return None
        # An address could ask for them. What redirects could lead the message anywhere.
        plugin.redirects = False
        return plugin

    @cached_property
    def _sender(self) -> Apprise:
        """It raises nothing, and brings a text into the form that the service takes.

        A mail, for example, is HTML unless its address asks for text.
        """
        import apprise

        return apprise.Apprise(self._plugin)

    @property
    def service(self) -> str:
        """The name of the service, such as "Slack"; empty if apprise knows none."""
        return str(self._plugin.service_name) if self._plugin else ""

    def send(self, message: Message) -> str:
        """Send a message. Return why it was not taken, or nothing if it was."""
        if self._plugin is None:
            return UNUSABLE
        with _listening() as heard:
            taken = self._sender.notify(message.body, message.title, body_format="text")
        return "" if taken else heard.problem


def receivers_of(urls: tuple[str, ...]) -> list[Receiver]:
    return [Receiver(position, url) for position, url in enumerate(urls, 1)]


class _Heard(logging.Handler):
    """Takes from apprise's log of one thread what is safe: a status, or that nobody answered."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._thread = threading.get_ident()
        self.problem = REFUSED

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread != self._thread:
            return
        said = record.getMessage()
        if status := re.search(r"\berror=([1-5]\d\d)\b", said):
            self.problem = f"{STATUS} {status[1]}"
        elif "Connection error" in said or "Socket Exception" in said:
            self.problem = UNREACHED


@contextmanager
def _listening() -> Iterator[_Heard]:
    log = logging.getLogger("apprise")
    heard = _Heard()
    log.addHandler(heard)
    try:
        yield heard
    finally:
        log.removeHandler(heard)
