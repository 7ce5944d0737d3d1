"""Ticks in a web process or beside a runner, so that watches and trials continue unattended."""

from datetime import timedelta

from executions.database.repeating import Repeating
from executions.retirement.tick import retirement_tick

TICK_SECONDS = 5.0


def ticking(*, seconds: float = TICK_SECONDS, says_when_away: bool = True) -> Repeating:
    return Repeating(
        "retirement",
        _tick,
        seconds,
        undone="Retirements are not watched",
        says_when_away=says_when_away,
    )


def _tick(_away_for: timedelta) -> None:
    retirement_tick()
