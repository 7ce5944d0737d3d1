"""PURE: the plan strip. The cells of the ledger as rows of squares, with every gap explained.

A day has one square for each plan and one row for each clock hour, so a square keeps its place
while the window moves. The hours in which the day begins and ends are both partly in it. A week has
one square for each hour, which shows the hour's worst plan. The strip judges nothing: the ledger
does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import groupby

from django.utils.functional import Promise
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy

from executions.health.facts.executions import ExecutionFact
from executions.health.ledger import Cell, Ledger, PlanOutcome
from executions.scheduler.plans import floor
from executions.scheduler.spec import JobSpec
from executions.text.formatters import duration, written
from executions.text.sentences import At, Paragraph, Sentence, say, together

# A day has at most 25 rows. On a wide page they stand in two columns.
ROWS_IN_A_COLUMN = 13

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
    PlanOutcome.WAITING: ("ahead", gettext_lazy("not due yet")),
    PlanOutcome.NONE: ("none", gettext_lazy("nothing expected")),
}
# A square shows the first of these kinds that occurs in its hour.
WORST_FIRST = (
    PlanOutcome.FAILED,
    PlanOutcome.STALE,
    PlanOutcome.MISSING,
    PlanOutcome.RUNNING,
    PlanOutcome.RETRIED,
    PlanOutcome.KEPT_LATE,
    PlanOutcome.KEPT,
    PlanOutcome.WAITING,
    PlanOutcome.NONE,
)


@dataclass(frozen=True)
class Square:
    """One cell, or the cells of one hour: the class of its look, and its time span.

    ``gap`` is the gap around a *missing* square. ``unread`` says that its time was not read.
    """

    cells: tuple[Cell, ...]
    kind: PlanOutcome
    start: datetime
    end: datetime
    gap: GapStory | None = None
    unread: bool = False

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
        """The row of its plan, if the square holds nothing else."""
        alone = len(self.cells) == 1 and not self.extras
        return self.cells[0].execution if alone else None

    @cached_property
    def extras(self) -> int:
        """How many rows off the grid it holds, from a foreign writer."""
        return sum(len(cell.extras) for cell in self.cells)

    @property
    def has_rows(self) -> bool:
        return any(cell.execution or cell.extras for cell in self.cells)

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

    def of(self, square: Square) -> str:
        """The time of the square, and what became of it."""
        parts = self._outcome(square)
        execution = square.execution
        if execution is not None and execution.duration_ms is not None:
            parts.append(duration(execution.duration_ms))
        if square.extras:
            parts.append(_("%(n)s off the grid") % {"n": square.extras})
        return f"{written(square.start, 'clock', self._zone)}: {', '.join(parts)}"

    def _outcome(self, square: Square) -> list[str]:
        if square.unread:
            return [_("not looked at")]
        if len(square.cells) == 1:
            return [self._labels[square.kind]]
        counts = Counter(cell.kind for cell in square.cells)
        return [f"{counts[kind]} {self._labels[kind]}" for kind in LABELS if kind in counts]


@dataclass(frozen=True)
class StripRow:
    """Squares side by side, and the empty places before and after them."""

    start: datetime
    squares: tuple[Square, ...]
    before: range
    after: range


@dataclass(frozen=True)
class Kind:
    """A line of the legend. ``newest`` is the key of the newest square with that look.

    It is None if no square shows that kind: an hour shows only its worst plan.
    """

    look: str
    label: str
    count: int
    newest: int | None


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
            square.look: square.key for row in self.rows for square in row.squares if square.leads
        }
        shown = [
            Kind(look, str(label), counts[kind], newest.get(look))
            for kind, (look, label) in LABELS.items()
            if counts[kind] and kind is not PlanOutcome.NONE
        ]
        odd = len(self.ledger.off_grid)
        if odd:
            shown.append(Kind("odd", str(_("off the grid")), odd, newest.get("odd")))
        return shown


@dataclass(frozen=True)
class GapStory:
    """Plans that nobody began, with what is known of the cause and the outcome.

    ``after`` is None while no later plan has begun.
    """

    first: datetime
    last: datetime
    count: int
    before: ExecutionFact | None
    after: ExecutionFact | None
    now: datetime
    spec: JobSpec

    @property
    def anchor(self) -> str:
        """The id of the gap's explanation on the page."""
        return f"gap-{self.first.astimezone(UTC):%Y%m%dT%H%MZ}"

    @property
    def until(self) -> datetime:
        """The end of the last bucket that nobody began."""
        return self.last + self.spec.cadence

    @property
    def around(self) -> tuple[datetime, datetime]:
        """The history's time range for the gap: from the plan before it to the one after it."""
        return self.first - self.spec.cadence, self.until + self.spec.cadence

    @property
    def title(self) -> Sentence:
        if self.count == 1:
            return say(
                gettext_lazy("Nobody began the plan of %(first)s."), first=self._at(self.first)
            )
        return say(
            ngettext_lazy(
                "Nobody began the %(n)s plan from %(first)s to %(last)s.",
                "Nobody began the %(n)s plans from %(first)s to %(last)s.",
                "n",
            ),
            n=self.count,
            first=self._at(self.first),
            last=self._at(self.last),
        )

    @property
    def story(self) -> Paragraph:
        return together(self._why(), self._outcome())

    def _at(self, moment: datetime) -> At:
        return At(moment, self.now)

    def _why(self) -> Sentence:
        """A runner inside a run does not tick. Otherwise no runner ticked, or there was none."""
        before = self.before
        due = self.first + self.spec.schedule_delay
        ended = None if before is None else before.finished_at or (before.running and self.now)
        if before is not None and ended and ended > due:
            return say(
                gettext_lazy(
                    "The run of %(plan)s was running until %(ended)s, and a runner that is"
                    " inside a run does not begin another."
                ),
                plan=self._at(before.plan_time),
                ended=self._at(ended),
            )
        return say(
            _("No runner ticked then: every backend was down, restarting, or without the database.")
        )

    def _outcome(self) -> Sentence:
        """Latest-only never fills a gap (docs/contract.md section 3). The watermark closes it."""
        after = self.after
        if after is None:
            return say(gettext_lazy("No later plan has begun either, so usage stands still."))
        if after.running:
            return self._still_at_it(after)
        if not after.succeeded:
            return say(
                gettext_lazy("The next run, of %(plan)s, did not succeed either (%(status)s)."),
                plan=self._at(after.plan_time),
                status=after.status,
            )
        if after.watermark_after is None:
            return say(
                gettext_lazy(
                    "Missed plans are not run later. The next run, of %(plan)s, succeeded and goes"
                    " on from the watermark, so no usage is lost."
                ),
                plan=self._at(after.plan_time),
            )
        return self._how_far(after, after.watermark_after)

    def _still_at_it(self, after: ExecutionFact) -> Sentence:
        if after.is_stale(self.now):
            return say(
                gettext_lazy(
                    "The next run, of %(plan)s, began but stopped reporting, so it did not close"
                    " the gap."
                ),
                plan=self._at(after.plan_time),
            )
        return say(
            gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, is running now and goes"
                " on from the watermark."
            ),
            plan=self._at(after.plan_time),
        )

    def _how_far(self, after: ExecutionFact, watermark: datetime) -> Sentence:
        """A run that lost the lock moves nothing, and a run that catches up ends before the gap."""
        if after.moved == timedelta():
            template = gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, succeeded and moved"
                " nothing: the watermark stayed at %(watermark)s."
            )
        elif watermark < self.until:
            template = gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, took the watermark to"
                " %(watermark)s only, which lies before the end of the gap."
            )
        else:
            template = gettext_lazy(
                "Missed plans are not run later. The next run, of %(plan)s, took the watermark on"
                " to %(watermark)s, so no usage is lost."
            )
        return say(template, plan=self._at(after.plan_time), watermark=self._at(watermark))


