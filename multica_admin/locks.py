"""Lock files that only their owner may open.

Whoever can open a file, if only to read it, can hold its lock and so delay everybody who waits
for it. Nothing here knows what a lock is for.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

FOR_THE_OWNER_ONLY = 0o600


def open_for_owner(path: Path, also: Collection[int] = ()) -> int:
    """A descriptor of the file, which is made if need be and closed to every other user.

    The file may belong to this process's user or to one of the user ids in ``also``. The check is
    for root, whom the system lets open and close every file, whoever can open it again.

    Raises:
        OSError: the file is a link, belongs to another user, or cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, FOR_THE_OWNER_ONLY)
    try:
        if os.fstat(descriptor).st_uid not in {os.geteuid(), *also}:
            raise PermissionError(errno.EPERM, f"{path.name} belongs to another user; remove it")
        # An earlier version may have made it with another mode.
        os.fchmod(descriptor, FOR_THE_OWNER_ONLY)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of that file; wait while another process holds it.

    Raises:
        OSError: as for `open_for_owner`.
    """
    descriptor = open_for_owner(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
