"""The common part of live parts that show the snapshot of all viewers."""

from dataclasses import dataclass
from datetime import datetime

from executions.health.snapshots import Snapshot


@dataclass(frozen=True)
class FromSnapshot:
    """A live part that shows the snapshot and is refreshed with it."""

    snapshot: Snapshot

    @property
    def now(self) -> datetime | None:
        """The database's clock at the snapshot; None if it could not be read."""
        return self.snapshot.checked_at

    @property
    def live_seconds(self) -> int:
        return self.snapshot.interval_seconds
