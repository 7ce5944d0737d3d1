"""PURE: the steps that concern migration 103: its guard, and the daily jobs that it unschedules.

The rules are those of docs/contract.md sections 1, 4 and 5.
"""

from datetime import datetime

from django.utils.translation import gettext_lazy as _

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Visibility
from executions.health.remedies import BACKFILL, here
from executions.health.upgrade.case import UpgradeCase
from executions.health.upgrade.facts import DailyJob, DailyJobs, Migrator, RawUsage
from executions.health.upgrade.of_server import unread
from executions.health.upgrade.step import StepCode, StepState, UpgradeStep
from executions.pgcron.match import LEGACY
from executions.rollup.guard import guard_passes, never_passes
from executions.rollup.versions import CHANGED_IN, Change
from executions.text.problem import Problem
from executions.text.sentences import At, Sentence, Text, Values, listed, say, together

_ITSELF = say(
    "“migrate up” of v0.3.17 and newer looks by itself before migration 103: if the rollup is"
    " more than an hour behind, it sums all usage by the hour first, and otherwise only sets"
    " the watermark."
)
_RULE = say(
    "Migration 103 passes if task_usage is empty, or if the watermark is at most an hour"
    " older than the newest usage."
)
_FUTURE_USAGE = (
    "SELECT id, task_id, created_at, updated_at FROM task_usage"
    " WHERE coalesce(updated_at, created_at) > now() + interval '55 minutes';"
)


def guard(case: UpgradeCase) -> UpgradeStep | None:
    """Whether migration 103 passes, in its own terms; None if it is not on the way."""
    if not case.meets_103:
        return None
    usage, state = case.usage, case.facts.state
    unread_fact = next((fact for fact in (usage, state) if isinstance(fact, Problem)), None)
    if isinstance(usage, RawUsage) and usage.newest is not None:
        if never_passes(usage.newest, case.now):
            return _never_passes(case, usage.newest)
        if not isinstance(state, Problem):
            return _judge_guard(case, usage.newest, state)
    if unread_fact is not None:
        return _unread_guard(case, unread_fact)
    passes = what_the_guard_finds(None, None, case.now)
    return UpgradeStep(StepCode.GUARD, StepState.OK, together(_fact_first(case), _RULE, passes))


def what_the_guard_finds(
    newest: datetime | None, state: StateRow | None, now: datetime | None, *, begins: bool = False
) -> Sentence:
    """What migration 103's guard finds as everything is now. ``newest`` is None without usage.

    ``begins`` says that the state row is not made yet, because its table is not.
    """
    if newest is None:
        return say("It passes: task_usage is empty.")
    if state is None and begins:
        return say(
            "The hourly tables begin empty, with a watermark in 1970, so by itself it would refuse."
        )
    if state is None:
        return say("It would refuse: there is usage, and the state row is missing.")
    seen_from = now or newest
    template = (
        _(
            "It passes: the watermark, %(watermark)s, is at most an hour older than the newest"
            " change of usage, %(change)s."
        )
        if guard_passes(newest, state.watermark_at)
        else _(
            "It would refuse: the watermark, %(watermark)s, is more than an hour older than the"
            " newest change of usage, %(change)s."
        )
    )
    return say(template, watermark=At(state.watermark_at, seen_from), change=At(newest, seen_from))


def _judge_guard(case: UpgradeCase, newest: datetime, state: StateRow | None) -> UpgradeStep:
    evidence: dict[str, object] = {"newest_usage": newest, "passes": False}
    if state is not None:
        evidence["watermark"] = state.watermark_at
        evidence["passes"] = guard_passes(newest, state.watermark_at)
    told = what_the_guard_finds(newest, state, case.now, begins=not case.versions.stopped)
    summary = together(_fact_first(case), _RULE, told)
    if evidence["passes"] or case.backfills_itself:
        return UpgradeStep(StepCode.GUARD, StepState.OK, summary, evidence=evidence)
    return _refusing(case, summary, evidence)


