"""The history of the verdict: from when to when it was what, and when nobody could look.

It reads our own tables only. `executions/health/history/` writes them.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Q
from django.db.models.functions import Now

from executions.database.kept import QUIET_SECONDS
from executions.health.history.record import KEPT
from executions.health.history.spans import Between, seen_parts
from executions.health.history.step import Blindness
from executions.health.history.stored import StoredFinding, finding_from_json, text_from_json
from executions.health.verdict import Level
from executions.models import BlindStretch, VerdictChange
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import Filters
from executions.pages.history.paging import PAGE, PageReader
from executions.pages.history.walks import Segment, Walk
from executions.text.digest import digest
from executions.text.sentences import Text, say

NAMES = ("since", "until", "cursor")
WALK = Walk((Segment("verdicts", "at", Q(), Q(), looks=0, is_ours=True),))


@dataclass(frozen=True)
class Spell:
    """A time in which the verdict was the same, or in which nobody could look.

    ``level`` is unknown for the latter. ``clock`` is what Multica's clock said at its beginning.
    """

    key: str
    level: Level
    since: datetime
    until: datetime | None
    summary: Text
    findings: tuple[StoredFinding, ...] = ()
    clock: datetime | None = None

    @property
    def seconds(self) -> float | None:
        """How long it lasted; None if it still does."""
        return (self.until - self.since).total_seconds() if self.until else None

    @property
    def is_blind(self) -> bool:
        return self.level is Level.UNKNOWN


@dataclass(frozen=True)
class Verdicts:
    """A page of spells, newest first, and the cursors to go on; None at the ends."""

    spells: tuple[Spell, ...]
    now: datetime | None
    older: Cursor | None
    newer: Cursor | None
    live_seconds: int = QUIET_SECONDS

    @property
    def kept_days(self) -> int:
        return KEPT.days

    @property
    def version(self) -> str:
        return digest([(one.key, one.until) for one in self.spells], self.older, self.newer)


def read_verdicts(filters: Filters) -> Verdicts:
    """The spells that the filters ask for.

    Raises:
        BadFilter: the cursor belongs to another list.
        django.db.Error: our own tables cannot be reached.
    """
    changes = VerdictChange.objects.all()
    if filters.since:
        changes = changes.filter(at__gte=filters.since)
    if filters.until:
        changes = changes.filter(at__lt=filters.until)
    page = PageReader(WALK).page(changes, filters.cursor, PAGE)
    rows: list[VerdictChange] = page.rows
    return Verdicts(
        spells=_spells(rows) if rows else (),
        now=_clock(),
        older=page.older,
        newer=page.newer,
    )


def _clock() -> datetime | None:
    """The clock of the changes' times; None before the first change."""
    return VerdictChange.objects.annotate(now=Now()).values_list("now", flat=True).first()


def _spells(changes: list[VerdictChange]) -> tuple[Spell, ...]:
    """The changes, newest first, without the times in which nobody could look, and those."""
    following = VerdictChange.objects.filter(at__gt=changes[0].at).order_by("at").first()
    end = following.at if following else None
    overlapping = Q(until=None) | Q(until__gt=changes[-1].at)
    stretches = BlindStretch.objects.filter(overlapping)
    if end is not None:
        stretches = stretches.filter(since__lt=end)
    blind = list(stretches.order_by("-since")[: 2 * PAGE])
    spells = [_blind_spell(one, changes) for one in blind]
    for change in changes:
        parts = seen_parts(Between(change.at, end), blind)
        spells += [_seen_spell(change, part) for part in parts]
        end = change.at
    return tuple(sorted(spells, key=lambda one: one.since, reverse=True))


def _seen_spell(change: VerdictChange, part: Between) -> Spell:
    """The text of a change; if it is over, with the ages of its time."""
    summary = text_from_json(change.summary)
    findings = [finding_from_json(one) for one in change.findings]
    if part.until:
        summary = summary.as_then()
        findings = [replace(one, summary=one.summary.as_then()) for one in findings]
    return Spell(
        key=f"verdict-{change.pk}-{part.since:%Y%m%dT%H%M%S}",
        level=Level(change.level),
        since=part.since,
        until=part.until,
        summary=summary,
        findings=tuple(findings),
        clock=change.clock if part.since == change.at else None,
    )


def _blind_spell(stretch: BlindStretch, changes: list[VerdictChange]) -> Spell:
    """A blind stretch, with what the verdict said of it, if there was one meanwhile."""
    said = next((one for one in changes if one.blind and _began_in(one, stretch)), None)
    why = say(dict(Blindness.choices).get(stretch.reason, stretch.reason))
    summary = text_from_json(said.summary) if said else why
    return Spell(
        key=f"blind-{stretch.pk}",
        level=Level.UNKNOWN,
        since=stretch.since,
        until=stretch.until,
        summary=summary.as_then() if stretch.until else summary,
        clock=stretch.clock_since,
    )


def _began_in(change: VerdictChange, stretch: BlindStretch) -> bool:
    return stretch.since <= change.at and (stretch.until is None or change.at < stretch.until)
