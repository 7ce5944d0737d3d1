"""Where the private PostgreSQL has its socket. It looks at nothing and makes nothing."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

_PLAIN = re.compile(r"[\w ./+@=-]+")
# A sockaddr_un holds 107 bytes of path; the socket's own file name takes the rest.
SOCKET_DIRECTORY_LIMIT = 107 - len("/.s.PGSQL.5432.lock")


def socket_directory(data: Path) -> Path:
    """Beside the data where that path is short and plain enough, else a folder in ``/tmp``.

    A comma would make two folders of it for PostgreSQL and two hosts for libpq. The place must
    not depend on the environment: the next start looks there too.
    """
    beside = data.parent / "socket"
    if len(os.fsencode(beside)) <= SOCKET_DIRECTORY_LIMIT and _PLAIN.fullmatch(str(beside)):
        return beside
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    return Path("/tmp") / f"multica-admin-{mark}"  # noqa: S108  checked before it is used
