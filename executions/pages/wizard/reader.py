"""What the pages of the wizard show of one retirement; it changes nothing.

Every page looks at pg_cron anew, so that it says what is so and not only what is on record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import cached_property

import psycopg

from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.database.problems import Problem, diagnose
from executions.database.reading import Fetch
from executions.models.retirement import Act, AuditEvent, CallerKind, Retirement, RetirementState
from executions.pgcron import commands
from executions.pgcron.inventory import read_job, read_rights
from executions.pgcron.job import Candidate, Job, Rights, part_in_words, rights_over
from executions.pgcron.schedule import describe
from executions.pgcron.servers import read_server
from executions.pgcron.sight import read_sight
from executions.retirement import acts, external, protocol, rules
from executions.retirement.external import Outside
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
from executions.retirement.watch import Word, due_after
from executions.retirement.wizard import elsewhere, job_of
from executions.text.digest import digest
from executions.text.sentences import Text


class WizardStep(StrEnum):
    """The four steps of the wizard, a page each."""

    CHOOSE = "choose"
    CHECK = "check"
    CONFIRM = "confirm"
    WATCH = "watch"


def step_of(retirement: Retirement) -> WizardStep:
    """Where a retirement goes on: after a reload, in a second tab, for a second operator."""
    if retirement.state == RetirementState.CHOSEN:
        return WizardStep.CHECK
    return WizardStep.CONFIRM if retirement.state in Retirement.UNCHANGED else WizardStep.WATCH


@dataclass(frozen=True)
class Checked:
    """The second and third step: the job as it is now and every gate, on facts of this moment."""

    retirement: Retirement
    candidate: Candidate | None
    check: Check
    now: datetime
    found: Found
    elsewhere: str = ""
    live_seconds: int = BUSY_SECONDS

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
        """What changed in the job since it was put on record, in words; our pause is no change."""
        if self.job is None:
            return {}
        found = self.on_record.differences(self.job)
        if self.retirement.state == RetirementState.TRIAL_PASSED and not self.job.active:
            found.pop("active", None)
        return {part_in_words(name): pair for name, pair in found.items()}

    @property
    def is_missing(self) -> bool:
        """No such job that leads to the rollup is shown, for whatever reason."""
        return self.job is None and not self.elsewhere

    @property
    def is_gone(self) -> bool:
        """It is proved that it is gone: this role is shown every job, and not this one."""
        return self.found.job is None and self.found.sees

    @property
    def is_hidden(self) -> bool:
        return self.found.is_hidden and not self.elsewhere

    @property
    def waiting(self) -> bool:
        """Whether this is still before anything was done."""
        return self.retirement.state in Retirement.UNCHANGED

    @property
    def open_act(self) -> Act | None:
        return self.retirement.open_act

    @property
    def may_go_on(self) -> bool:
        """Whether one of the three ways is open; the server asks again when a button is pressed."""
        return self.waiting and (self.check.retirable or self.check.trial or self.check.by_hand)

    @property
    def passed(self) -> Sequence[Gate]:
        return [gate for gate in self.check.gates if gate.passed]

    @property
    def refusals(self) -> Sequence[Gate]:
        """What stands against removing it; that it may not be paused is another matter."""
        return self.check.refusals(self.check.aim)

    @property
    def trial_refusals(self) -> Sequence[Gate]:
        """What stands against pausing it."""
        return self.check.refusals(Aim.TRIAL)

    @property
    def may_affirm(self) -> bool:
        """Whether it is only that none but our own runner won plans."""
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
        """What putting the job back would come to, as tried when it was confirmed."""
        return rehearsal_of(self.retirement)

    @property
    def remove_acceptance(self) -> str:
        """The sentence that is to be ticked before this role removes the job; empty if none is."""
        return "" if self.rehearsal.proved else self.rehearsal.acceptance

    @property
    def by_hand_acceptance(self) -> str:
        """The same before somebody else removes it."""
        return self.rehearsal.acceptance if self.rehearsal.fails else ""


def read_checked(retirement: Retirement) -> Checked:
    """Every gate of this moment; a job of another database is not looked for in this one.

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


@dataclass(frozen=True)
class PlanSeen:
    """A plan since the act, as the watch has kept it."""

    plan_time: datetime
    kind: str


@dataclass(frozen=True)
class JobSeen:
    """What pg_cron says of the job now. ``problem`` is why it could not be asked.

    ``known`` says whether a job that is not shown is gone: because the role is shown every job, or
    because its removal was proved before. A number is never given to another job.
    ``elsewhere`` says that pg_cron is reached in another database than the job's.
    """

    now: datetime | None = None
    job: Job | None = None
    known: bool = False
    role: str = ""
    may_put_back: bool = False
    may_activate: bool = False
    problem: Problem | None = None
    elsewhere: str = ""


