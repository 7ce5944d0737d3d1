"""Pages of rows along a walk. They stay exact if rows share a time or disappear meanwhile.

A page is made of *looks*: the rows of an index between a position and an edge, at most as many as
its segment allows, sifted. An edge never cuts through rows of the same time, so every look is whole
and the next look begins where this one ended. If more rows share one time than a look may have,
the look is that time alone.

A position is "just after this row": older rows follow it, the row itself and newer ones precede it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Case, Count, Max, Min, Q, QuerySet, Value, When
from django.utils.translation import gettext as _

from executions.models import Execution
from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import BadFilter
from executions.pages.history.walks import Segment, Walk
from executions.scheduler.states import ExecutionState

PAGE = 50
# Just after every row of a time stands what would have the smallest id; see Cursor for just before.
_AFTER_ALL = UUID(int=0)
NO_STATES: Mapping[ExecutionState, Q] = {}


@dataclass(frozen=True)
class Page:
    """Rows, newest first, and the positions before and after them; None at the ends of the list.

    ``reached`` is the time at which the look ended, if the look and not the rows made it short.
    """

    rows: list[Any]
    older: Cursor | None
    newer: Cursor | None
    reached: datetime | None = None


@dataclass(frozen=True)
class Total:
    """How many rows match: exactly, or at least so many where a look did not see them all.

    ``states`` has how many are in each state that the walk counts; none if the count is not exact.
    """

    count: int
    exact: bool
    states: dict[ExecutionState, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Look:
    """Rows in the order of the walk, and where the look stopped short of the segment's end."""

    rows: list[Any]
    stopped: Cursor | None = None


