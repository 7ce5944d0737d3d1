"""What can be retired and what prevents it, in one object. It changes nothing.

The page Schedules and `manage.py checkretirement` use it.
"""

from dataclasses import dataclass

import psycopg

from executions.database.problems import diagnose
from executions.health.facts import Facts
from executions.health.facts.pg_cron import Visibility
from executions.models.retirement import Retirement
from executions.pgcron.job import Candidate, Inventory
from executions.retirement.facts import judge, read_plans, read_schedules
from executions.retirement.gates.gate import Check
from executions.retirement.outcomes import open_retirement
from executions.retirement.refusals import check_as_json
from executions.retirement.rules import Rules

RETIRABLE, REFUSED, NOTHING, UNKNOWN = range(4)


@dataclass(frozen=True)
class Judged:
    """A candidate with its gates, and its open retirement if there is one."""

    candidate: Candidate
    check: Check
    retirement: Retirement | None

    @property
    def leads_there(self) -> bool:
        return self.candidate.judgement.leads_there

    @property
    def misses_it(self) -> bool:
        """Whether the job certainly calls another function with the rollup's name, or none."""
        return self.candidate.judgement.misses_it

    @property
    def refused(self) -> bool:
        """Whether a gate refuses on its facts, not merely for lack of facts."""
        return not self.check.retirable and not self.check.undecided


@dataclass(frozen=True)
class RetirementReport:
    """The inventory with every candidate judged. ``only`` is the one jobid that was asked for."""

    inventory: Inventory
    judged: tuple[Judged, ...]
    only: int | None = None

    @property
    def retirable(self) -> bool:
        return any(one.check.retirable for one in self.judged)

    @property
    def exit_status(self) -> int:
        """0 something can be retired, 1 refused, 2 nothing to retire, 3 unknown.

        What cannot be seen or read is never "nothing", and is no reason to refuse.
        """
        if self.retirable:
            return RETIRABLE
        known = [one for one in self.judged if one.leads_there or one.misses_it]
        if known:
            return REFUSED if all(one.refused for one in known) else UNKNOWN
        return NOTHING if self.inventory.complete and not self.judged else UNKNOWN

    def as_json(self) -> dict[str, object]:
        """The object of docs/interfaces.md, ``checkretirement --json``."""
        inventory = self.inventory
        return {
            "retirable": self.retirable,
            "visibility": inventory.visibility.value,
            "extension": {
                "installed": inventory.installed,
                "version": inventory.version,
                "database": inventory.database,
                "launcher": inventory.launcher.value,
            },
            "other_workloads": inventory.other_workloads,
            "candidates": [_candidate_as_json(one) for one in self.judged],
        }


def _candidate_as_json(judged: Judged) -> dict[str, object]:
    job, check = judged.candidate.job, judged.check
    return {
        "jobid": job.jobid,
        "jobname": job.jobname,
        "owner": job.owner,
        "database": job.database,
        "schedule": job.schedule,
        "command": job.command,
        "active": job.active,
        "match": judged.candidate.match.value,
        "by_hand": check.by_hand_only is not None,
        **check_as_json(check),
    }


def report(rules: Rules, only: int | None = None, known: Facts | None = None) -> RetirementReport:
    """Read everything once. If pg_cron cannot be reached, visibility is unknown, with the reason.

    ``known`` are facts of this moment that need not be read again.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    try:
        inventory = read_schedules()
    except psycopg.Error as error:
        problem = diagnose(error)
        reason = problem.sentence()
        return RetirementReport(Inventory(Visibility.UNKNOWN, reason=reason), (), only)
    wanted = [one for one in inventory.candidates if only in {None, one.job.jobid}]
    if not wanted:
        return RetirementReport(inventory, (), only)
    plans, role = read_plans(rules, known), inventory.role or ""
    judged = []
    for candidate in wanted:
        here = candidate.server
        retirement = open_retirement(here.place, candidate.job.jobid) if here else None
        check = judge(candidate.job.jobid, candidate, role, plans, rules, retirement)
        judged.append(Judged(candidate, check, retirement))
    return RetirementReport(inventory, tuple(judged), only)