def _never_passes(case: UpgradeCase, newest: datetime) -> UpgradeStep:
    """A backfill stamps the watermark to the present, so later usage keeps it too far behind."""
    return UpgradeStep(
        StepCode.GUARD,
        StepState.BLOCKS,
        together(
            _RULE,
            say(
                "The newest usage is of %(newest)s, which is in the future. No backfill can"
                " bring the watermark there, so migration 103 refuses however often it runs.",
                newest=case.at(newest),
            ),
        ),
        say("Find the rows with such a time and correct it, or wait until it has passed."),
        reason=say("usage with a time in the future makes migration 103 refuse"),
        statement=_FUTURE_USAGE,
        evidence={"newest_usage": newest, "passes": False},
    )


def _fact_first(case: UpgradeCase) -> Sentence | None:
    return _ITSELF if case.backfills_itself else None


def _refusing(case: UpgradeCase, summary: Text, evidence: dict[str, object]) -> UpgradeStep:
    """A release from before v0.3.17 does not backfill by itself."""
    go_on = say(
        "Upgrade to %(scheduler)s or newer in one step instead: those backfill by themselves.",
        scheduler=str(CHANGED_IN[Change.SCHEDULER]),
    )
    by_hand = say("Or backfill now: the hourly tables are there already.")
    return UpgradeStep(
        StepCode.GUARD,
        StepState.BLOCKS,
        summary,
        together(go_on, by_hand if case.versions.stopped else None),
        reason=say(
            "migration 103 refuses before usage is summed by the hour, and %(target)s does"
            " not do that by itself",
            target=str(case.target),
        ),
        commands=here(BACKFILL) if case.versions.stopped else {},
        evidence=evidence,
    )


def _unread_guard(case: UpgradeCase, why: Problem) -> UpgradeStep:
    """Not needed where `migrate up` looks by itself."""
    if case.backfills_itself:
        unknown = say("Whether it would pass as it is could not be read. %(why)s", why=why.reason)
        return UpgradeStep(StepCode.GUARD, StepState.OK, together(_ITSELF, _RULE, unknown))
    return unread(StepCode.GUARD, say("what migration 103 looks at cannot be read"), why)


def daily_jobs(case: UpgradeCase) -> UpgradeStep | None:
    """Whether unscheduling the legacy daily jobs fails; None if migration 103 is not on the way."""
    if not case.meets_103:
        return None
    jobs, migrator = case.facts.daily_jobs, case.facts.migrator
    return judge_daily_jobs(jobs, migrator)


def judge_daily_jobs(jobs: DailyJobs | Problem, migrator: Migrator | Problem) -> UpgradeStep:
    """Whether unscheduling the legacy daily jobs by name fails for the migrating role."""
    if isinstance(migrator, Migrator) and not migrator.jobs_have_names:
        return _jobs_without_names()
    if isinstance(jobs, Problem):
        return unread(StepCode.DAILY_JOBS, say("pg_cron cannot be looked at"), jobs)
    if jobs.visibility in {Visibility.ABSENT, Visibility.ELSEWHERE, Visibility.UNKNOWN}:
        # Migration 103 looks for the extension in its own database only, and none is there.
        return UpgradeStep(
            StepCode.DAILY_JOBS,
            StepState.OK,
            say("pg_cron is not in this database, so migration 103 unschedules nothing."),
            evidence={"visibility": jobs.visibility},
        )
    if isinstance(migrator, Problem):
        return unread(StepCode.DAILY_JOBS, say("the owner of the tables cannot be read"), migrator)
    return _judge_jobs(jobs, migrator)


def _jobs_without_names() -> UpgradeStep:
    return UpgradeStep(
        StepCode.DAILY_JOBS,
        StepState.BLOCKS,
        say(
            "Migration 103 looks for the old daily jobs of pg_cron by their names. pg_cron's"
            " objects here are of a version before 1.3, whose jobs have no names, so the migration"
            " fails."
        ),
        say("Let a superuser bring them up to date first. The jobs stay as they are."),
        reason=say("pg_cron's objects are too old for migration 103"),
        statement="ALTER EXTENSION pg_cron UPDATE;",
    )


