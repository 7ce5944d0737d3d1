"""How long the path of a socket may be, and the folder of the private PostgreSQL's socket.

This module reads and makes nothing.
"""

import hashlib
import os
import re
from pathlib import Path

_PLAIN = re.compile(r"[\w ./+@=-]+")
LONGEST_PATH = 107  # bytes: what a sockaddr_un holds
# The socket's file name takes some of them.
SOCKET_DIRECTORY_LIMIT = LONGEST_PATH - len("/.s.PGSQL.5432.lock")


def socket_directory(data: Path) -> Path:
    """The folder beside the data if its path is short and plain enough, else a folder in ``/tmp``.

    A comma would mean two folders to PostgreSQL and two hosts to libpq. The folder must not depend
    on the environment, because the next start must find it again.
    """
    beside = data.parent / "socket"
    if len(os.fsencode(beside)) <= SOCKET_DIRECTORY_LIMIT and _PLAIN.fullmatch(str(beside)):
        return beside
    return Path("/tmp") / named_after(data)  # noqa: S108  checked before it is used


def named_after(folder: Path) -> str:
    """The name of a folder elsewhere that belongs to this one."""
    return f"multica-admin-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
