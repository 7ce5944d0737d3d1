"""PURE: the questions of the diagnosis in their order, each with its answer and what shows it."""

from collections.abc import Callable, Iterable
from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from executions.health.diagnosis.causes import runs_fail, runtime_was_deleted
from executions.health.diagnosis.look import Answer, Look, Reply
from executions.health.explain.statements import HOLDERS, LATEST_RUNS, WATERMARK
from executions.health.facts.sessions import DatabaseSession, Lock
from executions.health.facts.usage import WorkspaceUsage
from executions.health.findings import FindingCode
from executions.text.formatters import NOTHING
from executions.text.problem import Problem
from executions.text.sentences import Sentence, quoted, say, say_counted, together

MOST_NAMED = 12


def _cannot_tell(why: Problem, sql: str = "") -> Reply:
    return Reply(Answer.UNKNOWN, why.told(), sql=sql)


def _yes(condition: bool) -> Answer:
    return Answer.YES if condition else Answer.NO


def is_there_usage(look: Look) -> Reply:
    sql = look.usage.asked.get("newest_usage", "")
    newest = look.usage.newest_usage
    if isinstance(newest, Problem):
        return _cannot_tell(newest, sql)
    if newest is None:
        return _without_real_times(look)
    summary = say("The newest is of %(at)s, %(ago)s.", at=look.at(newest), ago=look.ago(newest))
    return Reply(Answer.YES, summary, {"newest_usage": newest}, sql)


def _without_real_times(look: Look) -> Reply:
    never_due, sql = look.usage.never_due, look.usage.asked.get("never_due", "")
    if isinstance(never_due, Problem):
        return _cannot_tell(never_due, sql)
    if never_due:
        summary = say("There is, but each row is dated after the year 9999 or without end.")
        return Reply(Answer.YES, summary, sql=sql)
    return Reply(Answer.NO, say("task_usage is empty."), sql=sql)


def did_tasks_report_none(look: Look) -> Reply:
    tasks, sql = look.usage.tasks, look.usage.asked.get("tasks", "")
    if isinstance(tasks, Problem):
        return _cannot_tell(tasks, sql)
    if tasks is None:
        why = _("Nobody can tell: agent_task_queue does not say here when a task ran.")
        return Reply(Answer.UNKNOWN, say(why))
    return Reply(
        _yes(tasks.silent > 0),
        say(
            "%(seen)s tasks were looked at. %(ended)s of them ran to their end, and %(silent)s"
            " of those have no usage.",
            seen=tasks.seen,
            ended=tasks.ended,
            silent=tasks.silent,
        ),
        {
            "tasks_seen": tasks.seen,
            "ended": tasks.ended,
            "without_usage": tasks.silent,
            "newest_without_usage": tasks.newest_silent,
        },
        sql,
    )


def have_tasks_runtimes(look: Look) -> Reply:
    latest, sql = look.usage.latest, look.usage.asked.get("latest", "")
    if isinstance(latest, Problem):
        return _cannot_tell(latest, sql)
    if not latest.usage:
        return Reply(Answer.UNKNOWN, _nothing_to_look_at(), sql=sql)
    without = latest.total("without_runtime")
    summary = (
        say_counted(
            latest.usage,
            "Of the newest %(n)s row of usage, %(without)s has a task without a runtime and"
            " counts for nothing.",
            "Of the newest %(n)s rows of usage, %(without)s have a task without a runtime and"
            " count for nothing.",
            without=without,
        )
        if without
        else say_counted(
            latest.usage,
            "The task of the newest %(n)s row of usage has one.",
            "The tasks of the newest %(n)s rows of usage all have one.",
        )
    )
    evidence = {"usage_seen": latest.usage, "without_runtime": without, "back_to": latest.oldest}
    return Reply(_yes(without < latest.usage), summary, evidence, sql)


