"""How the rollup stands: how far it is, when it last ran, and what that means.

The figures come from the snapshot that the overview shows, so the two never differ. It changes
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from executions.health import snapshot as snapshots
from executions.health.facts import StateRow
from executions.health.snapshot import Snapshot
from executions.text.problem import Problem


@dataclass(frozen=True)
class RollupHealth:
    """``state`` is None if the table exists but its row does not."""

    snapshot: Snapshot

    @property
    def now(self) -> datetime | None:
        """The database's clock; None if it could not be read."""
        return self.snapshot.checked_at

    @property
    def state(self) -> StateRow | Problem | None:
        return self.snapshot.facts.state

    @property
    def live_seconds(self) -> int:
        return self.snapshot.interval_seconds

    @property
    def version(self) -> str:
        return self.snapshot.version


def read_health() -> RollupHealth:
    """How the rollup stands now. What cannot be read is a problem in its place."""
    return RollupHealth(snapshots.current())
