"""A pytest plugin that sets the address of the tests' own PostgreSQL before settings are read.

It starts nothing; `conftest.py` does, once a test needs it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from psycopg.conninfo import make_conninfo

# Every test makes and removes files by the hundred, most of them PostgreSQL's. In memory that costs
# half as much as on a disk.
IN_MEMORY = Path("/dev/shm")
# For four processes of tests, each with some clusters.
ROOM = 4_000_000_000


def _serves(folder: Path) -> bool:
    """Whether it has room, and lets programs run that a test writes."""
    return (
        folder.is_dir()
        and shutil.disk_usage(folder).free > ROOM
        and not os.statvfs(folder).f_flag & os.ST_NOEXEC
    )


if "TMPDIR" not in os.environ and _serves(IN_MEMORY):
    os.environ["TMPDIR"] = str(IN_MEMORY)
    tempfile.tempdir = None  # it is found anew

ROOT = Path(tempfile.mkdtemp(prefix="multica-admin-tests-"))
ROOT.chmod(0o711)  # as root the server runs as another user, who must be able to pass
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
