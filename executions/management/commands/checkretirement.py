"""The wizard's gates as text or JSON, with an exit status. It changes nothing."""

from argparse import ArgumentParser
from collections.abc import Iterator
from typing import Any, NoReturn

from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from executions.database.problems import diagnose
from executions.health.facts.pg_cron import Visibility
from executions.management.looking import LookingCommand, why_it_cannot_look
from executions.pgcron import commands
from executions.pgcron.job import Inventory
from executions.pgcron.launcher import why_nothing_starts
from executions.pgcron.schedule import describe
from executions.retirement.gates.gate import Check
from executions.retirement.report import Judged, RetirementReport, report
from executions.retirement.rules import current


class Command(LookingCommand):
    help = gettext_noop(
        "Say which pg_cron jobs can be retired. Exit status: 0 something can be retired now,"
        " 1 refused, 2 nothing to retire, 3 unknown."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--jobid", type=int, help=_("this job only"))

    def handle(self, *args: Any, **options: Any) -> NoReturn:
        found = _look(options["jobid"])
        self.show(found.as_json() if options["json"] else _lines(found), found.exit_status)


def _look(jobid: int | None) -> RetirementReport:
    if why := why_it_cannot_look():
        return RetirementReport(Inventory(Visibility.UNKNOWN, reason=str(why.what)), (), jobid)
    try:
        return report(current(), jobid)
    except DatabaseError as error:
        reason = diagnose(error).sentence()
        return RetirementReport(Inventory(Visibility.UNKNOWN, reason=reason), (), jobid)


def _lines(found: RetirementReport) -> Iterator[str]:
    yield sight(found)
    yield from why_nothing_starts(found.inventory)
    for judged in found.judged:
        yield ""
        yield from _about(judged)
    yield from _why_unjudged(found)


def sight(found: RetirementReport) -> str:
    """One sentence: what was found, and whether there may be more."""
    inventory = found.inventory
    if inventory.visibility is Visibility.UNKNOWN:
        return _("We cannot tell whether a pg_cron job exists. %(reason)s") % {
            "reason": inventory.reason
        }
    leading = sum(judged.leads_there for judged in found.judged)
    missing = sum(judged.misses_it for judged in found.judged)
    unread = len(found.judged) - leading - missing
    names = {
        "role": inventory.role,
        "count": leading,
        "missing": missing,
        "unread": unread,
        "database": inventory.database,
        "jobid": found.only,
    }
    if inventory.visibility is Visibility.ELSEWHERE:
        return (
            _("pg_cron is in the database %(database)s: set RETIRE_DATABASE_URL to look there.")
            % names
        )
    if inventory.visibility is Visibility.ABSENT:
        return _("There is no pg_cron, so there is no pg_cron job to retire.")
    if inventory.visibility is Visibility.NO_ACCESS:
        return (
            _("We cannot tell whether a pg_cron job exists: the role %(role)s may not look at"
              " pg_cron's jobs. That is not the same as none.") % names
        )  # fmt: skip
    seen = _("No job leads to the rollup.")
    if leading:
        seen = ngettext(
            "%(count)s job leads to the rollup.", "%(count)s jobs lead to the rollup.", leading
        )
    if missing:
        seen += " " + ngettext(
            "%(missing)s job calls another function by its name.",
            "%(missing)s jobs call another function by its name.",
            missing,
        )
    if unread:
        seen += " " + ngettext(
            "%(unread)s job may: nobody can read what it runs.",
            "%(unread)s jobs may: nobody can read what they run.",
            unread,
        )
    seen %= names
    if found.only is not None and not found.judged:
        seen = _("No job %(jobid)s that leads to the rollup is visible.") % names
    if inventory.visibility is Visibility.FILTERED:
        return f"{seen} " + (
            _("There may be more: the role %(role)s may not see other owners' jobs.") % names
        )
    return seen


def _state(check: Check) -> str:
    if check.retirable:
        return _("can be retired now")
    if check.undecided:
        return _("nobody can tell whether it can be retired")
    return _("by hand") if check.by_hand_only else _("cannot be retired now")


def _about(judged: Judged) -> Iterator[str]:
    job, check = judged.candidate.job, judged.check
    when = describe(job.schedule, both_days=job.both_days)
    yield f"{job.label} ({job.jobid}, {when}, {job.owner}): {_state(check)}"
    if check.by_hand_only:
        yield f"  {check.by_hand_only} {commands.unschedule_text(job.jobid)}"
    for gate in check.gates:
        if not gate.judged:
            yield f"  ? {gate.code}"
            continue
        yield f"  {'+' if gate.passed else '-'} {gate.code}: {gate.summary}"
        if gate.remedy is not None and not gate.passed:
            yield f"      {gate.remedy}"


def _why_unjudged(found: RetirementReport) -> Iterator[str]:
    """Each reason once, however many gates and jobs lack the same facts."""
    gates = [gate for one in found.judged for gate in one.check.gates if not gate.judged]
    told = dict.fromkeys((str(gate.summary), str(gate.remedy or "")) for gate in gates)
    for summary, remedy in told:
        yield ""
        yield f"? {summary}"
        if remedy:
            yield f"    {remedy}"
