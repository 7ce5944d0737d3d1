"""Lock files that only their owner can open.

A user who can open a file, even only to read it, can hold its lock and delay everybody who waits
for it. This module does not know what a lock is for.
"""

import errno
import fcntl
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from multica_admin.language import later

FOR_THE_OWNER_ONLY = 0o600


def open_for_owner(path: Path, also: Collection[int] = ()) -> int:
    """Open the file, or make it, and close it to every other user. Return its descriptor.

    The file may belong to this process's user or to a user id in ``also``. The check matters for
    root, who may open and close every file, even if another user can reopen it.

    Raises:
        OSError: the file is a link, belongs to another user, or cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(path, flags, FOR_THE_OWNER_ONLY)
    try:
        if os.fstat(descriptor).st_uid not in {os.geteuid(), *also}:
            raise PermissionError(
                errno.EPERM, later("%(file)s belongs to another user; remove it", file=path.name)
            )
        # An earlier version may have made the file with another mode.
        os.fchmod(descriptor, FOR_THE_OWNER_ONLY)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive lock of this file. Wait while another process holds it.

    Raises:
        OSError: as for `open_for_owner`.
    """
    descriptor = open_for_owner(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
