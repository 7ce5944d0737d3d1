"""What a private PostgreSQL's files and the system's processes tell of its server.

It reads only, and starts and stops nothing.
"""

import os
from pathlib import Path

from multica_admin.language import later


def first_number(path: Path) -> int | None:
    """The process id in a lock file of PostgreSQL, or None if there is no such file."""
    try:
        return int(path.read_text("ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def is_server_of(number: int | None, data: Path) -> bool:
    """Whether the process with this id is the server of ``data``."""
    if number is None:
        return False
    process = Path("/proc") / str(number)
    try:
        if not Path("/proc/self/comm").exists():
            os.kill(number, 0)  # this system tells no more, and PostgreSQL checks no more
            return True
        if (process / "comm").read_text() != "postgres\n":
            return False
        # a server's working directory is its data folder
        return data.samefile(process / "cwd")
    except PermissionError:
        return True  # in a container even root may not see the working directories of others
    except OSError:
        return False


def last_words(log: Path) -> str:
    """The last log lines of a server that gave up, with the line that led to them."""
    try:
        lines = log.read_text("utf-8", "replace").splitlines()[-30:]
    except OSError as error:
        return later("its log cannot be read (%(why)s)", why=error.strerror)
    said = [line.split("] ", 1)[-1].strip() for line in lines]
    ends = [at for at, line in enumerate(said) if line.startswith(("FATAL:", "PANIC:"))]
    if not ends:
        return later("it wrote no reason")
    return "; ".join(said[max(ends[-1] - 1, 0) : ends[-1] + 1])
