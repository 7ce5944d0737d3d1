"""The data of the second and the third step of a retirement. It changes nothing.

Both read pg_cron anew, so that they show the present and not only the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from executions.database.kept import BUSY_SECONDS
from executions.models.retirement import Act, Retirement, RetirementState
from executions.pgcron import commands
from executions.pgcron.job import Candidate, Job, Rights, part_in_words
from executions.pgcron.schedule import describe
from executions.retirement import acts, rules
from executions.retirement.facts import (
    Found,
    find_candidate,
    find_job,
    judge,
    read_plans,
    retire_fetch,
    servers,
)
from executions.retirement.gates.gate import Aim, Check, Gate, GateCode
from executions.retirement.refusals import gate_as_json
from executions.retirement.rehearsal import Rehearsal, rehearsal_of
from executions.retirement.wizard import elsewhere, job_of
from executions.text.digest import digest
from executions.text.sentences import Text


@dataclass(frozen=True)
class Checked:
    """The second and third step: the job as it is now and every gate, on facts of this moment."""

    retirement: Retirement
    candidate: Candidate | None
    check: Check
    now: datetime
    found: Found
    elsewhere: str = ""

    @property
    def live_seconds(self) -> int:
        return BUSY_SECONDS

    @property
    def version(self) -> str:
        gates = [{**gate_as_json(gate), "summary": ""} for gate in self.check.gates]
        return digest(
            gates,
            self.elsewhere,
            self.job,
            self.rights,
            self.retirement.state,
            self.retirement.changed_at,
        )

    @property
    def job(self) -> Job | None:
        return self.candidate.job if self.candidate else None

    @property
    def on_record(self) -> Job:
        """The job as it was chosen or confirmed."""
        return job_of(self.retirement)

    @property
    def name_to_type(self) -> str:
        return acts.name_to_type(self.on_record)

    @property
    def shown(self) -> Job:
        return self.job or self.on_record

    @property
    def schedule(self) -> str:
        return describe(self.shown.schedule, both_days=self.shown.both_days)

    @property
    def rights(self) -> Rights | None:
        return self.candidate.rights if self.candidate else None

    @property
    def differences(self) -> Mapping[str, tuple[object, object]]:
        """What changed in the job since it was recorded, in words. Our own pause does not count."""
        if self.job is None:
            return {}
        found = self.on_record.differences(self.job)
        if self.retirement.state == RetirementState.TRIAL_PASSED and not self.job.active:
            found.pop("active", None)
        return {part_in_words(name): pair for name, pair in found.items()}

    @property
    def is_missing(self) -> bool:
        """Whether this role is shown no such job: it is gone, changed or hidden."""
        return self.job is None and not self.elsewhere

    @property
    def is_gone(self) -> bool:
        """Whether the job is proved to be gone: this role sees every job, but not this one."""
        return self.found.job is None and self.found.sees

    @property
    def is_hidden(self) -> bool:
        return self.found.is_hidden and not self.elsewhere

    @property
    def waiting(self) -> bool:
        """Whether nothing has been done yet."""
        return self.retirement.state in Retirement.UNCHANGED

    @property
    def open_act(self) -> Act | None:
        return self.retirement.open_act

    @property
    def may_go_on(self) -> bool:
        """Whether one of the three ways is open. The server checks again on a press."""
        return self.waiting and (self.check.retirable or self.check.trial or self.check.by_hand)

    @property
    def headline(self) -> Text | None:
        """Why it cannot be removed now, and when it can at the earliest."""
        return self.check.headline(self.now)

    @property
    def passed(self) -> Sequence[Gate]:
        return [gate for gate in self.check.gates if gate.passed]

    @property
    def failing(self) -> Sequence[Gate]:
        """The gates that do not hold: those against removing it, then those against pausing."""
        others = [gate for gate in self.check.gates if not gate.passed]
        return [*self.refusals, *(gate for gate in others if gate not in self.refusals)]

    @property
    def refusals(self) -> Sequence[Gate]:
        """The gates against removing it. Gates against pausing do not count."""
        return self.check.refusals(self.check.aim)

    @property
    def trial_refusals(self) -> Sequence[Gate]:
        return self.check.refusals(Aim.TRIAL)

    @property
    def may_affirm(self) -> bool:
        """Whether the only obstacle is that none but our own runner won plans."""
        refused = [gate for gate in self.refusals if gate.code is GateCode.BACKEND_RUNNER]
        return bool(refused and refused[0].evidence.get("plans"))

    @property
    def is_explained_only(self) -> bool:
        return self.check.explained_only

    # --- The statements of the third step -------------------------------------------------------

    @property
    def remove_statement(self) -> str:
        return commands.unschedule_text(self.on_record.jobid)

    @property
    def pause_statement(self) -> str:
        return commands.set_active_text(self.on_record.jobid, active=False)

    @property
    def rehearsal(self) -> Rehearsal:
        """What putting the job back would give, as tried at the confirmation."""
        return rehearsal_of(self.retirement)

    @property
    def remove_acceptance(self) -> str:
        """The sentence to tick before this role removes the job; empty if none is needed."""
        return "" if self.rehearsal.proved else self.rehearsal.acceptance

    @property
    def by_hand_acceptance(self) -> str:
        """The sentence to tick before somebody else removes it."""
        return self.rehearsal.acceptance if self.rehearsal.fails else ""


def read_checked(retirement: Retirement) -> Checked:
    """Every gate at this moment. A job of another database is not looked for in this one.

    Raises:
        psycopg.Error: pg_cron's database cannot be reached or asked.
    """
    assert retirement.jobid is not None  # noqa: S101  of pg_cron jobs only
    with retire_fetch("look") as fetch:
        reached = servers(fetch)
        away = elsewhere(retirement, reached[0])
        candidate = None if away else find_candidate(fetch, reached, retirement.jobid)
        found = Found(None, sees=False) if away else find_job(fetch, retirement.jobid)
    ruling, role = rules.current(), reached[0].role
    judged = judge(retirement.jobid, candidate, role, read_plans(ruling), ruling, retirement)
    return Checked(retirement, candidate, judged, reached[0].now, found, away)
