"""PURE: the words and steps of the causes that no finding of the verdict names."""

from collections.abc import Iterable
from dataclasses import replace

from django.utils.translation import gettext_lazy as _

from executions.health.diagnosis.look import Cause, CauseCode, Look
from executions.health.explain import EXPLANATIONS
from executions.health.explain.explanation import Step
from executions.health.explain.watermark import LOOK_THEN_BACKFILL
from executions.health.facts.usage import RanTasks, Sample, WorkspaceUsage
from executions.health.remedies import BACKEND_LOG, BACKEND_UPGRADE
from executions.health.verdict import Level, Verdict
from executions.rollup.margin import MARGIN
from executions.text.beyond import select
from executions.text.problem import Problem
from executions.text.sentences import Sentence, Text, say, say_counted, together

_NOTHING_LOST = say("Raw usage is kept in task_usage, so nothing is lost.")


def rollup_not_installed() -> Cause:
    return Cause(
        CauseCode.ROLLUP_NOT_INSTALLED,
        summary=together(
            say(
                "This Multica has no hourly buckets yet: the table task_usage_hourly is"
                " missing, so it is older than v0.3.5 or half upgraded."
            ),
            _NOTHING_LOST,
        ),
        next_step=say(
            "Upgrade Multica. Take a backup first; the upgrade fills the buckets by itself."
        ),
        steps=(Step(_("Upgrade Multica, once you have a backup."), BACKEND_UPGRADE),),
    )


def empty_database(look: Look) -> Cause:
    return Cause(
        CauseCode.WRONG_DATABASE,
        summary=say(
            "The database %(database)s has Multica's tables, and nothing in them: no agent, no"
            " task, no usage and no run. If people use your Multica, it uses another database.",
            database=look.case.ground.database,
        ),
        next_step=say(
            "Compare the database in DATABASE_URL of Multica Admin with the one in DATABASE_URL"
            " of Multica's backend: host, port and name."
        ),
    )


def no_raw_usage(has_tasks: bool | Problem) -> Cause:
    if isinstance(has_tasks, Problem):
        seen = say(
            "Nobody can tell whether tasks ran: %(reason)s %(todo)s",
            reason=has_tasks.reason,
            todo=has_tasks.todo,
        )
    elif has_tasks:
        seen = say("There are tasks, but none that ran to its end is known to have reported usage.")
    else:
        seen = say("No task has run in this database so far.")
    return Cause(
        CauseCode.NO_RAW_USAGE,
        summary=together(say("Usage shows zero because there is none: task_usage is empty."), seen),
        next_step=say(
            "Let an agent work on an issue and wait until it ends. Its usage is in task_usage"
            " then, and on the usage pages about ten minutes later."
        ),
    )


def usage_never_due() -> Cause:
    return Cause(
        CauseCode.USAGE_NEVER_DUE,
        summary=say(
            "task_usage has rows, but each is dated after the year 9999 or without end. No usage"
            " page covers such a time."
        ),
        next_step=say(
            "Find out what writes these times, as Multica takes them from its database's clock. To"
            " see the rows, let an administrator run %(statement)s Put created_at right, then run"
            " manage.py backfill_task_usage_hourly, which sums every bucket again.",
            statement=select("task_usage", ["created_at"]),
        ),
        steps=LOOK_THEN_BACKFILL,
    )


def tasks_reported_none(look: Look, tasks: RanTasks) -> Cause:
    newest = look.usage.newest_usage
    silent = tasks.silent_since if newest is not None else tasks.silent
    what = say_counted(
        silent,
        "Tasks run, but they report no usage: %(n)s task that ran to its end has none.",
        "Tasks run, but they report no usage: %(n)s tasks that ran to their end have none.",
    )
    stopped = (
        None
        if tasks.newest_silent is None
        else say("The latest of them ended at %(at)s.", at=look.at(tasks.newest_silent))
    )
    return Cause(
        CauseCode.TASKS_REPORTED_NONE,
        summary=together(
            what, stopped, say("The rollup has nothing to sum, so it is not at fault.")
        ),
        next_step=say(
            "On the machines of the runtimes update Multica's daemon and the agents' command"
            " line tools, then read the daemon's log of one task: the daemon sends the usage"
            " that the tool tells it."
        ),
        steps=(Step(_("See whether the backend refuses what the daemon reports."), BACKEND_LOG),),
    )


def _of(rows: int, where: Sentence | None) -> Sentence:
    if where is None:
        return say_counted(
            rows,
            "The newest usage does not count: the task of the only row has no runtime.",
            "The newest usage does not count: no task of the newest %(n)s rows has a runtime.",
        )
    return say_counted(
        rows,
        "The usage of %(where)s does not count: the task of its %(n)s row has no runtime.",
        "The usage of %(where)s does not count: no task of its %(n)s rows has a runtime.",
        where=where,
    )


def runtime_deleted(rows: int, where: Sentence | None) -> Cause:
    return Cause(
        CauseCode.RUNTIME_DELETED,
        summary=together(
            _of(rows, where),
            say(
                "Their runtime was deleted. Since v0.4.17 Multica keeps the tasks and the raw"
                " usage of a deleted runtime, and the rollup removes its buckets."
            ),
        ),
        next_step=say(
            "Nothing in Multica brings the numbers back, because they belong to no runtime"
            " now. New tasks on another runtime count again. Before you delete a runtime the"
            " next time, write its numbers down."
        ),
    )


