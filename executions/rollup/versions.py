"""PURE: the versions of Multica, and which of them the tables found belong to.

The versions that matter to the rollup are those of docs/contract.md section 1. A database does not
store which version its backend runs. Its tables only show which migrations ran.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from django.utils.translation import gettext as _

from executions.text.sentences import listed
from executions.text.visible import shortened

# More digits than a version ever has would only make numbers that nobody can read.
_SPELLED = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, order=True)
class Version:
    """A release of Multica, such as v0.4.25."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version:
    """The version that ``v0.4.25`` or ``0.4.25`` names.

    Raises:
        ValueError: any other text, with a sentence for people that names versions.
    """
    spelled = _SPELLED.fullmatch(text.strip())
    if spelled is None:
        raise ValueError(
            _(
                "“%(text)s” is no version of Multica. Write one like v0.4.25. These versions"
                " changed the rollup: %(known)s."
            )
            % {"text": shortened(text), "known": listed(map(str, CHANGED_IN.values()))}
        )
    return Version(*map(int, spelled.groups()))


class Change(StrEnum):
    """What a version changed for the rollup, oldest first."""

    HOURLY = "hourly"
    SCHEDULER = "scheduler"
    AUTOPILOT = "autopilot"
    COSTS = "costs"
    TEARDOWN = "teardown"
    RUNTIMES = "runtimes"
    LOCK = "lock"
    INDEX = "index"
    IDS = "ids"


# The version that brought each change: docs/contract.md section 1.
CHANGED_IN: Mapping[Change, Version] = {
    Change.HOURLY: Version(0, 3, 5),
    Change.SCHEDULER: Version(0, 3, 17),
    Change.AUTOPILOT: Version(0, 3, 29),
    Change.COSTS: Version(0, 4, 10),
    Change.TEARDOWN: Version(0, 4, 16),
    Change.RUNTIMES: Version(0, 4, 17),
    Change.LOCK: Version(0, 4, 23),
    Change.INDEX: Version(0, 4, 25),
    Change.IDS: Version(0, 4, 31),
}
NEWEST_KNOWN = max(CHANGED_IN.values())


@dataclass(frozen=True)
class Marks:
    """What shows in the catalogs, whatever rights the role has.

    ``changes`` are the changes that the tables and functions show, ``absent`` those that they would
    show and do not. A change that leaves no mark is in neither. ``daily`` says whether the tables
    of the daily rollups exist, which migration 103 drops. ``usage`` says whether there is a
    `task_usage`, without which nothing of Multica's rollup is here.
    """

    usage: bool
    daily: bool
    changes: frozenset[Change]
    absent: frozenset[Change]


@dataclass(frozen=True)
class Range:
    """The versions whose tables look like this.

    ``since`` is the oldest of them; None before every version that the marks can tell. ``before``
    is the first version that is too new; None if the tables may be those of any newer version.
    ``stopped`` says that an upgrade to v0.3.5 or newer stopped at migration 103: the hourly tables
    and the daily ones exist side by side. ``mixed`` are changes that are absent although a newer
    one is there: no release of Multica looks like that.
    """

    since: Version | None
    before: Version | None
    stopped: bool = False
    mixed: tuple[Change, ...] = ()

    @property
    def is_before_hourly(self) -> bool:
        """Whether nothing of the hourly rollup is here yet."""
        return self.since is None

    def has(self, change: Change) -> bool:
        """Whether the tables certainly have this change."""
        if change in self.mixed or (self.stopped and change is Change.HOURLY):
            return False
        return self.since is not None and CHANGED_IN[change] <= self.since

    def may_have(self, change: Change) -> bool:
        """Whether nothing shows that this change is missing."""
        if change in self.mixed or (self.stopped and change is Change.HOURLY):
            return False
        return self.before is None or CHANGED_IN[change] < self.before

    def in_words(self) -> str:
        """The range in a few words, to follow "the tables are those of Multica"."""
        if self.stopped:
            return _("%(since)s, whose upgrade stopped at migration 103") % {"since": self.since}
        if self.since is None:
            return _("older than %(before)s") % {"before": self.before}
        if self.before is None:
            return _("%(since)s or newer") % {"since": self.since}
        return _("%(since)s or newer, but older than %(before)s") % {
            "since": self.since,
            "before": self.before,
        }


def range_of(marks: Marks) -> Range | None:
    """The range of versions that these marks belong to; None without Multica's usage."""
    if not marks.usage:
        return None
    shown = {CHANGED_IN[change]: change for change in marks.changes}
    since = max(shown, default=None)
    absent = sorted(CHANGED_IN[change] for change in marks.absent)
    ahead = [version for version in absent if since is None or version > since]
    behind = {version for version in absent if since is not None and version < since}
    stopped = marks.daily and Change.HOURLY in marks.changes
    return Range(
        since=since,
        before=min(ahead, default=None),
        stopped=stopped and since == CHANGED_IN[Change.HOURLY],
        mixed=tuple(change for change in Change if CHANGED_IN[change] in behind),
    )
