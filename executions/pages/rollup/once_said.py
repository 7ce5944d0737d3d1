"""The result of a run that an operator asked for, in sentences. It knows no database."""

from datetime import timedelta

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.findings.lateness import LAG
from executions.scheduler.once import OnceResult, Ran
from executions.text.beyond import is_beyond
from executions.text.formatters import NOTHING
from executions.text.sentences import At, Sentence, Text, say, say_counted, together

_STEP = timedelta(days=1)

_ZERO: dict[OnceResult, Promise] = {
    OnceResult.IDLE: _(
        "It returned 0, because nothing was to be summed: no usage that counts changed between"
        " %(before)s and %(after)s. Usage of tasks without a runtime does not count. The"
        " watermark moved there."
    ),
    OnceResult.JUST_RUN: _(
        "It returned 0, because nothing was left to do: a run ended a moment ago, and the rollup"
        " leaves the last five minutes alone. The watermark is %(after)s."
    ),
    OnceResult.FUTURE: _(
        "It returned 0, because the watermark lies in the future, at %(after)s: runs do nothing"
        " until time has caught up with it. A backfill sets it right."
    ),
    OnceResult.NO_STATE: _(
        "It returned 0, because the rollup has lost its place: its state row is missing. The"
        " overview says how to put it back."
    ),
    OnceResult.LOCK: _(
        "It returned 0, because another session held lock 4246: that session does the work, or"
        " blocks it. The watermark is still %(after)s."
    ),
}


def said(ran: Ran) -> Text:
    """The result, what follows from it, and that it restored no scheduling."""
    return together(_result(ran), *_holder(ran), _still_behind(ran), say(_SCHEDULING))


_SCHEDULING = _("This was one run; it restores no scheduling.")


def _result(ran: Ran) -> Sentence:
    moments = {
        name: At(value, ran.began) if value is not None else NOTHING
        for name, value in (("before", ran.before), ("after", ran.after))
    }
    if ran.result is not OnceResult.SUMMED:
        return say(_ZERO[ran.result], **moments)
    return say_counted(
        ran.rows,
        "It wrote or removed %(n)s bucket, and the watermark moved from %(before)s to %(after)s.",
        "It wrote or removed %(n)s buckets, and the watermark moved from %(before)s to %(after)s.",
        **moments,
    )


def _holder(ran: Ran) -> list[Sentence]:
    if ran.result is not OnceResult.LOCK:
        return []
    if not ran.holders:
        return [say("By now it is free again.")]
    holder = ran.holders[0]
    held_by = say(
        "It is held by pid %(pid)s, %(name)s.",
        pid=str(holder.pid or NOTHING),
        name=holder.application_name or _("without a name"),
    )
    return [held_by, say(holder.work.label)]


def _still_behind(ran: Ran) -> Sentence | None:
    """The lag that is left after a run that moved the watermark."""
    moved = ran.result in {OnceResult.SUMMED, OnceResult.IDLE}
    if not moved or ran.after is None or is_beyond(ran.after):
        return None
    left = ran.began - ran.after
    if left <= LAG.warning:
        return None
    return say(
        "It is still %(left)s behind: a run does at most a day. A backfill does it all at once.",
        left=left if left < 2 * _STEP else timedelta(days=left.days),
    )