def was_runtime_deleted(look: Look) -> Reply:
    latest, deleted = look.usage.latest, look.usage.deleted_runtimes
    sql = look.usage.asked.get("deleted_runtimes", "") or look.usage.asked.get("shape", "")
    if isinstance(latest, Problem):
        return _cannot_tell(latest, sql)
    without = latest.total("without_runtime")
    if not without:
        summary = say("No usage that was looked at has lost its runtime.")
        return Reply(Answer.NO, summary, {"without_runtime": 0}, sql)
    evidence = {
        "without_runtime": without,
        "deleted_runtimes_traced": deleted if isinstance(deleted, int) else None,
    }
    if runtime_was_deleted(look):
        summary = say_counted(
            without,
            "The task of %(n)s row had a runtime that is gone. Since v0.4.17 its buckets go"
            " with it, while the raw usage stays.",
            "The tasks of %(n)s rows had a runtime that is gone. Since v0.4.17 its buckets go"
            " with it, while the raw usage stays.",
        )
        return Reply(Answer.YES, summary, evidence, sql)
    if isinstance(deleted, Problem):
        return _cannot_tell(deleted, sql)
    summary = say("No bucket and no queued key has a runtime that is gone.")
    return Reply(Answer.NO, summary, evidence, sql)


def are_there_buckets(look: Look) -> Reply:
    newest, sql = look.usage.newest_bucket, look.usage.asked.get("newest_bucket", "")
    if isinstance(newest, Problem):
        return _cannot_tell(newest, sql)
    if newest is None:
        summary = say("No hour has a bucket in task_usage_hourly, so every usage page shows zero.")
        return Reply(Answer.NO, summary, sql=sql)
    summary = say("The newest is the hour of %(hour)s.", hour=look.at(newest))
    return Reply(Answer.YES, summary, {"newest_bucket": newest}, sql)


def is_scheduler_installed(look: Look) -> Reply:
    installed = look.case.ground.has_executions
    summary = say(
        _("The table sys_cron_executions is there.")
        if installed
        else _("The table sys_cron_executions is missing: Multica is older than v0.3.17.")
    )
    sql = "SELECT to_regclass('sys_cron_executions') IS NOT NULL AS installed;"
    return Reply(_yes(installed), summary, sql=sql)


def does_scheduler_run(look: Look) -> Reply:
    if not look.case.ground.has_executions:
        return Reply(Answer.NO, say("There is no scheduler to run."))
    newest, success = look.case.newest, look.case.succeeded_at
    sql, evidence = LATEST_RUNS.sql, {"newest_plan": newest and newest.plan_time}
    if newest is None:
        return Reply(Answer.NO, say("It has never run here."), evidence, sql)
    evidence |= {"latest_success": success}
    last = (
        say("No run has succeeded.")
        if success is None
        else say(
            "The latest success ended at %(at)s, %(ago)s.",
            at=look.at(success),
            ago=look.ago(success),
        )
    )
    silent = look.first_of(FindingCode.LATEST_STALE, FindingCode.NO_EXECUTIONS) is not None
    if runs_fail(look):
        summary = together(say("Runs begin, and the newest one failed."), last)
        return Reply(Answer.YES, summary, evidence, sql)
    return Reply(_yes(not silent), last, evidence, sql)


def does_watermark_move(look: Look) -> Reply:
    watermark = look.watermark
    if watermark is None:
        summary = say("There is no watermark: the rollup's state row is missing.")
        return Reply(Answer.NO, summary, sql=WATERMARK.sql)
    finding = look.first_of(
        FindingCode.WATERMARK_FUTURE, FindingCode.WATERMARK_CATCHING_UP, FindingCode.WATERMARK_LAG
    )
    catching_up = FindingCode.WATERMARK_CATCHING_UP in look.found
    at = say("It is at %(at)s, %(ago)s.", at=look.at(watermark), ago=look.ago(watermark))
    if FindingCode.WATERMARK_FUTURE in look.found:
        at = say("It is at %(at)s, which is in the future.", at=look.at(watermark))
    moves = catching_up or (not look.stands and finding is None)
    slowly = say("It moves one day with each run.") if catching_up else None
    evidence = {"watermark_at": watermark}
    return Reply(_yes(moves), together(at, slowly), evidence, WATERMARK.sql)


def is_it_blocked(look: Look) -> Reply:
    lock, sql = look.case.facts.lock, HOLDERS.sql
    if not isinstance(lock, Lock):
        return _cannot_tell(lock, sql)
    if not lock.holders:
        summary = say("Nobody holds advisory lock 4246 of this database now.")
        return Reply(Answer.NO, summary, sql=sql)
    holder = lock.holders[0]
    leaked = FindingCode.LOCK_LEAKED in look.found
    held = say(
        "A session (pid %(pid)s, %(name)s) holds advisory lock 4246.",
        pid=str(holder.pid or NOTHING),
        name=holder.application_name or _("without a name"),
    )
    judged = say(
        _("It is idle and does nothing with it: the lock leaked.")
        if leaked
        else _("That is normal while a run or a backfill works.")
    )
    evidence = {"holders": [_of_session(one) for one in lock.holders]}
    return Reply(Answer.YES, together(held, judged), evidence, sql)


