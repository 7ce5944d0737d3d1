"""Retirements whose watch a test drives tick by tick."""

from __future__ import annotations

from dataclasses import replace

from executions.models.retirement import Retirement
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.retiring import MINUTES

CADENCE = 5 * MINUTES


def tick(retirement: Retirement, **rules) -> Retirement:
    """One tick that looks at once, whenever the last one was."""
    Retirement.objects.update(looked_at=None)
    retirement_tick(replace(current(), **rules))
    retirement.refresh_from_db()
    return retirement


def begun_before(retirement: Retirement, plans: int, newest) -> Retirement:
    """Let the act have happened so long ago that this many plans have come since."""
    at = newest - plans * CADENCE + CADENCE + MINUTES
    Retirement.objects.filter(pk=retirement.pk).update(watched_since=at)
    if retirement.paused_at is not None:
        Retirement.objects.filter(pk=retirement.pk).update(paused_at=at)
    retirement.refresh_from_db()
    return retirement


def interfere(owner, count):
    """Between the newest plans somebody else has advanced usage."""
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
         WHERE plan_time > (SELECT max(plan_time) FROM sys_cron_executions) - %s
        """,
        [count * CADENCE],
    )
