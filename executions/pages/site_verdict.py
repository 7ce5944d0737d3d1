"""The verdict in the header of every page: one word, from the snapshot that is kept.

It reads nothing for a page. The header's live part asks for the shared snapshot.
"""

from dataclasses import dataclass

from executions.database.kept import QUIET_SECONDS
from executions.health import snapshots
from executions.health.snapshots import Snapshot
from executions.health.verdict import Level
from executions.text.sentences import Ago, At, Sentence, say


@dataclass(frozen=True)
class SiteVerdict:
    """The level, and after how many seconds the header asks again.

    ``known_before`` is what was read last if the database cannot be read now.
    """

    level: Level
    live_seconds: int = QUIET_SECONDS
    known_before: Snapshot | None = None

    @property
    def version(self) -> str:
        return str(self.level)


def kept_verdict() -> SiteVerdict:
    """What is known now, without waiting; unknown if there is no recent snapshot.

    Then the header asks as soon as the page has loaded.
    """
    kept = snapshots.kept()
    return shown_verdict(kept.verdict.level if kept else None)


def last_reached() -> Sentence | None:
    """When Multica's database was last read, for a page that cannot; None if it never was."""
    known = snapshots.known_before() or snapshots.last()
    if known is None or known.checked_at is None:
        return None
    now = known.checked_at + known.age
    return say(
        "Multica's database was last read at %(time)s, %(ago)s.",
        time=At(known.checked_at, now),
        ago=Ago(known.checked_at, now),
    )


def shown_verdict(level: Level | None) -> SiteVerdict:
    """For a page that shows this level itself; with None the header asks for it."""
    known = snapshots.known_before()
    if level is None:
        return SiteVerdict(Level.UNKNOWN, live_seconds=1, known_before=known)
    return SiteVerdict(level, known_before=known)


def read_verdict() -> SiteVerdict:
    """The verdict of the snapshot that all viewers share, taken anew if it is old."""
    return SiteVerdict(snapshots.current().verdict.level)
