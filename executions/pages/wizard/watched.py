"""The data of the fourth step of a retirement. It changes nothing.

It reads pg_cron anew, so that it shows the present and not only the record.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import psycopg
from django.utils.translation import gettext as _

from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.database.problems import diagnose
from executions.database.reading import Fetch
from executions.health.ledger import PlanOutcome
from executions.models.retirement import Act, AuditEvent, CallerKind, Retirement, RetirementState
from executions.pages.audit.lines import AuditLine, paired
from executions.pages.wizard.left import OVER
from executions.pgcron.inventory import read_job, read_rights
from executions.pgcron.job import Job, rights_over
from executions.pgcron.schedule import describe
from executions.pgcron.servers import read_server
from executions.pgcron.sight import read_sight
from executions.retirement import external, protocol, rules
from executions.retirement.callers_report import SecondLook, second_look
from executions.retirement.facts import retire_fetch
from executions.retirement.outside import Outside, outside_of
from executions.retirement.rehearsal import Rehearsal, rehearsal_of
from executions.retirement.watch import (
    Watched,
    WatchOutlook,
    Word,
    due_after,
    outlook,
    summary_of,
)
from executions.retirement.wizard import elsewhere, job_of
from executions.text.digest import digest
from executions.text.problem import Problem
from executions.text.sentences import Text, in_english

HIDDEN_SECONDS = 60


@dataclass(frozen=True)
class PlanSeen:
    """A plan since the act, as the watch has stored it."""

    plan_time: datetime
    kind: str


@dataclass(frozen=True)
class JobSeen:
    """The job as pg_cron shows it now. ``problem`` says why it could not be asked.

    ``known`` says whether a job that is not shown is certainly gone: the role sees every job, or
    the removal was proved before. A number is never given to another job. ``elsewhere`` says that
    pg_cron is reached in another database than the job's.
    """

    now: datetime | None = None
    job: Job | None = None
    known: bool = False
    role: str = ""
    may_put_back: bool = False
    problem: Problem | None = None
    elsewhere: str = ""


@dataclass(frozen=True)
class WatchPage:
    """The fourth step: what was done, what was seen since, and what can be done now."""

    retirement: Retirement
    seen: JobSeen
    lines: tuple[AuditLine, ...] = field(default=())

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
            [line.event.pk for line in self.lines],
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
        return outside_of(self.retirement) if self.is_external else None

    @cached_property
    def second_look(self) -> SecondLook | None:
        """What a later report of `findcallers` says of a schedule outside the database."""
        return second_look(self.outside) if self.outside and self.can_be_put_back else None

    @property
    def quiet(self) -> Text | None:
        """How long the silence of a caller outside the database is watched, and why."""
        quiet = external.quiet_of(self.retirement) if self.is_external else None
        return quiet.summary(self.now or quiet.until) if quiet else None

    @property
    def earliest(self) -> datetime | None:
        """The earliest end of that silence, while it is watched."""
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
        """The confirmed job."""
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
    def begun(self) -> list[PlanSeen]:
        """The plans since the act that a runner has begun."""
        return [plan for plan in self.plans if plan.kind != PlanOutcome.WAITING]

    @property
    def hidden_seconds(self) -> int | None:
        """How often a hidden tab asks, because its title counts the plans."""
        return HIDDEN_SECONDS if self.is_counted else None

    @property
    def is_counted(self) -> bool:
        """Whether plans are counted: no decision is waited for."""
        waits = self.retirement.state in {RetirementState.TRIAL, RetirementState.WATCHING}
        return waits and not self.may_confirm_gone

    @cached_property
    def outlook(self) -> WatchOutlook | None:
        """When the plans that are waited for are due, and when the watch is done at about."""
        since = self.retirement.watched_since
        if not self.is_counted or since is None or self.now is None:
            return None
        watched = Watched(since, self.needed)
        return outlook(watched, len(self.begun), self.now, rules.current().spec)

    @property
    def coming(self) -> tuple[datetime, ...]:
        """The times to name: the first three of those that are waited for."""
        return self.outlook.due[:3] if self.outlook else ()

    @property
    def last_due(self) -> datetime | None:
        return self.outlook.due[-1] if self.outlook and self.outlook.due else None

    @property
    def progress(self) -> str:
        """How many of the plans have succeeded: "1 of 3"; empty if none are counted."""
        if not self.is_counted:
            return ""
        good = sum(PlanOutcome(plan.kind).is_success for plan in self.plans)
        return _("%(good)s of %(needed)s") % {"good": min(good, self.needed), "needed": self.needed}

    @property
    def title(self) -> str:
        """The title of the browser's tab."""
        parts = (self.progress, self.retirement.get_state_display(), self.retirement.label)
        return " · ".join(part for part in parts if part)

    @property
    def is_watched(self) -> bool:
        return self.retirement.state in Retirement.LIVE

    @property
    def is_back(self) -> bool:
        """Whether the schedule runs again, so that the watch is over."""
        return self.retirement.state in {RetirementState.TRIAL_ENDED, RetirementState.PUT_BACK}

    @property
    def summary(self) -> Text | str:
        """What the watch says, or why it ended; in the reader's language if the watch ended it."""
        seen, reason = summary_of(self.retirement.watch), self.retirement.reason
        if self.is_watched:
            return seen or ""
        return seen if seen and in_english(seen) == reason else reason

    @property
    def can_be_put_back(self) -> bool:
        return self.retirement.is_removed

    @property
    def leaves(self) -> bool:
        """Whether the page about what it leaves behind can be shown."""
        return not self.is_external and self.retirement.state in OVER

    @property
    def rehearsal(self) -> Rehearsal | None:
        """What putting the job back would give, as tried at the confirmation."""
        return None if self.is_external else rehearsal_of(self.retirement)


def read_watched(retirement: Retirement) -> WatchPage:
    """What there is to see of it. If a database is away, the page says so."""
    events = AuditEvent.objects.filter(retirement_id=retirement.pk).order_by("at", "pk")
    return WatchPage(retirement, _look(retirement), paired(list(events)))


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
    )
