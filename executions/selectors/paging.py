"""Pages of executions along a walk, exact whatever shares a time or disappears meanwhile.

A page is made of *looks*: the rows of an index between a position and an edge, at most as many as
its segment allows, sifted. An edge never cuts through rows of the same time, so every look is whole
and the next one begins where it ended. Where a single time is shared by more rows than a look may
have, that time alone is the look.

A position is "just after this row": older rows follow it, the row itself and newer ones precede it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Case, Count, Max, Min, Q, QuerySet, Value, When
from django.utils.translation import gettext as _

from executions.models import Execution
from executions.selectors.cursors import Cursor
from executions.selectors.filters import BadFilter
from executions.selectors.walks import Segment, Walk

PAGE = 50
# Just after every row of a time stands what would have the smallest id; see Cursor for just before.
_AFTER_ALL = UUID(int=0)


@dataclass(frozen=True)
class Page:
    """Rows newest first, and where to go on: ``older`` and ``newer`` are None at the ends.

    ``reached`` is the time at which the look ended, where that and not the rows made it short.
    """

    rows: list[Execution]
    older: Cursor | None
    newer: Cursor | None
    reached: datetime | None = None


@dataclass(frozen=True)
class Total:
    """How many rows match: exactly, or at least so many where a look did not see them all."""

    count: int
    exact: bool


@dataclass(frozen=True)
class _Look:
    """Rows in the order of the walk, and where the look stopped short of the segment's end."""

    rows: list[Execution]
    stopped: Cursor | None = None


def read_page(
    rows: QuerySet[Execution], walk: Walk, cursor: Cursor | None = None, size: int = PAGE
) -> Page:
    """One page of ``rows``, whose columns are chosen and which are neither filtered nor ordered.

    Raises:
        BadFilter: the cursor is none of this walk's.
        django.db.DatabaseError: the table cannot be read, or not in time.
    """
    if cursor is None:
        return _older(rows, walk, None, size)
    if cursor.segment not in {segment.name for segment in walk.segments}:
        raise BadFilter(
            "cursor",
            _("The filter “cursor” belongs to a list in another order; remove it to start anew."),
        )
    if cursor.older:
        return _older(rows, walk, cursor, size)
    return _newer(rows, walk, cursor, size)


def read_total(walk: Walk) -> Total:
    """How many rows match, from one look at each segment.

    Raises:
        django.db.DatabaseError: the table cannot be read, or not in time.
    """
    surveys = [(segment, _survey(segment, None, older=True)) for segment in walk.segments]
    return Total(
        count=sum(survey["matches"] for _segment, survey in surveys),
        exact=all(survey["seen"] < segment.looks for segment, survey in surveys),
    )


def read_sample(rows: QuerySet[Execution, Any], walk: Walk) -> tuple[list[Any], datetime | None]:
    """What the first look at each segment finds, and how far back it reached if not to the end.

    Raises:
        django.db.DatabaseError: the table cannot be read, or not in time.
    """
    found: list[Any] = []
    reached = None
    for segment in walk.segments:
        stopped, inside = _edge(segment, _survey(segment, None, older=True), older=True)
        matching = rows.filter(segment.rows, inside, segment.sift)
        found += matching.order_by(f"-{segment.column}")
        reached = stopped.time if stopped else reached
    return found, reached


def _older(rows: QuerySet[Execution], walk: Walk, cursor: Cursor | None, size: int) -> Page:
    found: list[Execution] = []
    newer = replace(cursor, older=False) if cursor else None
    for segment, start in _segments(walk.segments, cursor):
        look = _look(rows, segment, start, size + 1 - len(found), older=True)
        before, found = found, found + look.rows
        if len(found) > size:
            # The last one kept may be of this segment or the last of the one before.
            last = found[size - 1]
            holder = segment if size > len(before) else _previous(walk, segment)
            return Page(found[:size], _after(last, holder), newer)
        if look.stopped:
            return Page(found, look.stopped, newer, reached=look.stopped.time)
    return Page(found, None, newer)


