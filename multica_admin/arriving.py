"""What a connection has received of a request: when it is whole, and which threads serve it.

Pure: it reads no socket and knows no clock. gunicorn's own parser decides what the request is. This
module only decides how long to wait for it, so that no thread waits for a client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

# A head may have one line of 8,190 bytes, and cookies of other applications on the same host.
HEAD_BYTES = 64 * 1024
# Twice the largest report of `findcallers`. Every other form is small.
BODY_BYTES = 1024 * 1024

_ALIVE_PATHS = frozenset({"/livez", "/livez/"})
_FOR_MACHINES = ("/livez", "/readyz", "/healthz", "/status", "/metrics")
PROBE_PATHS = frozenset(path + slash for path in _FOR_MACHINES for slash in ("", "/"))
_EXPORT_PATHS = frozenset(
    {"/executions/export.csv", "/executions/export.jsonl", "/audit/export.csv"}
)
_PASSWORD_PATHS = frozenset({"/login/", "/confirm/", "/password/"})
# To an identity provider and back.
_OUTSIDE_PATH = re.compile(r"/login/(?!(?:code|once)/)[^/]+/(?:callback/)?")

PAGES, ALIVE, PROBES, EXPORTS, PASSWORDS = "pages", "alive", "probes", "exports", "passwords"
OUTSIDE = "outside"

# Those for passwords check one at a time (`executions.accounts.turns`). The others count and refuse
# guesses meanwhile, which takes milliseconds.
PASSWORD_THREADS = 6

_LENGTH = re.compile(rb"\ncontent-length:[ \t]*0*([0-9]+)[ \t]*\r", re.IGNORECASE)
_WITHOUT_LENGTH = re.compile(rb"\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECTS_CONTINUE = re.compile(rb"\nexpect:[ \t]*100-continue[ \t]*\r", re.IGNORECASE)
_SCHEME_AND_HOST = re.compile(r"\A[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")  # of a proxy's request line
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True)
class Refusal:
    """An answer to a request that no thread needs to see."""

    status: int
    reason: str
    sentence: str


TOO_LATE = Refusal(
    408, "Request Timeout", "The request did not arrive in time. Please send it again."
)
HEAD_TOO_LARGE = Refusal(
    431,
    "Request Header Fields Too Large",
    f"The head of the request has more than {HEAD_BYTES // 1024} KiB."
    " Remove this host's cookies and load the page again.",
)
BODY_TOO_LARGE = Refusal(
    413,
    "Content Too Large",
    f"The request has more than {BODY_BYTES // 1024} KiB, which no form here needs."
    " Please choose a smaller file.",
)
LENGTH_NEEDED = Refusal(
    411,
    "Length Required",
    "The request does not say how long it is. Please send it with a Content-Length.",
)


class Arriving:
    """One request while its bytes arrive.

    ``data`` may have the beginning of the next request behind it. Once ``refusal`` is set, the
    request needs no thread.
    """

    def __init__(self) -> None:
        self.data = bytearray()
        self.refusal: Refusal | None = None
        self._searched = 0
        self._length: int | None = None  # of head and body, once the head is here

    def add(self, data: bytes) -> None:
        """Take what the client has sent."""
        self.data += data
        if self._length is None:
            self._look_for_the_body()

    @property
    def has_its_head(self) -> bool:
        return self._length is not None

    @property
    def is_whole(self) -> bool:
        return self._length is not None and len(self.data) >= self._length

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a word before it sends the body."""
        return bool(_EXPECTS_CONTINUE.search(self.data))

    def _look_for_the_body(self) -> None:
        end = self.data.find(_END_OF_HEAD, max(0, self._searched - len(_END_OF_HEAD)))
        self._searched = len(self.data)
        if max(end, 0 if end >= 0 else self._searched) > HEAD_BYTES:
            self.refusal = HEAD_TOO_LARGE
        if end < 0:
            return
        head = bytes(self.data[: end + len(_END_OF_HEAD)])
        named = _LENGTH.search(head)
        body = int(named[1][:16]) if named else 0  # more digits are too many anyway
        self._length = len(head) + body
        if body > BODY_BYTES:
            self.refusal = BODY_TOO_LARGE
        elif _WITHOUT_LENGTH.search(head):
            self.refusal = LENGTH_NEEDED


def threads_for(data: bytes | bytearray, prefix: str) -> str:
    """The name of the threads that serve a request, by its first line.

    Probes have a thread of their own, so busy pages never make a process look dead. ``/livez`` asks
    no database and has one that the other probes cannot occupy either. Exports may wait for their
    reader. Checking a password takes a processor for a quarter of a second, and others wait for it.
    Whoever goes to an identity provider, or comes back, waits until it answers us.
    """
    method, _, rest = data.lstrip(b"\r\n").partition(b"\r\n")[0].decode("latin-1").partition(" ")
    target = _SCHEME_AND_HOST.sub("", rest.partition(" ")[0], count=1)
    path = unquote(re.split(r"[?#]", target, maxsplit=1)[0], "latin-1")
    if prefix and path.startswith(f"{prefix}/"):
        path = path[len(prefix) :]
    if path in _ALIVE_PATHS:
        return ALIVE
    if path in PROBE_PATHS:
        return PROBES
    if path in _EXPORT_PATHS:
        return EXPORTS
    if method == "POST" and path in _PASSWORD_PATHS:
        return PASSWORDS
    return OUTSIDE if _OUTSIDE_PATH.fullmatch(path) else PAGES
