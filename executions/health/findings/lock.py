"""PURE: findings about runs that found advisory lock 4246 taken (docs/contract.md section 6)."""

from datetime import timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.facts import StateRow
from executions.health.facts.executions import ExecutionFact
from executions.health.facts.sessions import DatabaseSession, Lock
from executions.health.findings.base import HOUR, Case, Finding, FindingCode, Severity, rows_told
from executions.health.findings.watermark import is_in_the_future
from executions.health.remedies import end_session
from executions.health.writers import ROUNDING
from executions.text.formatters import NOTHING
from executions.text.sentences import Paragraph, Sentence, say, say_counted, together

LOST_OFTEN = 3
LOST_AGAIN = 2


def lost_lately(case: Case) -> list[ExecutionFact]:
    """In the last hour, newest first: SUCCESS with 0 rows and the watermark unchanged.

    An idle run also has 0 rows, but it moves the watermark.
    """
    return [
        row
        for row in case.rows
        if row.succeeded
        and row.rows_affected == 0
        and row.moved == timedelta()
        and case.within(row.finished_at, HOUR)
    ]


def lock_lost(case: Case) -> Finding | None:
    lost = lost_lately(case)
    if not lost:
        return None
    if is_in_the_future(case):
        return _nothing_to_do(case, lost)
    lock = case.facts.lock
    holders = lock.holders if isinstance(lock, Lock) else ()
    return Finding(
        FindingCode.LOCK_LOST,
        Severity.WARNING if len(lost) >= LOST_OFTEN else Severity.INFO,
        summary=together(
            say(_STANDS, n=len(lost))
            if _stands(case, lost)
            else say_counted(
                len(lost),
                "One run of the last hour found advisory lock 4246 taken and did nothing:"
                " something else did the work in its place, or blocks it.",
                "%(n)s runs of the last hour found advisory lock 4246 taken and did nothing:"
                " something else did the work in their place, or blocks it.",
            ),
            *(_held_by(holders[0]) if holders else ()),
        ),
        advice=say(
            "Look whether an old schedule still calls the rollup. A backfill, Multica's"
            " deleting of a workspace and its codex-usage backfill hold the lock too, and let"
            " it go when they end."
        ),
        seen_at=lost[0].finished_at or case.now,
        evidence={
            "in_the_last_hour": len(lost),
            "executions": rows_told(lost),
            "holders": [
                {"pid": one.pid, "application_name": one.application_name, "user": one.user}
                for one in holders
            ],
        },
    )


_STANDS = _(
    "%(n)s runs of the last hour found advisory lock 4246 taken and did nothing, and nothing else"
    " has done the work since the first of them."
)


def _stands(case: Case, lost: list[ExecutionFact]) -> bool:
    """Whether the watermark still is where several runs found it: then nobody did their work."""
    found_at = lost[-1].watermark_after
    if len(lost) < LOST_AGAIN or case.state is None or found_at is None:
        return False
    return abs(case.state.watermark_at - found_at) <= ROUNDING


def _nothing_to_do(case: Case, lost: list[ExecutionFact]) -> Finding:
    """A run under a watermark ahead of all usage looks like a lost lock, but had no work."""
    return Finding(
        FindingCode.LOCK_LOST,
        Severity.INFO,
        summary=say_counted(
            len(lost),
            "One run of the last hour did nothing, because the watermark is ahead of all usage.",
            "%(n)s runs of the last hour did nothing, because the watermark is ahead of all usage.",
        ),
        advice=say("Set the watermark right; the runs then do their work again."),
        seen_at=lost[0].finished_at or case.now,
        evidence={"in_the_last_hour": len(lost), "executions": rows_told(lost)},
    )


def _held_by(holder: DatabaseSession) -> tuple[Sentence, Sentence]:
    if holder.idle and holder.since is None:
        template = _(
            "A session (pid %(pid)s, %(name)s) holds it now and is idle at this moment; this"
            " role may not see for how long."
        )
    else:
        template = _("A session (pid %(pid)s, %(name)s) holds it now.")
    return say(template, **_named(holder)), say(holder.work.label)


def _named(holder: DatabaseSession) -> dict[str, str | Promise]:
    return {
        "pid": str(holder.pid or NOTHING),
        "name": holder.application_name or _("without a name"),
    }


def _lost_to(holder: DatabaseSession, lost: list[ExecutionFact]) -> list[ExecutionFact]:
    """The lost runs that began after the session became idle, as far as that can be seen."""
    since = holder.since
    if since is None:
        return []
    return [row for row in lost if row.started_at is not None and row.started_at > since]


def _kept_by(holder: DatabaseSession, state: StateRow | None, case: Case) -> Paragraph:
    if state is None:
        stop = say("Usage numbers do not move.")
    else:
        stop = say("Usage numbers stop at %(watermark)s.", watermark=case.at(state.watermark_at))
    kept = say(
        "An idle session (pid %(pid)s, %(name)s) has kept advisory lock 4246, and every run finds"
        " it taken. Raw usage is kept in task_usage, so nothing is lost.",
        **_named(holder),
    )
    return together(stop, kept)


def lock_leaked(case: Case) -> Finding | None:
    """The lock is held by a session that did nothing from one lost run to the next.

    A backfill's session holds the lock and is idle between two slices, so one look proves nothing
    (docs/contract.md section 6).
    """
    lock = case.facts.lock
    if not isinstance(lock, Lock):
        return None
    holder = lock.idle_holder
    if holder is None or lock.writers:
        return None
    lost = lost_lately(case)
    proof = _lost_to(holder, lost)
    newest = next((row for row in case.rows if row.succeeded), None)
    if len(proof) < LOST_AGAIN or newest not in proof:
        return None
    return Finding(
        FindingCode.LOCK_LEAKED,
        Severity.CRITICAL,
        summary=_kept_by(holder, case.state, case),
        advice=say(
            "Make sure that no backfill is at work, then let an administrator run"
            " %(statement)s Multica before v0.4.23 can leak this lock: upgrade it.",
            statement=end_session(holder.pid or NOTHING),
        ),
        seen_at=case.now,
        evidence={
            "pid": holder.pid,
            "application_name": holder.application_name,
            "user": holder.user,
            "state": holder.state,
            "since": holder.since,
            "lost_in_the_last_hour": len(lost),
        },
    )
