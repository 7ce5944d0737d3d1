"""The installed function of the rollup: which kind of lock 4246 it takes, told by its source."""

from dataclasses import dataclass
from enum import StrEnum

from executions.database.reading import Fetch
from executions.database.sql import load
from executions.rollup.provision import MARK

SQL = load("rollup")


class LockKind(StrEnum):
    """How long the function keeps lock 4246. Before v0.4.23 it was for the session."""

    TRANSACTION = "transaction"
    SESSION = "session"
    NONE = "none"


@dataclass(frozen=True)
class InstalledRollup:
    """``lock`` is None if there is no such function.

    ``is_ours`` says that `manage.py provision` made it.
    """

    lock: LockKind | None
    is_ours: bool

    @property
    def can_leak(self) -> bool:
        """Whether a cancelled run leaves the lock held: docs/contract.md section 3."""
        return self.lock is LockKind.SESSION


def read_installed(fetch: Fetch) -> InstalledRollup:
    """Look at the catalogs, which needs no right.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.installed, {"mark": f"{MARK}%"})
    return InstalledRollup(_kind(row), row["ours"])


def _kind(row: dict[str, object]) -> LockKind | None:
    """If the function takes a lock for its session too, it can leak that lock, so that decides."""
    if not row["has_function"]:
        return None
    if row["for_session"]:
        return LockKind.SESSION
    return LockKind.TRANSACTION if row["for_transaction"] else LockKind.NONE
