"""PURE: one upgrade: the facts, where it begins and where it shall end."""

from dataclasses import dataclass
from datetime import datetime

from executions.health.upgrade.facts import RawUsage, UpgradeFacts
from executions.rollup.versions import CHANGED_IN, Change, Range, Version
from executions.text.problem import Problem
from executions.text.sentences import At


@dataclass(frozen=True)
class UpgradeCase:
    """``facts`` with the parts that are certainly known, for the steps."""

    facts: UpgradeFacts
    versions: Range
    now: datetime
    target: Version

    @property
    def meets_103(self) -> bool:
        """Whether migration 103 is on the way."""
        return self.reaches(Change.HOURLY) and not self.versions.has(Change.HOURLY)

    @property
    def backfills_itself(self) -> bool:
        """Whether the target's `migrate up` backfills before migration 103."""
        return self.reaches(Change.SCHEDULER)

    @property
    def usage(self) -> RawUsage | Problem:
        return self.facts.usage

    @property
    def has_usage(self) -> bool:
        """Whether there is raw usage; True if that cannot be read."""
        return isinstance(self.usage, Problem) or self.usage.rows > 0

    def reaches(self, change: Change) -> bool:
        return CHANGED_IN[change] <= self.target

    def at(self, moment: datetime) -> At:
        return At(moment, self.now)
