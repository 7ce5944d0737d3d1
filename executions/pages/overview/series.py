"""PURE: numbers over time, as a sparkline, as a chart's points, and as the table beside it.

Sparklines are SVG from here. ``static/charts.js`` draws the charts from the points, with a hole
where a plan has no number.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import groupby, pairwise
from operator import attrgetter, itemgetter, sub
from typing import TypeVar

from executions.health.facts.executions import ExecutionFact
from executions.health.findings.progress import NEVER
from executions.health.ledger import Ledger, percentile
from executions.scheduler.plans import floor
from executions.text.beyond import FAR_PAST, is_beyond

Item = TypeVar("Item")

HOUR = timedelta(hours=1)
# The sparkline's own units. The template stretches them to its card.
WIDTH, HEIGHT = 100, 24


@dataclass(frozen=True)
class Sparkline:
    """``line`` and ``area`` are SVG path data; both are empty with fewer than two numbers.

    ``lowest`` and ``highest`` are the extremes of the numbers. ``band`` is the rectangle of the
    normal range, its top and its height, or None.
    """

    line: str
    area: str
    lowest: float = 0
    highest: float = 0
    band: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.line)


def sparkline(
    values: Sequence[float | None],
    least: float | None = 0,
    normal: tuple[timedelta, timedelta] | None = None,
) -> Sparkline:
    """A line through evenly spaced values; None leaves a hole.

    ``least`` is the value at the bottom. None means the smallest value. ``normal`` is the band of
    normal values, which are then seconds.
    """
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return Sparkline("", "")
    bottom = min(known) if least is None else min(least, *known)
    band = [edge.total_seconds() for edge in normal or ()]
    height = max(*known, *band) - bottom or 1
    step = WIDTH / (len(values) - 1)
    line, area = [], []
    for is_known, stretch in groupby(enumerate(values), lambda pair: pair[1] is not None):
        if not is_known:
            continue
        points = [
            (index * step, HEIGHT - ((value or 0) - bottom) / height * HEIGHT)
            for index, value in stretch
        ]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        line.append(f"M{path}")
        area.append(f"M{points[0][0]:.1f} {HEIGHT}L{path}L{points[-1][0]:.1f} {HEIGHT}Z")
    drawn = None
    if band:
        low, high = (HEIGHT - (edge - bottom) / height * HEIGHT for edge in band)
        drawn = (f"{high:.1f}", f"{low - high:.1f}")
    return Sparkline("".join(line), "".join(area), min(known), max(known), drawn)


@dataclass(frozen=True)
class HourOfValues:
    """One row of a chart's table."""

    hour: datetime
    count: int
    median: float
    p95: float
    greatest: float


@dataclass(frozen=True)
class Series:
    """Numbers over time, oldest first; None for a time without a number.

    ``plans`` are the plan_times that the points belong to, if not ``times``.
    """

    times: tuple[datetime, ...]
    values: tuple[float | None, ...]
    plans: tuple[datetime, ...] = ()

    def __bool__(self) -> bool:
        return any(value is not None for value in self.values)

    @property
    def points(self) -> str:
        """JSON for the chart: times, values, and the plans that they belong to.

        Times are steps in seconds, the first from the epoch. Plans come at an even pace, so steps
        compress to next to nothing.
        """
        whole = [None if value is None else round(value) for value in self.values]
        made = [_steps(self.times), whole, *([_steps(self.plans)] if self.plans else [])]
        return json.dumps(made, separators=(",", ":"))

    @cached_property
    def _values_by_hour(self) -> list[tuple[datetime, list[float]]]:
        """The numbers of each hour, oldest first; an hour may have none."""
        pairs = zip(self.times, self.values, strict=True)
        return [
            (hour, [value for _time, value in several if value is not None])
            for hour, several in by_hour(pairs, itemgetter(0))
        ]

    @cached_property
    def hours(self) -> list[HourOfValues]:
        """The chart as a table: a summary of each hour, newest first."""
        return [
            HourOfValues(
                hour,
                len(values),
                percentile(values, 0.5) or 0,
                percentile(values, 0.95) or 0,
                max(values),
            )
            for hour, values in reversed(self._values_by_hour)
            if values
        ]

    def by_hour(self, measure: Callable[[Sequence[float]], float | None]) -> list[float | None]:
        """One number for each hour, oldest first."""
        return [measure(values) for _hour, values in self._values_by_hour]


