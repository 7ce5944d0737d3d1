"""Why pg_cron starts no job, and what to do about it, as sentences."""

from django.utils.translation import gettext as _

from executions.health.facts.pg_cron import Launcher
from executions.pgcron import commands
from executions.pgcron.job import Inventory
from executions.text.visible import visible


def why_nothing_starts(inventory: Inventory) -> list[str]:
    """The sentences; empty while pg_cron starts its jobs, or if nobody can tell."""
    told = _LAUNCHERS.get(inventory.launcher)
    if told is None:
        return []
    orphans = [
        _("Job %(jobid)s belongs to the role %(owner)s, which does not exist any more: with"
          " such a job the launcher ends each time it starts. Make that role again, or let a"
          " superuser run: %(statement)s")
        % {
            "jobid": job.jobid,
            "owner": visible(job.owner),
            "statement": commands.unschedule_text(job.jobid),
        }
        for job in inventory.orphans
    ]  # fmt: skip
    if inventory.launcher is Launcher.MISSING and not orphans:
        orphans = [_look_in_the_log()]
    return [told(), *orphans]


def _look_in_the_log() -> str:
    return _(
        "Somebody ended it, shared_preload_libraries does not name pg_cron, or it ends each time it"
        " starts, as with a job whose owner does not exist any more. Let an administrator look for"
        " “pg_cron launcher” in PostgreSQL's log, and then restart PostgreSQL."
    )


_LAUNCHERS = {
    Launcher.OFF: lambda: _(
        "cron.launch_active_jobs is off: pg_cron starts no job of any kind at present."
    ),
    Launcher.NOT_LOADED: lambda: _(
        "The server does not load pg_cron's library, so none of its jobs is started and none can be"
        " removed. Let an administrator add pg_cron to shared_preload_libraries and restart"
        " PostgreSQL."
    ),
    Launcher.MISSING: lambda: _("pg_cron's launcher does not run, so none of its jobs is started."),
}
