"""The audit as a page shows it: filtered by the address, newest first, one page at a time.

It only reads. Lines are added in `executions/retirement/audit.py`; triggers refuse every other
change.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from executions.accounts.requests import LiveRequest
from executions.database.kept import QUIET_SECONDS
from executions.models.retirement import AuditEvent
from executions.pages.audit.lines import ACTIONS, AuditLine, as_acts, with_intents
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import Filters
from executions.pages.history.paging import PAGE, PageReader
from executions.pages.history.walks import Segment, Walk
from executions.text.digest import digest

NAMES = ("q", "since", "until", "cursor")
WALK = Walk((Segment("audit", "at", Q(), Q(), looks=0, is_ours=True),))
CHOICES = {"action": tuple(ACTIONS), "outcome": tuple(AuditEvent.Outcome.values)}


@dataclass(frozen=True)
class Audit:
    """A page of lines, each an act, newest first, and the cursors to go on; None at the ends."""

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
    page = PageReader(WALK).page(matching(filters), filters.cursor, PAGE)
    return Audit(
        lines=with_intents(page.rows),
        now=read_clock(),
        older=page.older,
        newer=page.newer,
        is_empty=not page.rows and not AuditEvent.objects.exists(),
    )


def matching(filters: Filters) -> QuerySet[AuditEvent]:
    """The events that the filters ask for, an act's intent only if its end is not among them."""
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
    return as_acts(rows)


def _mentions(text: str) -> Q:
    found = Q()
    for column in ("user_name", "subject", "summary", "statement", "role", "why"):
        found |= Q(**{f"{column}__icontains": text})
    return found


def read_clock() -> datetime | None:
    """The clock of the lines' times; None before the first line."""
    return AuditEvent.objects.annotate(now=Now()).values_list("now", flat=True).first()


def form(_request: LiveRequest, filters: Filters, _shown: object) -> dict[str, object]:
    """The choices of the filter form, and what is chosen."""
    return {
        "choices": CHOICES,
        "chosen": {name: filters.choice(name, "") for name in CHOICES},
    }
