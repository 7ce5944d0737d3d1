"""Whether Multica's migration 103 would pass, in its own terms, and what would make it fail.

docs/contract.md sections 1, 4 and 5 have its rules.
"""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext_lazy as _

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import PgCron, PgCronJob, Visibility
from executions.pgcron.match import LEGACY
from executions.rollup.guard import guard_passes
from executions.rollup.newest import Newest
from executions.text.formatters import NOTHING
from executions.text.sentences import At, Sentence, say


def guard(newest: Newest, state: StateRow | None, now: datetime | None) -> Sentence:
    """What the migration's guard finds here."""
    if newest.change is None:
        return say(_("It passes: task_usage is empty."))
    seen_from = now or newest.change
    if state is None:
        return say(_("It would refuse: there is usage, and the state row is missing."))
    template = (
        _(
            "It passes: the watermark, %(watermark)s, is at most an hour older than the newest"
            " change of usage, %(change)s."
        )
        if guard_passes(newest.change, state.watermark_at)
        else _(
            "It would refuse: the watermark, %(watermark)s, is more than an hour older than the"
            " newest change of usage, %(change)s."
        )
    )
    return say(
        template, watermark=At(state.watermark_at, seen_from), change=At(newest.change, seen_from)
    )


@dataclass(frozen=True)
class DailyJobs:
    """What is known of the legacy daily jobs. ``fails`` is None if nobody can tell."""

    fails: bool | None
    said: Sentence


def daily_jobs(pg_cron: PgCron, database: str, owner: str | None) -> DailyJobs:
    """Whether a job of another owner would make the migration fail.

    ``owner`` is the owner of `task_usage`, the role that most likely runs migrations. The migration
    looks only into its own ``database``.
    """
    elsewhere = {Visibility.ABSENT, Visibility.ELSEWHERE, Visibility.UNKNOWN}
    if pg_cron.visibility in elsewhere or pg_cron.database not in {database, None}:
        return DailyJobs(fails=False, said=say(_("No: pg_cron is not in this database.")))
    foreign = [
        job
        for job in pg_cron.jobs
        if isinstance(job, PgCronJob) and job.jobname in LEGACY and job.owner != owner
    ]
    if foreign:
        named = ", ".join(f"{job.jobname} ({job.jobid}, {job.owner})" for job in foreign)
        return DailyJobs(
            fails=True,
            said=say(
                _(
                    "Yes: %(jobs)s. The migration unschedules these jobs by name, and pg_cron"
                    " refuses that for a job of another owner than the migrating role, here most"
                    " likely %(owner)s."
                ),
                jobs=named,
                owner=owner or NOTHING,
            ),
        )
    if not pg_cron.is_whole:
        return DailyJobs(
            fails=None,
            said=say(
                _(
                    "Nobody can tell: the role %(role)s may not see every pg_cron job, which is not"
                    " the same as none."
                ),
                role=pg_cron.role or NOTHING,
            ),
        )
    return DailyJobs(
        fails=False, said=say(_("No: no legacy daily job of another owner is scheduled."))
    )
