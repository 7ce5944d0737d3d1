"""The audit as a page shows it: filtered by the address, newest first, one page at a time.

It only reads. Lines are added in `executions/retirement/audit.py`; triggers refuse every other
change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions.accounts.requests import LiveRequest
from executions.database.kept import QUIET_SECONDS
from executions.models.retirement import Act, AuditEvent
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import BadFilter, Filters
from executions.text.digest import digest

NAMES = ("q", "since", "until", "cursor")
SEGMENT = "audit"
PAGE = 50
MOST_EVIDENCE = 20_000
# The actions of a line, in the order of the wizard.
ACTIONS = (
    "choose", "affirm", "confirm", "close",
    *Act.Kind.values,
    "remove by hand", "put back by hand", "remove outside", "put back outside",
    "trial", "watch",
)  # fmt: skip
# The words for actions that are stored as codes.
_WORDS = dict(Act.Kind.choices)
CHOICES = {"action": ACTIONS, "outcome": tuple(AuditEvent.Outcome.values)}


def in_words(action: str) -> str:
    """The action in words."""
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
    cursor = filters.cursor
    if cursor is not None and (cursor.segment != SEGMENT or cursor.id is None):
        raise BadFilter("cursor", _("The filter “cursor” belongs to another list; remove it."))
    found, more = _page(_matching(filters), cursor)
    newest, oldest = (found[0], found[-1]) if found else (None, None)
    goes_up = cursor is not None and not cursor.older
    return Audit(
        lines=tuple(AuditLine(event) for event in found),
        now=_clock(),
        older=_at(oldest, older=True) if oldest and (more or goes_up) else None,
        newer=_at(newest, older=False) if newest and (more if goes_up else cursor) else None,
        is_empty=not found and not AuditEvent.objects.exists(),
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
    for column in ("user_name", "subject", "summary", "statement", "role"):
        found |= Q(**{f"{column}__icontains": text})
    return found


def _page(rows: QuerySet[AuditEvent], cursor: Cursor | None) -> tuple[list[AuditEvent], bool]:
    """One page, newest first, and whether more lines follow."""
    if cursor is None or cursor.older:
        found = list(_past(rows, cursor).order_by("-at", "-id")[: PAGE + 1])
        return found[:PAGE], len(found) > PAGE
    found = list(_past(rows, cursor).order_by("at", "id")[: PAGE + 1])
    return found[:PAGE][::-1], len(found) > PAGE


def _past(rows: QuerySet[AuditEvent], cursor: Cursor | None) -> QuerySet[AuditEvent]:
    if cursor is None or cursor.id is None:
        return rows
    way = "lt" if cursor.older else "gt"
    same_time = Q(at=cursor.time, **{f"id__{way}": cursor.id.int})
    return rows.filter(Q(**{f"at__{way}": cursor.time}) | same_time)


def _at(event: AuditEvent, *, older: bool) -> Cursor:
    return Cursor(SEGMENT, event.at, UUID(int=event.pk), older)


def _clock() -> datetime | None:
    """The clock of the lines' times; None before the first line."""
    return AuditEvent.objects.annotate(now=Now()).values_list("now", flat=True).first()


def form(_request: LiveRequest, filters: Filters, _shown: object) -> dict[str, object]:
    """The choices of the filter form, and what is chosen."""
    return {
        "choices": CHOICES,
        "chosen": {name: filters.choice(name, "") for name in CHOICES},
    }