def tasks_without_runtime(rows: int, where: Sentence | None) -> Cause:
    return Cause(
        CauseCode.TASKS_WITHOUT_RUNTIME,
        summary=together(
            _of(rows, where),
            say("The rollup sums usage by runtime, so usage without one counts for nothing."),
        ),
        next_step=say(
            "Find out what writes these tasks: Multica gives a task its runtime before it"
            " runs. Then run the agents on a runtime; new usage counts."
        ),
    )


def one_workspace(look: Look, missing: Iterable[WorkspaceUsage]) -> Cause:
    missing = tuple(missing)
    return Cause(
        CauseCode.ONE_WORKSPACE,
        summary=together(
            say_counted(
                len(missing),
                "Only the workspace %(names)s shows nothing: its usage is older than the"
                " watermark and has no bucket, while other workspaces have theirs.",
                "Only the workspaces %(names)s show nothing: their usage is older than the"
                " watermark and has no bucket, while other workspaces have theirs.",
                names=look.named(missing),
            ),
            _NOTHING_LOST,
        ),
        next_step=_sum_again(),
        steps=LOOK_THEN_BACKFILL,
    )


def _sum_again() -> Text:
    return say(
        "Run manage.py backfill_task_usage_hourly. It sums every bucket again from raw usage."
    )


def buckets_missing(look: Look, missing: int) -> Cause:
    oldest = min(
        (one.oldest_missing for one in look.workspaces if one.oldest_missing), default=None
    )
    since = None if oldest is None else say("The oldest is of %(at)s.", at=look.at(oldest))
    return Cause(
        CauseCode.BUCKETS_MISSING,
        summary=together(
            say_counted(
                missing,
                "The rollup passed usage by: %(n)s row older than the watermark has no bucket.",
                "The rollup passed usage by: %(n)s rows older than the watermark have no bucket.",
            ),
            since,
            say("It does not look at them again by itself."),
            _NOTHING_LOST,
        ),
        next_step=_sum_again(),
        steps=LOOK_THEN_BACKFILL,
    )


def too_recent(look: Look, latest: Sample) -> Cause:
    changed = [one.newest_waiting for one in latest.workspaces if one.newest_waiting]
    newest = max(changed, default=look.now)
    due = min(newest, look.now) + MARGIN + 2 * look.case.spec.cadence
    ahead = (
        say(
            "The newest change is dated %(at)s, which is in the future: the rollup does not"
            " come to it before.",
            at=look.at(newest),
        )
        if newest > look.now
        else None
    )
    return Cause(
        CauseCode.TOO_RECENT,
        summary=together(
            say(
                "All usage is so new that the rollup has not come to it. It leaves the last"
                " five minutes alone, and runs every five minutes."
            ),
            ahead,
        ),
        next_step=say("Look at Multica's usage page again at %(at)s.", at=look.at(due)),
    )


def usage_is_there(look: Look) -> Cause:
    shown = [one for one in look.workspaces if one.newest_shown is not None]
    newest = max(shown, key=lambda one: one.newest_shown or look.now, default=None)
    if newest is None or newest.newest_shown is None:
        summary = say("Usage and buckets agree, as far as the newest rows tell.")
        look_at = say("Look at Multica's usage page over all time.")
    else:
        summary = say(
            "It is there: the newest usage with a bucket is of %(at)s, in the workspace %(name)s.",
            at=look.at(newest.newest_shown),
            name=look.named([newest]),
        )
        look_at = say(
            "Look at the usage page of the workspace %(name)s, over a range that includes"
            " %(at)s. A shorter range, another workspace or another project may rightly show"
            " zero.",
            at=look.at(newest.newest_shown),
            name=look.named([newest]),
        )
    return Cause(
        CauseCode.USAGE_IS_THERE, summary=together(summary, _waiting(look)), next_step=look_at
    )


def _waiting(look: Look) -> Sentence | None:
    latest = look.usage.latest
    waiting = latest.total("waiting") if isinstance(latest, Sample) else 0
    if not waiting or look.watermark is None:
        return None
    return say_counted(
        waiting,
        "%(n)s newer row is not in its bucket yet: the rollup has come to %(watermark)s.",
        "%(n)s newer rows are not in their buckets yet: the rollup has come to %(watermark)s.",
        watermark=look.at(look.watermark),
    )


_VERDICTS = {
    Level.DEGRADED: _("Still, the verdict on the rollup is degraded:"),
    Level.FAILING: _("Still, the verdict on the rollup is failing:"),
}


def beside_the_verdict(cause: Cause, verdict: Verdict) -> Cause:
    """Usage may be there while the rollup is not well. Then the cause says so beside it.

    A wait of minutes helps only if the rollup is well; else the next step is to put that right.
    """
    told = _VERDICTS.get(verdict.level)
    if not cause.is_there or told is None:
        return cause
    summary = together(*_sentences(cause.summary), say(told), *_sentences(verdict.summary))
    if cause.code is CauseCode.USAGE_IS_THERE:
        return replace(cause, summary=summary)
    worst = verdict.findings[0]
    return replace(
        cause, summary=summary, next_step=worst.advice, steps=EXPLANATIONS[worst.code].steps
    )


def _sentences(text: Text) -> tuple[Sentence, ...]:
    return (text,) if isinstance(text, Sentence) else text.sentences
