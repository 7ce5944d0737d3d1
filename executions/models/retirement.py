"""Our own record of retirements: what was wanted, what was done, and the audit of both.

A :class:`Retirement` is the way of one schedule through the wizard, an :class:`Act` one change to
it in pg_cron's database, and an :class:`AuditEvent` one line of the audit, which cannot be changed.
`executions/retirement/` has the rules for changes; this module says only what is stored.
"""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import override, pgettext_lazy

from executions.text.sentences import Sentence, quoted, say


class CallerKind(models.TextChoices):
    """What calls the rollup from outside the backend."""

    PG_CRON = "pg_cron", _("pg_cron job")
    CRON = "cron", _("cron")
    SYSTEMD = "systemd", _("systemd timer")
    CRONJOB = "cronjob", _("Kubernetes CronJob")


class RetirementState(models.TextChoices):
    """Where a retirement stands. docs/retiring.md draws which step leads where."""

    CHOSEN = "chosen", _("chosen")
    CONFIRMED = "confirmed", _("checked, ready to act")
    BY_HAND = "by_hand", _("to be removed by the operator")
    TRIAL = "trial", _("paused on trial")
    TRIAL_PASSED = "trial_passed", _("paused, and the trial went well")
    WATCHING = "watching", _("removed, being watched")
    VERIFIED = "verified", _("removed, and verified")
    CONFIRMED_GONE = "confirmed_gone", _("removed, as the operator confirms")
    WORSE = "worse", _("removed, and it got worse")
    OTHER_CALLER = "other_caller", _("removed, but something else still calls the rollup")
    TRIAL_ENDED = "trial_ended", _("trial ended, the job is active again")
    PUT_BACK = "put_back", pgettext_lazy("state", "put back")
    CLOSED = "closed", _("closed")
    MOVED = "moved", _("closed, because its database moved or is gone")


# A retirement in one of these states is over. Each pg_cron job has at most one that is not.
_ENDED = (
    RetirementState.VERIFIED,
    RetirementState.CONFIRMED_GONE,
    RetirementState.WORSE,
    RetirementState.OTHER_CALLER,
    RetirementState.TRIAL_ENDED,
    RetirementState.PUT_BACK,
    RetirementState.CLOSED,
    RetirementState.MOVED,
)


class Retirement(models.Model):
    """One schedule on its way through the wizard. Its open acts say what is being done to it.

    ``job`` is the confirmed job before any change; putting back restores it. ``server`` and
    ``database`` are where pg_cron was reached. ``watched_since`` is the time of the act by the
    acting database's clock. ``watch`` is what the watch has seen.
    """

    kind = models.TextField(choices=CallerKind.choices, default=CallerKind.PG_CRON)
    state = models.TextField(choices=RetirementState.choices, default=RetirementState.CHOSEN)
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    started_by = models.TextField()

    server = models.TextField(default="")
    database = models.TextField(default="")
    jobid = models.BigIntegerField(null=True)
    job = models.JSONField(null=True)
    match = models.TextField(default="")
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.TextField(default="")
    evidence = models.JSONField(default=dict)
    affirmed_by = models.TextField(default="")
    external = models.JSONField(null=True)

    paused_at = models.DateTimeField(null=True)
    deadline = models.DateTimeField(null=True)
    watched_since = models.DateTimeField(null=True)
    watch = models.JSONField(default=dict)
    looked_at = models.DateTimeField(null=True)
    reason = models.TextField(default="")
    put_back_jobid = models.BigIntegerField(null=True)

    ENDED = _ENDED
    # States in which the schedule counts as gone. From these it can be put back.
    REMOVED = (
        RetirementState.WATCHING,
        RetirementState.VERIFIED,
        RetirementState.CONFIRMED_GONE,
        RetirementState.WORSE,
        RetirementState.OTHER_CALLER,
    )
    UNCHANGED = (RetirementState.CHOSEN, RetirementState.CONFIRMED, RetirementState.BY_HAND)
    LIVE = (RetirementState.TRIAL, RetirementState.TRIAL_PASSED, RetirementState.WATCHING)

    class Meta:
        indexes = [models.Index(fields=["-created_at"], name="retirement_created_at")]
        constraints = [
            models.UniqueConstraint(
                fields=["server", "database", "jobid"],
                condition=Q(kind=CallerKind.PG_CRON)
                & ~Q(state__in=[state.value for state in _ENDED]),
                name="one_open_retirement_per_job",
            )
        ]

    def __str__(self) -> str:
        return f"retirement {self.pk} of {self.label} ({self.state})"

    @property
    def name(self) -> Sentence:
        """The name of the retired schedule, which each reader gets in their language."""
        if self.kind == CallerKind.PG_CRON:
            return say("pg_cron job %(jobid)s", jobid=str(self.jobid))
        stored = self.external or {}
        kind, name = CallerKind(self.kind).label, stored.get("name") or stored.get("place")
        return Sentence("%(kind)s %(name)s", {"kind": kind, "name": name}) if name else quoted(kind)

    @property
    def label(self) -> str:
        """The name in the language of this request."""
        return str(self.name)

    @property
    def name_on_record(self) -> str:
        """The same in the audit and the log, where people search for it: in English always."""
        with override(None):
            return self.label

    @property
    def is_open(self) -> bool:
        return self.state not in self.ENDED

    @property
    def is_removed(self) -> bool:
        """Whether the record says that the schedule is gone."""
        return self.state in self.REMOVED

    @property
    def open_act(self) -> Act | None:
        """The act whose outcome is not known yet."""
        return self.acts.filter(outcome=None).first()


