"""A streaming standby of a private cluster, on a unix socket like its primary."""

from dataclasses import dataclass, field
from pathlib import Path

from multica_admin.cluster import SUPERUSER, Cluster


@dataclass(frozen=True)
class Standby(Cluster):
    """A server that follows ``primary``, which must run when the standby is made."""

    primary: Cluster = field(kw_only=True)

    def _make(self, fresh: Path) -> None:
        """Copy the primary. Nothing waits for the disk, as a new copy can be made at any time."""
        self._run(
            "pg_basebackup", "--pgdata", str(fresh), "--host", str(self.primary.socket_directory),
            "--username", SUPERUSER, "--write-recovery-conf", "--checkpoint", "fast", "--no-sync",
        )  # fmt: skip