def tell_gaps(ledger: Ledger, now: datetime, spec: JobSpec) -> tuple[GapStory, ...]:
    """Every series of missing plans, newest first: the gaps, and the silence up to now."""
    stories = [
        GapStory(gap.first, gap.last, gap.count, gap.before, gap.after, now, spec)
        for gap in ledger.gaps
    ]
    silence = _silence(ledger.cells)
    if silence:
        before = next((cell.execution for cell in reversed(ledger.cells) if cell.execution), None)
        first, last = silence[0].plan_time, silence[-1].plan_time
        stories.append(GapStory(first, last, len(silence), before, None, now, spec))
    return tuple(reversed(stories))


def _silence(cells: Sequence[Cell]) -> list[Cell]:
    """The missing plans after the newest row, oldest first."""
    missing: list[Cell] = []
    for cell in reversed(cells):
        if cell.execution is not None:
            break
        if cell.kind is PlanOutcome.MISSING:
            missing.append(cell)
    return missing[::-1]


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
        _square(tuple(cells), hour, hour + HOUR, gaps, ledger.looked_from)
        for hour, cells in groupby(ledger.cells, lambda cell: floor(cell.plan_time, HOUR))
    ]
    return Strip(tuple(_rows(squares, DAY, HOUR)), gaps, ledger, by_hour=True)


def _square(
    cells: tuple[Cell, ...],
    start: datetime,
    end: datetime,
    gaps: Iterable[GapStory],
    looked_from: datetime | None,
) -> Square:
    kinds = {cell.kind for cell in cells}
    kind = next(kind for kind in WORST_FIRST if kind in kinds)
    gap = None
    if kind is PlanOutcome.MISSING:
        # The gaps come newest first, and one of them contains what is missing here.
        gap = next((gap for gap in gaps if gap.first < end), None)
    unread = kind is PlanOutcome.NONE and looked_from is not None and start < looked_from
    return Square(cells, kind, start, end, gap, unread)


def _rows(squares: Iterable[Square], span: timedelta, step: timedelta) -> Iterator[StripRow]:
    for start, grouped in groupby(squares, lambda square: floor(square.start, span)):
        row = tuple(grouped)
        before = (row[0].start - start) // step
        yield StripRow(start, row, range(before), range(span // step - before - len(row)))
