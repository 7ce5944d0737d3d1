"""The audit as a page shows it: filtered by the address, newest first, one page at a time.

It only reads. Lines are added in `executions/retirement/audit.py`; triggers refuse every other
change.
"""

import json
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from executions.accounts.requests import LiveRequest
from executions.database.kept import QUIET_SECONDS
from executions.models.retirement import Act, AuditEvent
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import Filters
from executions.pages.history.paging import PAGE, Reader
from executions.pages.history.walks import Segment, Walk
from executions.text.digest import digest

NAMES = ("q", "since", "until", "cursor")
WALK = Walk((Segment("audit", "at", Q(), Q(), looks=0, is_ours=True),))
MOST_EVIDENCE = 20_000
# The actions of a line: the wizard's in its order, then the one outside it.
ACTIONS = (
    "choose", "affirm", "confirm", "close",
    *Act.Kind.values,
    "remove by hand", "put back by hand", "remove outside", "put back outside",
    "upload callers", "look again outside",
    "trial", "watch",
    "run once",
)  # fmt: skip
# The words for actions that are stored as codes.
_WORDS = dict(Act.Kind.choices)
CHOICES = {"action": ACTIONS, "outcome": tuple(AuditEvent.Outcome.values)}


def in_words(action: str) -> str:
    return str(_WORDS.get(action, action))


@dataclass(frozen=True)
class AuditLine:
    """One line, with its evidence as text."""

    event: AuditEvent

    @property
    def evidence(self) -> str:
        """Indented JSON, cut if too long to read; empty if there is none."""
        if not self.event.evidence:
            return ""
        text = json.dumps(self.event.evidence, indent=2, ensure_ascii=False)
        return text if len(text) <= MOST_EVIDENCE else f"{text[:MOST_EVIDENCE]}\n…"


@dataclass(frozen=True)
class Audit:
    """A page of lines, newest first, and the cursors to go on; None at the ends."""

    lines: tuple[AuditLine, ...]
    now: datetime | None
    older: Cursor | None
    newer: Cursor | None
    is_empty: bool
    live_seconds: int = QUIET_SECONDS

    @property
    def version(self) -> str:
        return digest([line.event.pk for line in self.lines], self.older, self.newer)


def read_audit(filters: Filters) -> Audit:
    """The lines that the filters ask for.

    Raises:
        BadFilter: the cursor belongs to another list.
        django.db.Error: our own tables cannot be reached.
    """
    page = Reader(WALK).page(_matching(filters), filters.cursor, PAGE)
    return Audit(
        lines=tuple(AuditLine(event) for event in page.rows),
        now=_clock(),
        older=page.older,
        newer=page.newer,
        is_empty=not page.rows and not AuditEvent.objects.exists(),
    )


def _matching(filters: Filters) -> QuerySet[AuditEvent]:
    rows = AuditEvent.objects.all()
    if filters.since:
        rows = rows.filter(at__gte=filters.since)
    if filters.until:
        rows = rows.filter(at__lt=filters.until)
    for name in CHOICES:
        chosen = filters.choice(name, "")
        if chosen:
            rows = rows.filter(**{name: chosen})
    if filters.q:
        rows = rows.filter(_mentions(filters.q))
    return rows


def _mentions(text: str) -> Q:
    found = Q()
    for column in ("user_name", "subject", "summary", "statement", "role", "why"):
        found |= Q(**{f"{column}__icontains": text})
    return found


def _clock() -> datetime | None:
    """The clock of the lines' times; None before the first line."""
    return AuditEvent.objects.annotate(now=Now()).values_list("now", flat=True).first()


def form(_request: LiveRequest, filters: Filters, _shown: object) -> dict[str, object]:
    """The choices of the filter form, and what is chosen."""
    return {
        "choices": CHOICES,
        "chosen": {name: filters.choice(name, "") for name in CHOICES},
    }