@dataclass(frozen=True)
class WatchPage:
    """The fourth step: what has been done, what has been seen since, and what can be done now."""

    retirement: Retirement
    seen: JobSeen
    events: tuple[AuditEvent, ...] = field(default=())

    @property
    def live_seconds(self) -> int:
        live = self.retirement.state in Retirement.LIVE or self.open_act
        return BUSY_SECONDS if live else QUIET_SECONDS

    @property
    def version(self) -> str:
        one, seen = self.retirement, self.seen
        return digest(
            one.state, one.changed_at, one.watch, one.reason, seen.job, seen.known,
            seen.may_put_back, bool(seen.problem), seen.elsewhere,
            [event.pk for event in self.events],
        )  # fmt: skip

    @property
    def now(self) -> datetime | None:
        return self.seen.now

    @cached_property
    def open_act(self) -> Act | None:
        return self.retirement.open_act

    @property
    def is_external(self) -> bool:
        return self.retirement.kind != CallerKind.PG_CRON

    @property
    def outside(self) -> Outside | None:
        return external.outside_of(self.retirement) if self.is_external else None

    @property
    def quiet(self) -> Text | None:
        """How long the silence of a caller outside the database is watched, and why."""
        quiet = external.quiet_of(self.retirement) if self.is_external else None
        return quiet.summary(self.now or quiet.until) if quiet else None

    @property
    def earliest(self) -> datetime | None:
        """When that silence is over at the earliest, while it is watched."""
        quiet = external.quiet_of(self.retirement) if self.is_external else None
        since = self.retirement.watched_since
        if quiet is None or quiet.plans is None or since is None or not self.is_watched:
            return None
        at = due_after(since, quiet.plans, rules.current().spec)
        return at if self.now is None or at > self.now else None

    @property
    def may_confirm_gone(self) -> bool:
        """Whether behaviour proves nothing, so that the operator decides."""
        return self.is_watched and self.retirement.watch.get("word") == Word.UNPROVEN

    @property
    def job(self) -> Job | None:
        """As it was confirmed."""
        return None if self.is_external else job_of(self.retirement)

    @property
    def schedule(self) -> str:
        if self.job is None:
            return ""
        return describe(self.job.schedule, both_days=self.job.both_days)

    @property
    def last_act(self) -> Act | None:
        return self.retirement.acts.filter(outcome=Act.Outcome.DONE).order_by("-pk").first()

    @property
    def plans(self) -> list[PlanSeen]:
        return [
            PlanSeen(datetime.fromisoformat(plan["plan_time"]), plan["kind"])
            for plan in self.retirement.watch.get("plans", ())
        ]

    @property
    def needed(self) -> int:
        return int(self.retirement.watch.get("needed", 3))

    @property
    def still_to_come(self) -> range:
        """One for each plan that the watch still waits for."""
        done = [plan for plan in self.plans if plan.kind != "waiting"]
        return range(max(0, self.needed - len(done))) if self.is_watched else range(0)

    @property
    def is_watched(self) -> bool:
        return self.retirement.state in Retirement.LIVE

    @property
    def is_back(self) -> bool:
        """Whether the schedule runs again, so that what was watched is the past."""
        return self.retirement.state in {RetirementState.TRIAL_ENDED, RetirementState.PUT_BACK}

    @property
    def summary(self) -> str:
        return str(self.retirement.watch.get("summary", ""))

    @property
    def can_be_put_back(self) -> bool:
        return self.retirement.is_removed

    @property
    def rehearsal(self) -> Rehearsal | None:
        """What putting the job back would come to, as tried when it was confirmed."""
        return None if self.is_external else rehearsal_of(self.retirement)


def read_watched(retirement: Retirement) -> WatchPage:
    """What there is to see of it; a database that is away is said, not raised."""
    events = AuditEvent.objects.filter(retirement_id=retirement.pk).order_by("at", "pk")
    return WatchPage(retirement, _look(retirement), tuple(events))


def _look(retirement: Retirement) -> JobSeen:
    try:
        with retire_fetch("look") as fetch:
            return _ask(retirement, fetch)
    except psycopg.Error as error:
        return JobSeen(problem=diagnose(error))


def _ask(retirement: Retirement, fetch: Fetch) -> JobSeen:
    (clock,) = fetch(protocol.SQL.clock, {})
    if retirement.kind != CallerKind.PG_CRON:
        return JobSeen(now=clock["now"])
    away = elsewhere(retirement, read_server(fetch))
    if away:
        return JobSeen(now=clock["now"], elsewhere=away)
    sight = read_sight(fetch)
    if not sight["may_read"]:
        return JobSeen(now=clock["now"], role=sight["role"])
    job = job_of(retirement)
    rights = rights_over(job, read_rights(fetch), sight["here"])
    now = read_job(fetch, retirement.put_back_jobid or job.jobid)
    return JobSeen(
        now=clock["now"],
        job=now,
        known=now is not None or not sight["filtered"] or retirement.is_removed,
        role=sight["role"],
        may_put_back=rights.put_back,
        may_activate=rights.deactivate,
    )


def open_retirements() -> list[Retirement]:
    """Those that somebody has begun and nobody has ended, newest first."""
    return list(Retirement.objects.exclude(state__in=Retirement.ENDED).order_by("-pk"))
