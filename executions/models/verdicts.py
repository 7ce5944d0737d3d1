"""Our own history of the verdict: each change, the blind stretches, and who looks next.

`executions/health/history/` has the rules; this module says only what is stored. Times without
another word are by the clock of our own tables' database. A ``clock`` is that of Multica's.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class Watch(models.Model):
    """The one row of what was last seen, and whose turn to look is next.

    ``holder`` is the token of the turn that was taken last, ``due_at`` when the next may be taken.
    ``looked_at`` is when the newest verdict was read, and ``clock`` what Multica's clock said when
    it last said anything.
    """

    holder = models.TextField(default="")
    due_at = models.DateTimeField(db_default=Now())
    looked_at = models.DateTimeField(null=True)
    clock = models.DateTimeField(null=True)
    ahead = models.DurationField(null=True)
    level = models.TextField(default="")
    marks = models.JSONField(default=list)
    blind = models.TextField(default="")

    THE_ONE = 1

    def __str__(self) -> str:
        return f"last seen {self.level or 'nothing'} at {self.looked_at}"


class VerdictChange(models.Model):
    """The verdict from ``at`` until the next change: its level and all findings, as JSON.

    ``blind`` says why the verdict is unknown. ``after_blindness`` says that nobody saw the moment
    of the change, only its outcome.
    """

    at = models.DateTimeField()
    clock = models.DateTimeField(null=True)
    level = models.TextField()
    summary = models.JSONField()
    findings = models.JSONField()
    blind = models.TextField(default="")
    after_blindness = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["-at"], name="verdict_change_at")]

    def __str__(self) -> str:
        return f"{self.level} from {self.at}"


class BlindStretch(models.Model):
    """From when to when nobody could see how the rollup goes, and why; null ends if it lasts.

    ``clock_since`` and ``clock_until`` are the same moments by Multica's clock, as far ahead of
    ours as it was when it was last read.
    """

    reason = models.TextField()
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    clock_since = models.DateTimeField()
    clock_until = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["-since"], name="blind_stretch_since")]
        constraints = [
            models.UniqueConstraint(
                models.Value(1), condition=Q(until=None), name="one_open_blind_stretch"
            )
        ]

    def __str__(self) -> str:
        return f"{self.reason} from {self.since} until {self.until or 'now'}"
