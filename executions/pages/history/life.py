"""PURE: the life of one execution as moments in order, and what it did to the watermark.

It uses only one row and the settings of its job. If a later attempt has overwritten something, the
text says so.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.utils.translation import gettext as _

from executions.health.facts.executions import moment_in
from executions.scheduler.spec import CatchUp, ErrorCode, JobSpec
from executions.scheduler.states import ExecutionState
from executions.text.beyond import is_beyond

if TYPE_CHECKING:
    from executions.models import Execution

# Beyond this an indented result would be mostly indentation.
LONGEST_PRETTY = 65_536
# The parts of a JSON text: strings, brackets, commas and colons, and everything between them.
_PARTS = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+')


@dataclass(frozen=True)
class Moment:
    """One moment of a life. ``at`` is None without a time of its own; ``ahead`` is after now."""

    title: str
    at: datetime | None
    note: str = ""
    tone: str = "mute"
    icon: str = "clock"
    runner: str = ""
    ahead: bool = False


def life(
    execution: Execution, state: ExecutionState, spec: JobSpec | None, now: datetime
) -> list[Moment]:
    """Planned, due, claimed by, heartbeat, finished, next retry: those that happened."""
    moments = [
        *_planned(execution, spec),
        *_claimed(execution),
        *_lease(execution, state, now),
        *_ended(execution, state),
        *_next(execution, state, spec, now),
    ]
    return [moment for moment in moments if moment.at is not None or moment.note]


def _planned(execution: Execution, spec: JobSpec | None) -> list[Moment]:
    planned = Moment(_("Planned for"), execution.plan_time, icon="calendar-time")
    if spec is None or spec.planner is not None or is_beyond(execution.plan_time):
        return [planned]
    try:
        due = execution.plan_time + spec.schedule_delay
    except OverflowError:
        return [planned]
    return [planned, Moment(_("Due"), due, _("plan time and the job's delay"))]


def _claimed(execution: Execution) -> list[Moment]:
    moments = []
    if execution.attempt > 1:
        moments.append(
            Moment(
                _("First claimed"),
                execution.created_at,
                _("Each later attempt writes over the one before it, so no more is known of it."),
                icon="player-play",
            )
        )
    moments.append(
        Moment(
            _("Claimed by"),
            execution.started_at,
            _("attempt %(n)d of %(most)d")
            % {"n": execution.attempt, "most": execution.max_attempts},
            tone="busy",
            icon="player-play",
            runner=execution.runner_id or "",
        )
    )
    return moments


def _lease(execution: Execution, state: ExecutionState, now: datetime) -> list[Moment]:
    moments = []
    if execution.heartbeat_at and execution.heartbeat_at != execution.started_at:
        moments.append(Moment(_("Last heartbeat"), execution.heartbeat_at, icon="activity"))
    if state == ExecutionState.STALE:
        moments.append(
            Moment(
                _("Lease ended"),
                execution.stale_after,
                _("No heartbeat came in time. The next sweep or another runner takes it over."),
                tone="warn",
                icon="hourglass-empty",
            )
        )
    elif state == ExecutionState.RUNNING:
        moments.append(
            Moment(
                _("Lease lasts until"),
                execution.stale_after,
                _("Each heartbeat moves it on."),
                icon="hourglass-empty",
                ahead=execution.stale_after is not None and execution.stale_after > now,
            )
        )
    return moments


def _ended(execution: Execution, state: ExecutionState) -> list[Moment]:
    if state in (ExecutionState.RUNNING, ExecutionState.STALE):
        return []
    if state == ExecutionState.SUCCESS:
        note = _("at the second or a later attempt") if execution.attempt > 1 else ""
        return [Moment(_("Succeeded"), execution.finished_at, note, "good", "check")]
    if execution.error_code == ErrorCode.STALE_TIMEOUT:
        note = _("A sweep closed it: its lease had ended without a heartbeat.")
        return [Moment(_("Failed"), execution.finished_at, note, "bad", "x")]
    return [Moment(_("Failed"), execution.finished_at, "", "bad", "x")]


def _next(
    execution: Execution, state: ExecutionState, spec: JobSpec | None, now: datetime
) -> list[Moment]:
    if state not in (ExecutionState.RETRYING, ExecutionState.FAILED):
        return []
    if state == ExecutionState.RETRYING:
        at = execution.next_retry_at
        if at is None:
            return [Moment(_("Next retry"), None, _("at the next tick"), "warn", "refresh")]
        return [Moment(_("Next retry"), at, "", "warn", "refresh", ahead=at > now)]
    if execution.attempt >= execution.max_attempts:
        note = _("No attempt is left: this plan stays failed.")
    elif spec is not None and spec.catch_up is CatchUp.LATEST_ONLY:
        note = _(
            "The time for a retry is over: a newer plan is due, and this job never returns to an"
            " older one."
        )
    else:
        note = _("A newer plan has begun; most runners return to the newest one only.")
    return [Moment(_("No further retry"), None, note, "mute", "ban")]


@dataclass(frozen=True)
class WatermarkStep:
    """The watermark before and after one run, from its result. Times are UTC."""

    before: datetime | None
    after: datetime | None

    @property
    def moved(self) -> timedelta | None:
        return self.after - self.before if self.before and self.after else None


def watermark_step(result: object) -> WatermarkStep | None:
    """The step in a result; None for a result of another kind."""
    if not isinstance(result, dict) or "advisory_lock_id" not in result:
        return None
    return WatermarkStep(
        moment_in(result.get("watermark_before")), moment_in(result.get("watermark_after"))
    )


def skipped_reason(result: object) -> str | None:
    """Why Multica's autopilot dispatched nothing; None if the result has no reason."""
    reason = result.get("skipped_reason") if isinstance(result, dict) else None
    return reason if isinstance(reason, str) and reason else None


def parsed(text: str) -> object:
    """A stored result; None if it is nested too deep for this process."""
    try:
        return json.loads(text)
    except RecursionError:
        return None


def pretty(text: str) -> str:
    """A stored result, indented for reading; unchanged if indentation would bury it.

    Only the space between its parts changes, because a parser would round the numbers.
    """
    written: list[str] = []
    length = depth = 0
    parts = _PARTS.findall(text)
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        if part in "]}" and written[-1] not in "[{":
            depth -= 1
            written.append(_new_line(depth))
        written.append(f"{part} " if part == ":" else part)
        if part in "[{" and following not in "]}":
            depth += 1
            written.append(_new_line(depth))
        elif part == ",":
            written.append(_new_line(depth))
        length += len(written[-1]) + len(part)
        if length > LONGEST_PRETTY:
            return text
    return "".join(written)


def _new_line(depth: int) -> str:
    return "\n" + 2 * depth * " "