def _judge_jobs(jobs: DailyJobs, migrator: Migrator) -> UpgradeStep:
    evidence: dict[str, object] = {
        "visibility": jobs.visibility,
        "migrator": migrator.role,
        "jobs": [
            {"jobid": job.jobid, "jobname": job.name, "owner": job.owner} for job in jobs.jobs
        ],
    }
    by_name = say(
        "Migration 103 unschedules the old daily jobs of pg_cron by their names. It most"
        " likely runs as %(migrator)s, the owner of task_usage.",
        migrator=migrator.role,
    )
    if not migrator.may_look:
        return UpgradeStep(
            StepCode.DAILY_JOBS,
            StepState.BLOCKS,
            together(
                by_name,
                say("This role may not read cron.job, and without that right the migration fails."),
            ),
            say("Let a superuser grant that right, at least for the upgrade."),
            reason=say(
                "%(migrator)s may not read pg_cron's jobs, so migration 103 fails",
                migrator=migrator.role,
            ),
            statement=_GRANTS.format(role='"' + migrator.role.replace('"', '""') + '"'),
            evidence=evidence,
        )
    others = [job for job in jobs.jobs if job.owner != migrator.role]
    if others:
        return _others(others, by_name, migrator, evidence)
    if jobs.visibility is not Visibility.FULL and migrator.sees_all:
        return UpgradeStep(
            StepCode.DAILY_JOBS,
            StepState.UNKNOWN,
            together(
                by_name,
                say(
                    "A job of another owner with such a name makes it fail. Whether there is"
                    " one cannot be seen: the role %(asking)s may not see other owners' jobs."
                    " That is not the same as none.",
                    asking=jobs.asking,
                ),
            ),
            say("Let an administrator run the statement. If it shows nothing, all is well."),
            reason=say("%(asking)s may not see pg_cron's jobs of other owners", asking=jobs.asking),
            statement=_LOOK,
            evidence=evidence,
        )
    own = say("No job of another owner stands in its way.")
    return UpgradeStep(StepCode.DAILY_JOBS, StepState.OK, together(by_name, own), evidence=evidence)


_NAMES = ", ".join(f"'{name}'" for name in LEGACY)
_LOOK = " ".join(("SELECT jobid, jobname, username FROM cron.job WHERE jobname IN", f"({_NAMES});"))
_GRANTS = "GRANT USAGE ON SCHEMA cron TO {role}; GRANT SELECT ON cron.job TO {role};"


def _others(
    others: list[DailyJob], by_name: Sentence, migrator: Migrator, evidence: dict[str, object]
) -> UpgradeStep:
    """Jobs of other owners: the migration fails if it sees them, and leaves them if it does not."""
    values: Values = {
        "jobs": listed(f"{job.name} ({job.jobid}, {job.owner})" for job in others),
        "migrator": migrator.role,
    }
    statement = " ".join(job.unschedule for job in others)
    if migrator.sees_all:
        return UpgradeStep(
            StepCode.DAILY_JOBS,
            StepState.BLOCKS,
            together(
                by_name,
                say(
                    "pg_cron refuses that for a job of another owner, even to a superuser,"
                    " and the upgrade stops. Here: %(jobs)s.",
                    **values,
                ),
            ),
            say(
                "Remove them first, as their owner or as a superuser. The usage pages lose nothing."
            ),
            reason=say("pg_cron jobs of another owner make migration 103 fail: %(jobs)s", **values),
            statement=statement,
            evidence=evidence,
        )
    return UpgradeStep(
        StepCode.DAILY_JOBS,
        StepState.DO,
        together(
            by_name,
            say(
                "It does not see the jobs of other owners and leaves them: %(jobs)s. From"
                " then on they fail every time, because what they call is gone.",
                **values,
            ),
        ),
        say("Remove them, as their owner or as a superuser. Before or after makes no difference."),
        statement=statement,
        evidence=evidence,
    )
