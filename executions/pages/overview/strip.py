"""PURE: the plan strip. The cells of the ledger as rows of squares, each gap with its story.

A day has one square for each plan and one row for each clock hour, so a square keeps its place
while the window moves. The hours in which the day begins and ends are both partly in it. A week has
one square for each hour, which shows the hour's worst plan. The strip judges nothing: the ledger
does.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

from django.utils.functional import Promise
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext, pgettext

from executions.health.facts.executions import ExecutionFact
from executions.health.ledger import Cell, Ledger, PlanOutcome
from executions.pages.overview.gaps import GapStory, tell_gaps
from executions.scheduler.plans import floor
from executions.scheduler.spec import JobSpec
from executions.text.formatters import Units, duration, written

# A day has at most 25 rows. On a wide page they stand in two columns.
ROWS_IN_A_COLUMN = 13

# The squares on one line: those of an hour, or of half a day, where a narrow page breaks the row.
LINE = 12

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# With the classes of app.css, in the order of the legend.
LABELS: dict[PlanOutcome, tuple[str, str | Promise]] = {
    PlanOutcome.KEPT: ("kept", gettext_lazy("kept")),
    PlanOutcome.KEPT_LATE: ("late", gettext_lazy("kept late")),
    PlanOutcome.RETRIED: ("retried", gettext_lazy("kept after a retry")),
    PlanOutcome.FAILED: ("failed", gettext_lazy("failed")),
    PlanOutcome.RUNNING: ("running", gettext_lazy("running")),
    PlanOutcome.STALE: ("stale", gettext_lazy("stale")),
    PlanOutcome.MISSING: ("missing", gettext_lazy("missing")),
    PlanOutcome.BLIND: ("blind", gettext_lazy("nobody could look")),
    PlanOutcome.WAITING: ("ahead", gettext_lazy("not due yet")),
    PlanOutcome.NONE: ("none", gettext_lazy("nothing expected")),
}
# A square shows the first of these kinds that occurs in its hour.
WORST_FIRST = (
    PlanOutcome.FAILED,
    PlanOutcome.STALE,
    PlanOutcome.MISSING,
    PlanOutcome.RUNNING,
    PlanOutcome.BLIND,
    PlanOutcome.RETRIED,
    PlanOutcome.KEPT_LATE,
    PlanOutcome.KEPT,
    PlanOutcome.WAITING,
    PlanOutcome.NONE,
)


class Square(NamedTuple):
    """One cell, or the cells of one hour: the class of its look, and its time span.

    ``kinds`` says how many of its cells have each kind, and ``kind`` is the one that it shows.
    ``extras`` is how many rows off the grid it holds, from a foreign writer. ``gap`` is the gap
    around a *missing* square. ``unread`` says that its time was not read.
    ``span`` is its width: a piece of an open gap takes the places of several plans.
    """

    cells: tuple[Cell, ...]
    kinds: Mapping[PlanOutcome, int]
    kind: PlanOutcome
    start: datetime
    end: datetime
    extras: int = 0
    gap: GapStory | None = None
    unread: bool = False
    span: int = 1

    @property
    def look(self) -> str:
        """The class of app.css. Rows off the grid make it odd, whatever the plan itself is."""
        return "odd" if self.extras else LABELS[self.kind][0]

    @property
    def key(self) -> int:
        """Identifies the square in its row, also after a refresh."""
        return int(self.start.timestamp())

    @property
    def execution(self) -> ExecutionFact | None:
        """The row of its plan, if the square stands for that plan alone.

        An hour in which the window begins may have a single plan, and still stands for the hour.
        """
        first = self.cells[0]
        alone = len(self.cells) == 1 and not self.extras and first.plan_time == self.start
        return first.execution if alone else None

    @property
    def has_rows(self) -> bool:
        return self.extras > 0 or any(kind.has_row for kind in self.kinds)

    @property
    def is_open(self) -> bool:
        """Whether it is a piece of the gap that lasts until now."""
        return self.gap is not None and self.gap.is_open and not self.extras

    @property
    def leads(self) -> bool:
        """Whether there is anything that it can lead to."""
        return self.has_rows or self.gap is not None


class Captions:
    """The text of a square, for a resting pointer and a screen reader.

    The viewer's language and zone are looked up once: for each square that would take longer than
    all else.
    """

    def __init__(self) -> None:
        self._labels = {kind: str(label) for kind, (_css, label) in LABELS.items()}
        self._zone = get_current_timezone()
        self._units = Units()
        self._colon = pgettext("between a time and what became of it", ": ")
        self._comma = pgettext("between the parts of a caption", ", ")

    def of(self, square: Square) -> str:
        """The time of the square, and what became of it. An open gap is told as a whole."""
        if square.gap is not None and square.is_open:
            return self._open(square.gap)
        told = f"{written(square.start, 'clock', self._zone)}{self._colon}{self._outcome(square)}"
        execution = square.execution
        if execution is not None and execution.duration_ms is not None:
            told += self._comma + duration(execution.duration_ms, self._units)
        if square.extras:
            told += self._comma + _("%(n)s off the grid") % {"n": square.extras}
        return told

    def _open(self, gap: GapStory) -> str:
        first = written(gap.first, "clock", self._zone)
        return ngettext(
            "Nobody began the plan of %(first)s",
            "Nobody began the %(n)s plans since %(first)s",
            gap.count,
        ) % {"n": gap.count, "first": first}

    def _outcome(self, square: Square) -> str:
        if square.unread:
            return _("not looked at")
        if len(square.cells) == 1:
            return self._labels[square.kind]
        counts = square.kinds
        return self._comma.join(
            [f"{counts[kind]} {self._labels[kind]}" for kind in LABELS if kind in counts]
        )


@dataclass(frozen=True)
class StripRow:
    """Squares side by side, and the empty places before and after them."""

    start: datetime
    squares: tuple[Square, ...]
    before: range
    after: range

    @property
    def key(self) -> int:
        """Identifies the row, also after a refresh."""
        return int(self.start.timestamp())


@dataclass(frozen=True)
class Kind:
    """A line of the legend. ``newest`` is the key of the newest square with that look.

    It is None if no square shows that kind: an hour shows only its worst plan. ``is_open`` says
    whether that square is a piece of an open gap, which looks louder.
    """

    look: str
    label: str | Promise
    count: int
    newest: int | None
    is_open: bool = False


@dataclass(frozen=True)
class Strip:
    """The rows, the gaps, newest first, and the ledger of both."""

    rows: tuple[StripRow, ...]
    gaps: tuple[GapStory, ...]
    ledger: Ledger
    by_hour: bool

    @property
    def half(self) -> int:
        """The number of rows in the first of two columns, as app.css lays them; a week has one."""
        return 0 if self.by_hour else ROWS_IN_A_COLUMN

    @cached_property
    def legend(self) -> list[Kind]:
        """Every kind of plan in the strip."""
        counts = self.ledger.counts
        newest = {
            square.look: square for row in self.rows for square in row.squares if square.leads
        }

        def line(look: str, label: str | Promise, count: int) -> Kind:
            square = newest.get(look)
            if square is None:
                return Kind(look, label, count, None)
            return Kind(look, label, count, square.key, square.is_open)

        shown = [
            line(look, label, counts[kind])
            for kind, (look, label) in LABELS.items()
            if counts[kind] and kind is not PlanOutcome.NONE
        ]
        odd = len(self.ledger.off_grid)
        if odd:
            shown.append(line("odd", gettext_lazy("off the grid"), odd))
        return shown


def lay_day(ledger: Ledger, now: datetime, spec: JobSpec) -> Strip:
    """One square for each plan, one row for each clock hour, oldest first."""
    gaps = tell_gaps(ledger, now, spec)
    squares = [
        _square((cell,), cell.plan_time, cell.plan_time + spec.cadence, gaps, ledger.looked_from)
        for cell in ledger.cells
    ]
    return Strip(tuple(_rows(squares, HOUR, spec.cadence)), gaps, ledger, by_hour=False)


def lay_week(ledger: Ledger, now: datetime, spec: JobSpec) -> Strip:
    """One square for each clock hour, one row for each UTC day, oldest first."""
    gaps = tell_gaps(ledger, now, spec)
    squares = [
        _square(cells, hour, hour + HOUR, gaps, ledger.looked_from)
        for hour, cells in _hours(ledger.cells, spec.cadence)
    ]
    return Strip(tuple(_rows(squares, DAY, HOUR)), gaps, ledger, by_hour=True)


def _hours(
    cells: Sequence[Cell], cadence: timedelta
) -> Iterator[tuple[datetime, tuple[Cell, ...]]]:
    """The cells of each clock hour. They come at an even pace, so no cell is asked for its hour."""
    at = 0
    while at < len(cells):
        hour = floor(cells[at].plan_time, HOUR)
        to = at - (cells[at].plan_time - hour - HOUR) // cadence
        yield hour, tuple(cells[at:to])
        at = to


def _square(
    cells: tuple[Cell, ...],
    start: datetime,
    end: datetime,
    gaps: Iterable[GapStory],
    looked_from: datetime | None,
) -> Square:
    if len(cells) == 1:
        kind = cells[0].kind
        kinds: Mapping[PlanOutcome, int] = {kind: 1}
    else:
        kinds = Counter([cell.kind for cell in cells])
        kind = next(one for one in WORST_FIRST if one in kinds)
    extras = sum([len(cell.extras) for cell in cells])
    gap = None
    if kind is PlanOutcome.MISSING:
        # The gaps come newest first, and one of them contains what is missing here.
        gap = next((gap for gap in gaps if gap.first < end), None)
    unread = kind is PlanOutcome.NONE and looked_from is not None and start < looked_from
    return Square(cells, kinds, kind, start, end, extras, gap, unread)


def _rows(squares: Iterable[Square], span: timedelta, step: timedelta) -> Iterator[StripRow]:
    for start, grouped in groupby(squares, lambda square: floor(square.start, span)):
        row = tuple(_joined(grouped, start, step))
        before = (row[0].start - start) // step
        after = span // step - before - sum(square.span for square in row)
        yield StripRow(start, row, range(before), range(after))


def _joined(squares: Iterable[Square], start: datetime, step: timedelta) -> Iterator[Square]:
    """The squares of a row, in which an open gap is one piece on each line."""

    def piece(square: Square) -> tuple[bool, int]:
        return square.is_open, (square.start - start) // step // LINE

    for (is_open, _line), grouped in groupby(squares, piece):
        several = tuple(grouped)
        if is_open:
            cells = tuple(cell for square in several for cell in square.cells)
            kinds = sum((Counter(square.kinds) for square in several), Counter[PlanOutcome]())
            first, last = several[0], several[-1]
            yield first._replace(cells=cells, kinds=kinds, end=last.end, span=len(several))
        else:
            yield from several