def _of_session(one: DatabaseSession) -> dict[str, object]:
    return {
        "pid": one.pid,
        "application_name": one.application_name,
        "user": one.user,
        "state": one.state,
        "since": one.since,
    }


def is_only_recent_missing(look: Look) -> Reply:
    """Older usage has its buckets, and newer has none yet."""
    latest, sql = look.usage.latest, look.usage.asked.get("latest", "")
    if isinstance(latest, Problem):
        return _cannot_tell(latest, sql)
    if not latest.counts:
        return Reply(Answer.UNKNOWN, _nothing_to_look_at(), sql=sql)
    waiting = latest.total("waiting")
    older: datetime | None = max(
        (one.newest_shown for one in look.workspaces if one.newest_shown), default=None
    )
    recent = waiting > 0 and older is not None and not any(one.missing for one in look.workspaces)
    waits = say_counted(
        waiting,
        "%(n)s row of the newest usage is later than the watermark.",
        "%(n)s rows of the newest usage are later than the watermark.",
    )
    has = None if older is None else say("Usage up to %(at)s has a bucket.", at=look.at(older))
    evidence = {"waiting": waiting, "newest_with_bucket": older}
    return Reply(_yes(recent), together(waits, has), evidence, sql)


def is_it_one_workspace(look: Look) -> Reply:
    sql = look.usage.asked.get("settled", "") or look.usage.asked.get("latest", "")
    if not look.samples:
        why = next(look.unread, None)
        return _cannot_tell(why, sql) if why else Reply(Answer.UNKNOWN, _nothing_to_look_at())
    seen = [one for one in look.workspaces if one.settled or one.without_runtime]
    missing = [one for one in seen if one.is_missing_wholly or one.lacks_every_runtime]
    if not seen:
        return Reply(Answer.UNKNOWN, _nothing_to_look_at(), sql=sql)
    some = 0 < len(missing) < len(seen)
    if some:
        summary = say("Nothing of %(names)s shows.", names=look.named(missing))
    elif missing:
        summary = say("Nothing shows of any workspace that was looked at.")
    else:
        summary = say("Usage shows of every workspace that was looked at.")
    names = look.usage.names
    unnamed = quoted(names.told()) if isinstance(names, Problem) else None
    evidence = {"workspaces": _workspaces(look, seen)}
    return Reply(_yes(some), together(summary, unnamed), evidence, sql)


def _workspaces(look: Look, seen: Iterable[WorkspaceUsage]) -> list[dict[str, object]]:
    return [
        {
            "workspace": look.named([one]),
            "usage": one.usage,
            "without_runtime": one.without_runtime,
            "settled": one.settled,
            "shown": one.shown,
            "missing": one.missing,
            "newest": one.newest,
        }
        for one in list(seen)[:MOST_NAMED]
    ]


def _nothing_to_look_at() -> Sentence:
    return say("There is no usage to look at for this.")


QUESTIONS: tuple[tuple[str, Promise, Callable[[Look], Reply]], ...] = (
    ("raw_usage", _("Is there raw usage?"), is_there_usage),
    ("tasks_reported_none", _("Did tasks run that reported none?"), did_tasks_report_none),
    ("runtimes", _("Do the tasks have runtimes?"), have_tasks_runtimes),
    ("runtime_deleted", _("Was a runtime deleted?"), was_runtime_deleted),
    ("buckets", _("Are there buckets?"), are_there_buckets),
    ("scheduler_installed", _("Is the scheduler installed?"), is_scheduler_installed),
    ("scheduler_runs", _("Does it run?"), does_scheduler_run),
    ("watermark_moves", _("Does the watermark move?"), does_watermark_move),
    ("blocked", _("Does something hold the rollup's lock?"), is_it_blocked),
    ("only_recent", _("Is only recent usage missing?"), is_only_recent_missing),
    ("one_workspace", _("Is it one workspace?"), is_it_one_workspace),
)
