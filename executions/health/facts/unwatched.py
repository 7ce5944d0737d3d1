"""PURE: stretches of time in which nobody could see how the rollup goes."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Unwatched:
    """A stretch without a look, by the clock of Multica's database; ``until`` is None if it lasts.

    Nothing that is absent from such a stretch is held against anybody.
    """

    since: datetime
    until: datetime | None

    def overlaps(self, start: datetime, end: datetime) -> bool:
        return self.since < end and (self.until is None or start < self.until)


def was_unwatched(stretches: Iterable[Unwatched], start: datetime, end: datetime) -> bool:
    """Whether any part of the time from ``start`` to ``end`` was unwatched."""
    return any(one.overlaps(start, end) for one in stretches)
