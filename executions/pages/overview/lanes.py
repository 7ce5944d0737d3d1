"""PURE: the runner lanes. Each runner's runs of the last 24 hours as rectangles on one line.

Deploys, failovers and silence show as steps, overlaps and holes. A runner that won nothing has no
lane, because it wrote nothing (docs/contract.md section 6).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from django.utils.translation import gettext as _

from executions.health.facts.executions import ExecutionFact, begun_by_runner
from executions.text.formatters import written

# The lane is as many units wide as a day has plans. app.css and the template use the same number.
WIDTH = 288
# A run of a few milliseconds must still be visible.
NARROWEST = 0.8
MOST_LANES = 12

# Class, top and height within the 12 units of the lane. The shape has the same meaning as the
# colour.
SHORT = ("run", "3.5", "5")
SHAPES = {
    "retried": ("run run-retried", "2", "8"),
    "failed": ("run run-failed", "0.5", "11"),
    "running": ("run run-running", "2", "8"),
}


class Bar(NamedTuple):
    """One run, in the units of its lane, ``x`` and ``width`` to the hundredth."""

    x: float
    width: float
    y: str
    height: str
    css: str


@dataclass(frozen=True)
class Lane:
    """One runner's line. ``runner_id`` is None for the runs that name no runner."""

    runner_id: str | None
    is_ours: bool
    bars: tuple[Bar, ...]
    plans: int
    failed: int
    first_seen: datetime
    last_seen: datetime

    @property
    def summary(self) -> str:
        """The picture in words."""
        if self.plans == 1:
            sentence = (
                _("1 run at %(first)s, which failed") if self.failed else _("1 run at %(first)s")
            )
        else:
            sentence = _("%(plans)s runs from %(first)s to %(last)s, %(failed)s of them failed")
        return sentence % {
            "plans": self.plans,
            "first": written(self.first_seen, "clock"),
            "last": written(self.last_seen, "clock"),
            "failed": self.failed,
        }


@dataclass(frozen=True)
class Lanes:
    """The lanes, the latest runner on top, and how many more runners there were."""

    lanes: tuple[Lane, ...]
    hidden: int
    since: datetime
    until: datetime

    @property
    def marks(self) -> list[datetime]:
        """The times below the lanes."""
        return [self.since + (self.until - self.since) * part / 4 for part in range(5)]


def draw_lanes(
    rows: Iterable[ExecutionFact], ours: frozenset[str], now: datetime, window: timedelta
) -> Lanes:
    """Lay the runs that began within the ``window`` before now on the lanes of their runners."""
    since = now - window
    lanes = [
        _lane(runner_id, runs, runner_id in ours, since, now)
        for runner_id, runs in begun_by_runner(rows, now, window).items()
    ]
    lanes.sort(key=lambda lane: (lane.last_seen, lane.first_seen), reverse=True)
    return Lanes(tuple(lanes[:MOST_LANES]), max(0, len(lanes) - MOST_LANES), since, now)


def _lane(
    runner_id: str | None,
    runs: Sequence[ExecutionFact],
    is_ours: bool,
    since: datetime,
    now: datetime,
) -> Lane:
    starts = [run.started_at for run in runs if run.started_at is not None]
    return Lane(
        runner_id=runner_id,
        is_ours=is_ours,
        bars=tuple(_bar(run, since, now) for run in runs),
        plans=len(runs),
        failed=sum(run.failed for run in runs),
        first_seen=min(starts),
        last_seen=max(starts),
    )


def _bar(run: ExecutionFact, since: datetime, now: datetime) -> Bar:
    begun = run.started_at or since
    ended = max(begun, min(run.finished_at or now, now))
    day = now - since
    x = (begun - since) / day * WIDTH
    width = max((ended - begun) / day * WIDTH, NARROWEST)
    css, y, height = _shape(run)
    return Bar(round(min(x, WIDTH - width), 2), round(width, 2), y, height, css)


def _shape(run: ExecutionFact) -> tuple[str, str, str]:
    if run.failed:
        return SHAPES["failed"]
    if run.running:
        return SHAPES["running"]
    return SHAPES["retried"] if run.attempt > 1 else SHORT
