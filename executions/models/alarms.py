"""Our own record of alarms: what was told, who was to be told, and what got through.

`executions/alarms/` has the rules; this module says only what is stored. Times are by the clock of
our own tables' database. No column holds an address of a receiver, because it may contain secrets.
"""

from django.db import models
from django.db.models.functions import Now


class TellingState(models.Model):
    """The one row of what people know, what was seen last, and since when: `alarms/telling.py`.

    ``looked_at`` is the newest look that was heard.
    """

    looked_at = models.DateTimeField(null=True)
    state = models.JSONField(default=dict)
    heartbeat_at = models.DateTimeField(null=True)

    THE_ONE = 1

    def __str__(self) -> str:
        return f"telling as of {self.looked_at}"


class Alarm(models.Model):
    """A change that people are told. Its key is the number in each message about it."""

    made_at = models.DateTimeField(db_default=Now())
    kind = models.TextField()
    level = models.TextField()
    before = models.TextField()
    since = models.DateTimeField()
    summary = models.JSONField()
    advice = models.JSONField(null=True)
    code = models.TextField(default="")
    also = models.JSONField(default=list)
    bad_for = models.DurationField(null=True)
    held_back = models.IntegerField(default=0)
    is_last = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["-made_at"], name="alarm_made_at")]

    def __str__(self) -> str:
        return f"alarm {self.pk} ({self.kind}, {self.level})"


class AlarmReceiver(models.Model):
    """A receiver of alarms, by a digest of its address.

    ``sent_up_to`` is the number of the newest alarm that it has. ``token`` is that of the process
    that is sending to it until ``claimed_until`` at the latest. ``problem`` says why the last
    attempt failed. ``configured_at`` is when a process last had it in its settings.
    """

    digest = models.TextField(primary_key=True)
    service = models.TextField()
    position = models.IntegerField()
    configured_at = models.DateTimeField(db_default=Now())
    sent_up_to = models.BigIntegerField(default=0)
    token = models.TextField(default="")
    claimed_until = models.DateTimeField(null=True)
    failures = models.IntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    next_try_at = models.DateTimeField(db_default=Now())
    problem = models.TextField(default="")
    arrived_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"receiver {self.position} ({self.service})"


class AlarmDelivery(models.Model):
    """A message that a receiver took: the alarms ``first`` to ``last``, after ``failures``."""

    receiver = models.ForeignKey(AlarmReceiver, on_delete=models.CASCADE)
    first = models.BigIntegerField()
    last = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    failures = models.IntegerField()

    class Meta:
        indexes = [models.Index(fields=["-at"], name="alarm_delivery_at")]

    def __str__(self) -> str:
        return f"alarms {self.first} to {self.last} arrived at {self.at}"