class Act(models.Model):
    """One change in pg_cron's database: its intent first, then its transaction, then its outcome.

    ``why`` is the operator's own reason, if one was given. ``xid`` is the acting transaction's id
    (an xid8, so text). ``outcome`` is null until it is known: to the process that acted, or after a
    crash to the first that asks ``pg_xact_status``.
    """

    class Kind(models.TextChoices):
        REMOVE = "remove", _("remove")
        PAUSE = "pause", _("pause")
        ACTIVATE = "activate", _("activate again")
        PUT_BACK = "put_back", _("put back")

    class Outcome(models.TextChoices):
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")

    retirement = models.ForeignKey(Retirement, on_delete=models.PROTECT, related_name="acts")
    kind = models.TextField(choices=Kind.choices)
    user_id = models.BigIntegerField(null=True)
    user_name = models.TextField()
    role = models.TextField(default="")
    why = models.TextField(default="", db_default="")
    statement = models.TextField()
    job = models.JSONField()
    evidence = models.JSONField(default=dict)
    intended_at = models.DateTimeField(db_default=Now())

    server = models.TextField(default="")
    database = models.TextField(default="")
    xid = models.TextField(default="")
    acted_at = models.DateTimeField(null=True)
    new_jobid = models.BigIntegerField(null=True)

    outcome = models.TextField(choices=Outcome.choices, null=True)
    outcome_at = models.DateTimeField(null=True)
    detail = models.TextField(default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["retirement"], condition=Q(outcome=None), name="one_open_act_per_retirement"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.retirement.label} by {self.user_name}: {self.outcome or 'open'}"


class AuditEvent(models.Model):
    """Who did what, when, why, on what evidence, with which statement, and with what outcome.

    ``why`` is the operator's own reason, if one was given. Its default is the database's, so that
    a process of an older version can add lines too.

    Rows are only added: triggers refuse UPDATE, DELETE and TRUNCATE to every role. Only the table's
    owner or a superuser could remove the triggers (docs/retiring.md). So a row has no foreign key,
    and outlives the user and the retirement that it names.
    """

    class Outcome(models.TextChoices):
        INTENDED = "intended", _("intended")
        DONE = "done", _("done")
        REFUSED = "refused", _("refused")
        FAILED = "failed", _("failed")

    at = models.DateTimeField(db_default=Now())
    user_id = models.BigIntegerField(null=True)
    user_name = models.TextField()
    action = models.TextField()
    subject = models.TextField()
    outcome = models.TextField(choices=Outcome.choices)
    statement = models.TextField(default="")
    role = models.TextField(default="")
    summary = models.TextField(default="")
    why = models.TextField(default="", db_default="")
    evidence = models.JSONField(default=dict)
    retirement_id = models.BigIntegerField(null=True)
    act_id = models.BigIntegerField(null=True)

    class Meta:
        indexes = [
            models.Index(fields=["-at", "-id"], name="audit_at"),
            models.Index(fields=["retirement_id"], name="audit_retirement"),
            models.Index(fields=["act_id"], name="audit_act", condition=~Q(act_id=None)),
        ]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%dT%H:%M:%SZ} {self.user_name}: {self.action} {self.subject}"


class CallersReport(models.Model):
    """A report of `findcallers` as an operator uploaded it. ``made_at`` is by the host's clock."""

    uploaded_at = models.DateTimeField(db_default=Now())
    uploaded_by = models.TextField()
    host = models.TextField()
    made_at = models.DateTimeField()
    report = models.JSONField()

    def __str__(self) -> str:
        return f"{self.host} {self.made_at.isoformat()}"


# The name for acts of this product itself: ending a trial, settling a crash.
ITSELF = "Multica Admin"