def _newer(rows: QuerySet[Execution], walk: Walk, cursor: Cursor, size: int) -> Page:
    """The page that ends at the cursor; the first page where fewer rows than one are newer."""
    found: list[Execution] = []
    older = replace(cursor, older=True)
    for segment, start in _segments(tuple(reversed(walk.segments)), cursor):
        look = _look(rows, segment, start, size + 1 - len(found), older=False)
        found += look.rows
        if len(found) > size:
            return Page(found[:size][::-1], older, _after(found[size], segment, older=False))
        if look.stopped:
            return Page(found[::-1], older, look.stopped, reached=look.stopped.time)
    return _older(rows, walk, None, size)


def _segments(
    segments: tuple[Segment, ...], cursor: Cursor | None
) -> Iterable[tuple[Segment, Cursor | None]]:
    """The segments from the cursor's own on; only that one begins at the cursor."""
    if cursor is None:
        return [(segment, None) for segment in segments]
    names = [segment.name for segment in segments]
    here = names.index(cursor.segment)
    return [(segments[here], cursor), *((segment, None) for segment in segments[here + 1 :])]


def _previous(walk: Walk, segment: Segment) -> Segment:
    return walk.segments[walk.segments.index(segment) - 1]


def _after(row: Execution, segment: Segment, *, older: bool = True) -> Cursor:
    return Cursor(segment.name, getattr(row, segment.column), row.id, older)


def _look(
    rows: QuerySet[Execution], segment: Segment, start: Cursor | None, wanted: int, *, older: bool
) -> _Look:
    """At most ``wanted`` matching rows from the start on, each look at an edge of its own."""
    stopped, inside = None, Q()
    if not segment.unique or segment.sift:
        stopped, inside = _edge(segment, _survey(segment, start, older=older), older=older)
    matching = rows.filter(segment.rows, _from(segment, start, older=older), inside, segment.sift)
    order = ("-" if older else "") + segment.column, "-id" if older else "id"
    found = list(matching.order_by(*order)[:wanted])
    return _Look(found, stopped if len(found) < wanted else None)


def _survey(segment: Segment, start: Cursor | None, *, older: bool) -> dict[str, Any]:
    """How many rows a look from here sees, how many match, and its first and last time."""
    column = segment.column
    seen = Execution.objects.filter(segment.rows, _from(segment, start, older=older, whole=True))
    if segment.sift:
        hit = Case(When(segment.sift, then=Value(True)), output_field=BooleanField())
        seen = seen.annotate(hit=hit)
    seen = seen.order_by(f"-{column}" if older else column)[: segment.looks]
    matches = Count("id", filter=Q(hit=True)) if segment.sift else Count(column)
    return seen.aggregate(
        seen=Count(column), matches=matches, newest=Max(column), oldest=Min(column)
    )


def _edge(segment: Segment, survey: dict[str, Any], *, older: bool) -> tuple[Cursor | None, Q]:
    """Where the look ends, and the condition that keeps a read before it."""
    if survey["seen"] < segment.looks:
        return None, Q()
    edge = survey["oldest"] if older else survey["newest"]
    column = segment.column
    if survey["newest"] == survey["oldest"]:
        # This time alone fills a look: it is read whole, and the next look begins past it.
        past = _AFTER_ALL if older else None
        return Cursor(segment.name, edge, past, older), Q(**{column: edge})
    here = None if older else _AFTER_ALL
    inside = Q(**{f"{column}__gt" if older else f"{column}__lt": edge})
    return Cursor(segment.name, edge, here, older), inside


def _from(segment: Segment, start: Cursor | None, *, older: bool, whole: bool = False) -> Q:
    """The rows past a position; with ``whole`` also those that share its time, as an index can."""
    if start is None:
        return Q()
    column, time = segment.column, start.time
    if start.id is None:
        return Q(**{f"{column}__lte" if older else f"{column}__gt": time})
    if start.id == _AFTER_ALL and older:
        return Q(**{f"{column}__lt": time})
    reach = Q(**{f"{column}__lte" if older else f"{column}__gte": time})
    if whole or start.id == _AFTER_ALL:
        return reach
    past = Q(**{column: time, "id__lt" if older else "id__gte": start.id})
    return reach & (Q(**{f"{column}__lt" if older else f"{column}__gt": time}) | past)