def by_hour(
    items: Iterable[Item], time_of: Callable[[Item], datetime]
) -> Iterator[tuple[datetime, list[Item]]]:
    """The items of each clock hour, in their order. Only an hour's first is asked for its hour."""
    found: list[Item] = []
    start = end = FAR_PAST
    for item in items:
        if start <= time_of(item) < end:
            found.append(item)
            continue
        if found:
            yield start, found
        start, found = floor(time_of(item), HOUR), [item]
        end = start + HOUR
    if found:
        yield start, found


def _steps(times: Sequence[datetime]) -> list[int]:
    seconds = list(map(int, map(datetime.timestamp, times)))
    return list(map(sub, seconds, [0, *seconds]))


def over_plans(ledger: Ledger, measure: Callable[[ExecutionFact], float | None]) -> Series:
    """The numbers of those plans of the ledger that somebody began."""
    return Series(
        tuple(cell.plan_time for cell in ledger.cells),
        tuple(measure(cell.execution) if cell.execution else None for cell in ledger.cells),
    )


def duration_of(row: ExecutionFact) -> float | None:
    """Milliseconds of the handler, for successes only, like the figures."""
    return row.duration_ms if row.succeeded else None


def lag_of(row: ExecutionFact) -> float | None:
    """Seconds between the watermark and the end of the run."""
    ended, mark = row.finished_at, row.watermark_after
    if ended is None or mark is None or is_beyond(ended) or is_beyond(mark):
        return None
    return (ended - mark).total_seconds()


def lag_over_time(
    rows: Iterable[ExecutionFact], now: datetime, watermark: datetime | None
) -> Series:
    """The lag at every moment up to now: it grows with the time, and each run takes it back.

    A run has two points, just before and after it ended. ``watermark`` is the present one; it may
    differ from that of the newest run if something else moved it.
    """
    points: list[tuple[datetime, float, datetime]] = []
    mark: datetime | None = None
    ended = [
        (row.finished_at, lag, row)
        for row in rows
        if row.succeeded and row.finished_at and (lag := lag_of(row)) is not None
    ]
    for end, lag, row in sorted(ended, key=itemgetter(0)):
        if end > now:
            break
        before = row.watermark_before or mark
        if before is not None and not is_beyond(before) and before > NEVER:
            points.append((end, (end - before).total_seconds(), row.plan_time))
        mark = row.watermark_after
        points.append((end, lag, row.plan_time))
    last = watermark or mark
    if points and last is not None and not is_beyond(last):
        points.append((now, (now - last).total_seconds(), points[-1][2]))
    return Series(
        tuple(time for time, _lag, _plan in points),
        tuple([max(0, lag) for _time, lag, _plan in points]),
        tuple(plan for _time, _lag, plan in points),
    )


def kept_by_hour(ledger: Ledger) -> list[float | None]:
    """The share of each hour's expected plans that succeeded, oldest hour first."""
    shares: list[float | None] = []
    for _hour, hour in by_hour(ledger.cells, attrgetter("plan_time")):
        expected = [cell.kind.is_success for cell in hour if cell.kind.is_expected]
        shares.append(sum(expected) / len(expected) if expected else None)
    return shares


def between_successes(rows: Iterable[ExecutionFact]) -> list[float]:
    """Seconds from the end of each success to the end of the next, oldest first."""
    ends = sorted(
        row.finished_at
        for row in rows
        if row.succeeded and row.finished_at and not is_beyond(row.finished_at)
    )
    return [(later - earlier).total_seconds() for earlier, later in pairwise(ends)]
