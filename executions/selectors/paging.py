"""Pages of executions along a walk, exact whatever shares a time or disappears meanwhile.

A page is a *look*: the rows of an index between the cursor and an edge, at most ``WINDOW`` of them,
sifted. The edge never cuts through rows of the same time, so every look is whole and the next one
begins where it ended. Where a single time is shared by more rows than a look may have, that time
alone is the look. Times are the database's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Count, Max, Min, Q, QuerySet

from executions.models import Execution
from executions.selectors.cursors import Cursor
from executions.selectors.filters import BadFilter, _malformed
from executions.selectors.walks import Segment, Walk

PAGE = 50


@dataclass(frozen=True)
class Look:
    """What a look found, in the direction of its cursor.

    ``reached`` is the time at which it stopped short of the end, None where it saw all there is;
    ``full`` that there were more matches than were asked for.
    """

    rows: list[Execution]
    reached: datetime | None
    full: bool


@dataclass(frozen=True)
class Page:
    """Rows newest first, and where to go on: ``older`` and ``newer`` are None at the ends.

    ``reached`` is set where the page is short because its look ended, not because the rows did.
    """

    rows: list[Execution]
    older: Cursor | None
    newer: Cursor | None
    reached: datetime | None = None


@dataclass(frozen=True)
class Total:
    """How many rows match: exactly, or at least that many where a look did not see them all."""

    count: int
    exact: bool


def read_page(
    rows: QuerySet[Execution], walk: Walk, cursor: Cursor | None, size: int = PAGE
) -> Page:
    """One page of ``rows`` (columns and annotations chosen, nothing filtered or ordered).

    Raises:
        BadFilter: the cursor is none of this walk's.
        django.db.DatabaseError: the table cannot be read, or not in time.
    """
    if cursor is None:
        return _older(rows, walk, None, size)
    if cursor.segment not in {segment.name for segment in walk.segments}:
        raise BadFilter("cursor", _belongs_elsewhere())
    if cursor.older:
        return _older(rows, walk, cursor, size)
    return _newer(rows, walk, cursor, size)