class PageReader:
    """Reads along one walk. It asks for the newest rows of a segment only once."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk
        self._newest: dict[str, dict[str, Any]] = {}

    def page(self, rows: QuerySet[Any], cursor: Cursor | None = None, size: int = PAGE) -> Page:
        """One page of ``rows``, whose columns are chosen, neither filtered nor ordered.

        Raises:
            BadFilter: the cursor belongs to another walk.
            django.db.DatabaseError: the table cannot be read, or not in time.
        """
        if cursor is None or not self._walk.segments:
            return self._older(rows, None, size)
        if cursor.segment not in {segment.name for segment in self._walk.segments}:
            raise BadFilter(
                "cursor",
                _("The filter “cursor” belongs to a list in another order; remove it."),
            )
        return self._older(rows, cursor, size) if cursor.older else self._newer(rows, cursor, size)

    def total(self) -> Total:
        """How many rows match, from one look at each segment.

        Raises:
            django.db.DatabaseError: the table cannot be read, or not in time.
        """
        segments = self._walk.segments
        surveys = [self._survey(segment, None, older=True) for segment in segments]
        exact = all(
            survey["seen"] < segment.looks
            for segment, survey in zip(segments, surveys, strict=True)
        )
        return Total(
            count=sum(survey["matches"] for survey in surveys),
            exact=exact,
            states={
                state: sum(survey[state] for survey in surveys)
                for state in self._walk.states
                if exact
            },
        )

    def samples(self) -> tuple[list[Q], datetime | None]:
        """The condition of the first look at each segment, and how far back they reach.

        The time is None if they reach to the end. A read with one of the conditions reads no more
        rows than a look may have.

        Raises:
            django.db.DatabaseError: the table cannot be read, or not in time.
        """
        looks: list[Q] = []
        reached = None
        for segment in self._walk.segments:
            stopped, inside = _edge(segment, self._survey(segment, None, older=True), older=True)
            looks.append(segment.rows & inside & segment.sift)
            reached = stopped.time if stopped else reached
        return looks, reached

    def _older(self, rows: QuerySet[Any], cursor: Cursor | None, size: int) -> Page:
        found: list[Any] = []
        newer = replace(cursor, older=False) if cursor else None
        for segment, start in _from_here(self._walk.segments, cursor):
            look = self._look(rows, segment, start, size + 1 - len(found), older=True)
            before, found = found, found + look.rows
            if len(found) > size:
                # The last one kept may be of this segment or the last of the one before.
                holder = segment if size > len(before) else self._before(segment)
                return Page(found[:size], _after(found[size - 1], holder), newer)
            if look.stopped:
                return Page(found, look.stopped, newer, reached=look.stopped.time)
        return Page(found, None, newer)

    def _newer(self, rows: QuerySet[Any], cursor: Cursor, size: int) -> Page:
        """The page that ends at the cursor; the first page where too few rows are newer."""
        found: list[Any] = []
        older = replace(cursor, older=True)
        for segment, start in _from_here(self._walk.segments[::-1], cursor):
            look = self._look(rows, segment, start, size + 1 - len(found), older=False)
            found += look.rows
            if len(found) > size:
                return Page(found[:size][::-1], older, _after(found[size], segment, older=False))
            if look.stopped:
                return Page(found[::-1], older, look.stopped, reached=look.stopped.time)
        return self._older(rows, None, size)

    def _before(self, segment: Segment) -> Segment:
        return self._walk.segments[self._walk.segments.index(segment) - 1]

    def _look(
        self,
        rows: QuerySet[Any],
        segment: Segment,
        start: Cursor | None,
        wanted: int,
        *,
        older: bool,
    ) -> _Look:
        """At most ``wanted`` matching rows from the start on, before the edge of one look."""
        stopped, inside = None, Q()
        if not segment.is_ours and (not segment.unique or segment.sift):
            survey = self._survey(segment, start, older=older)
            stopped, inside = _edge(segment, survey, older=older)
            if not survey["matches"] and survey["newest"] != survey["oldest"]:
                return _Look([], stopped)
        past = _past(segment, start, older=older)
        matching = rows.filter(segment.rows, past, inside, segment.sift)
        # Where no time is shared, an order by more than the index has could only cost a sort.
        columns = (segment.column,) if segment.unique else (segment.column, "id")
        order = [f"-{column}" if older else column for column in columns]
        found = list(matching.order_by(*order)[:wanted])
        return _Look(found, stopped if len(found) < wanted else None)

    def _survey(self, segment: Segment, start: Cursor | None, *, older: bool) -> dict[str, Any]:
        if start is not None or not older:
            return _survey(segment, start, older=older)
        if segment.name not in self._newest:
            self._newest[segment.name] = _survey(segment, None, self._walk.states, older=True)
        return self._newest[segment.name]


def _from_here(
    segments: tuple[Segment, ...], cursor: Cursor | None
) -> list[tuple[Segment, Cursor | None]]:
    """The segments from the cursor's own on; only that one begins at the cursor."""
    if cursor is None:
        return [(segment, None) for segment in segments]
    here = [segment.name for segment in segments].index(cursor.segment)
    return [(segments[here], cursor), *((segment, None) for segment in segments[here + 1 :])]


def _after(row: Any, segment: Segment, *, older: bool = True) -> Cursor:
    row_id = UUID(int=row.id) if segment.is_ours else row.id
    return Cursor(segment.name, getattr(row, segment.column), row_id, older)


def _survey(
    segment: Segment,
    start: Cursor | None,
    states: Mapping[ExecutionState, Q] = NO_STATES,
    *,
    older: bool,
) -> dict[str, Any]:
    """How many rows a look from here sees, how many match, and its first and last time.

    With how many that match are in each of the ``states``.
    """
    column = segment.column
    seen = Execution.objects.filter(segment.rows, _past(segment, start, older=older, whole=True))
    if segment.sift:
        matching = Case(When(segment.sift, then=Value(True)), output_field=BooleanField())
        seen = seen.annotate(hit=matching)
    seen = seen.order_by(f"-{column}" if older else column)[: segment.looks]
    hit = Q(hit=True) if segment.sift else Q()
    matches = Count("id", filter=hit) if segment.sift else Count(column)
    counts = {state.value: Count("id", filter=hit & within) for state, within in states.items()}
    return seen.aggregate(
        seen=Count(column), matches=matches, newest=Max(column), oldest=Min(column), **counts
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


def _past(segment: Segment, start: Cursor | None, *, older: bool, whole: bool = False) -> Q:
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
    row_id = start.id.int if segment.is_ours else start.id
    past = Q(**{column: time, "id__lt" if older else "id__gte": row_id})
    return reach & (Q(**{f"{column}__lt" if older else f"{column}__gt": time}) | past)
