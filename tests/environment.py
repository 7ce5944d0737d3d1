"""A pytest plugin that sets the address of the tests' own PostgreSQL before settings are read.

It starts nothing; `conftest.py` does, once a test needs it.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

import psutil
from psycopg.conninfo import make_conninfo

# Every test makes and removes files by the hundred, most of them PostgreSQL's. In memory that costs
# half as much as on a disk.
IN_MEMORY = Path("/dev/shm")
# For four processes of tests, each with some clusters.
ROOM = 4_000_000_000

GROUPS = Path("/sys/fs/cgroup")
PREFIX = "multica-admin-tests-"
IN_USE = "in-use"


def memory_left(groups: Path = GROUPS) -> int:
    """The bytes that are free in memory, and that the limit of a container leaves of them."""
    left = psutil.virtual_memory().available
    limit, used = groups / "memory.max", groups / "memory.current"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        left = min(left, int(most) - int(used.read_text()))
    return left


def _serves(folder: Path) -> bool:
    """Whether it has room in memory, and lets programs run that a test writes."""
    return (
        folder.is_dir()
        and os.access(folder, os.W_OK | os.X_OK)
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC
        and min(shutil.disk_usage(folder).free, memory_left()) > ROOM
    )


def make_root(beside: Path) -> tuple[Path, int]:
    """A folder for the files of this run, and the descriptor whose lock says that it is in use."""
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=beside))
    root.chmod(0o711)  # as root the server runs as another user, who must be able to pass
    made = root / f"{IN_USE}.part"
    lock = os.open(made, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    made.rename(root / IN_USE)  # nobody finds the file without its lock
    return root, lock


def remove_left_over(beside: Path) -> None:
    """Remove the folders of runs that were killed, unless a server still runs in them."""
    for folder in beside.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / IN_USE, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # it is being made or removed, or it is another user's
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _server_runs(folder):
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            pass  # its run goes on
        finally:
            os.close(lock)


def _server_runs(root: Path) -> bool:
    try:
        first = (root / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0]
    except FileNotFoundError:
        return False
    return first.isdigit() and psutil.pid_exists(int(first))


if "TMPDIR" not in os.environ and _serves(IN_MEMORY):
    os.environ["TMPDIR"] = str(IN_MEMORY)
    tempfile.tempdir = None  # it is found anew

remove_left_over(Path(tempfile.gettempdir()))
ROOT, _lock = make_root(Path(tempfile.gettempdir()))
atexit.register(shutil.rmtree, ROOT, ignore_errors=True)
DATA = ROOT / "postgres"
SOCKET = ROOT / "socket"
DATABASE = "multica"


def url(user: str, database: str = DATABASE) -> str:
    return make_conninfo(host=str(SOCKET), user=user, dbname=database)


UNSET = {"DATABASE_URL", "PUBLIC_URL", "SECRET_KEY_FILE", "LANG", "LC_ALL", "LC_MESSAGES"}
for name in list(os.environ):
    if name.endswith("_DATABASE_URL") or name in UNSET:
        del os.environ[name]
os.environ.update(
    APP_ENV="production",
    SECRET_KEY="only-for-tests",
    VAR_DIR=str(ROOT / "var"),
    LOG_FORMAT="json",
    DATABASE_URL=url("multica_view"),
    ADMIN_DATABASE_URL=url("multica_admin"),
    RUNNER_DATABASE_URL=url("multica"),
    RETIRE_DATABASE_URL=url("postgres"),
)
