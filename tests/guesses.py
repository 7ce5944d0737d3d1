"""Passwords, sent to a real server as a browser sends them."""

from __future__ import annotations

import http.client
import re
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from tests.waiting import HANG


class OverASocket(http.client.HTTPConnection):
    """A connection by a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=HANG)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


class Guess:
    """The sign-in form of a server, filled in with a name and a password, wrong by default."""

    def __init__(
        self, wire: http.client.HTTPConnection, name: str, password: str = "wrong"
    ) -> None:
        self._wire = wire
        wire.request("GET", "/login/")
        page = wire.getresponse()
        cookie = page.headers["Set-Cookie"].partition(";")[0]
        token = re.search(r'csrfmiddlewaretoken" value="([^"]+)', page.read().decode())[1]
        self._form = {"csrfmiddlewaretoken": token, "username": name, "password": password}
        self._headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}

    def send(self, headers: Mapping[str, str] | None = None) -> int:
        """Send it, and return the status of the answer."""
        sent = self._headers | dict(headers or {})
        self._wire.request("POST", "/login/", urlencode(self._form), sent)
        answer = self._wire.getresponse()
        answer.read()
        return answer.status
