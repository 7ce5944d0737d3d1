"""One assessment for all viewers: live parts share it, and it costs the database one reading.

It is taken at most once per interval and web process. One thread reads while the others get the
previous snapshot, or wait if there is none yet. It decides nothing; it only keeps.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import attrgetter

from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS, Kept
from executions.health.assessment import Assessment, assess
from executions.health.facts import Facts, Ground
from executions.health.facts.executions import Executions
from executions.health.facts.sessions import Lock
from executions.health.figures import Figures
from executions.health.findings import Finding
from executions.health.ledger import Ledger
from executions.health.read import read_facts
from executions.health.verdict import Level, Verdict
from executions.text.digest import digest

logger = logging.getLogger(__name__)

# An older snapshot says nothing about now.
KEPT_SECONDS = 60.0


@dataclass(frozen=True)
class Snapshot:
    """An assessment with the version of its data.

    ``version`` changes when something that is shown changes, but not merely because time passes. A
    request with the same version gets a 204. ``busy`` says that something runs, which makes the
    interval short.
    """

    assessment: Assessment
    version: str
    busy: bool
    taken_at: float = field(default_factory=time.monotonic)

    @property
    def age(self) -> timedelta:
        return timedelta(seconds=time.monotonic() - self.taken_at)

    @property
    def facts(self) -> Facts:
        return self.assessment.facts

    @property
    def verdict(self) -> Verdict:
        return self.assessment.verdict

    @property
    def ledger(self) -> Ledger | None:
        """None if a basic could not be read; the verdict is then unknown."""
        return self.assessment.ledger

    @property
    def figures(self) -> Figures:
        return self.assessment.figures

    @property
    def is_on_standby(self) -> bool:
        """Whether Multica's database is a standby, as far as is known."""
        ground = self.facts.ground
        return isinstance(ground, Ground) and ground.is_standby

    @property
    def checked_at(self) -> datetime | None:
        """The database's clock at the reading; None if it could not be read."""
        return self.assessment.checked_at

    @property
    def interval_seconds(self) -> int:
        """How soon a live part should ask again."""
        return BUSY_SECONDS if self.busy else QUIET_SECONDS


def take(previous: Snapshot | None = None) -> Snapshot:
    """Read and judge now. A failed reading is a snapshot too, with the verdict unknown."""
    assessment = assess(read_facts(earlier=previous.facts if previous else None))
    snapshot = Snapshot(assessment, version_of(assessment), _is_busy(assessment.facts))
    if previous is None or _codes(previous.verdict) != _codes(snapshot.verdict):
        _log(snapshot.verdict)
    return snapshot


def _codes(verdict: Verdict) -> tuple[str, ...]:
    return (verdict.level, *(finding.code for finding in verdict.findings))


def _log(verdict: Verdict) -> None:
    """One line for each change of the verdict, so that the log tells when something began."""
    level = logging.INFO if verdict.level is Level.HEALTHY else logging.WARNING
    codes = [str(finding.code) for finding in verdict.findings]
    logger.log(level, "verdict %s: %s", verdict.level, verdict.summary, extra={"findings": codes})


def _is_busy(facts: Facts) -> bool:
    """Whether a run is under a live lease, or a session holds lock 4246 or writes buckets."""
    lock, executions, now = facts.lock, facts.executions, facts.now
    if isinstance(lock, Lock) and (lock.writers or any(not one.idle for one in lock.holders)):
        return True
    if not isinstance(executions, Executions) or now is None:
        return False
    return any(row.running and not row.is_stale(now) for row in executions.rows)


def version_of(assessment: Assessment) -> str:
    """A short digest of what is shown, without the clock and without ages."""
    facts, ledger = assessment.facts, assessment.ledger
    ours = facts.own_runners  # a set has no defined order
    executions = facts.executions
    return digest(
        executions.mark if isinstance(executions, Executions) else executions,
        facts.state,
        facts.queue,
        facts.lock,
        facts.pg_cron,
        facts.drift,
        sorted(ours) if isinstance(ours, frozenset) else ours,
        assessment.verdict.level,
        [_shape(finding) for finding in assessment.verdict.findings],
        ledger.mark if ledger else None,
    )


def _shape(finding: Finding) -> tuple[object, ...]:
    explained = tuple(_shape(one) for one in finding.explains)
    return (finding.code, finding.severity, explained)


class SnapshotKeeper:
    """Keeps the newest snapshot for all threads of a process."""

    def __init__(
        self,
        take: Callable[[Snapshot | None], Snapshot] = take,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._take = take
        self._known: Snapshot | None = None
        self._kept: Kept[Snapshot] = Kept(attrgetter("interval_seconds"), clock)

    def current(self, *, anew: bool = False) -> Snapshot:
        """The snapshot, taken anew if it is older than its interval."""
        return self._kept.get("", self._taken, anew=anew)

    def _taken(self) -> Snapshot:
        taken = self._take(self.last())
        if taken.checked_at is not None:
            self._known = taken
        return taken

    def fresh(self) -> Snapshot:
        """A snapshot that was begun after this call, for what was changed just now."""
        return self.current(anew=True)

    def kept(self) -> Snapshot | None:
        """The present snapshot, without waiting; None if it is older than ``KEPT_SECONDS``."""
        return self._kept.newest("", KEPT_SECONDS)

    def last(self) -> Snapshot | None:
        """The newest snapshot of any age, without waiting."""
        return self._kept.newest("")

    def known_before(self) -> Snapshot | None:
        """The last snapshot that could be read, if a newer one could not; without waiting."""
        newest = self.last()
        return self._known if newest and newest.checked_at is None else None

    def forget(self) -> None:
        """Begin as a process that has read nothing."""
        self._kept.forget()
        self._known = None


_keeper = SnapshotKeeper()
current = _keeper.current
fresh = _keeper.fresh
kept = _keeper.kept
last = _keeper.last
known_before = _keeper.known_before
forget = _keeper.forget
