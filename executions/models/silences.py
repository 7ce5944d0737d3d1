"""Our own record of silences, in which messages are held back. `alarms/silence.py` has the rules.

Times are by the clock of our own tables' database.
"""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Silence(models.Model):
    """Why messages are held back, by whom, and until when.

    ``code`` is the finding that is silenced; empty for every message. ``until`` is null if the
    silence ends when the finding clears or worsens; ``severity`` is then how bad it was.
    ``ended_at`` and ``ended`` say when and why it ended; null and empty while nobody saw its end.
    """

    class End(models.TextChoices):
        TIME = "time", _("its time was over")
        CLEARED = "cleared", _("the finding cleared")
        WORSENED = "worsened", _("the finding got worse")
        LIFTED = "lifted", _("somebody ended it")

    begun_at = models.DateTimeField(db_default=Now())
    until = models.DateTimeField(null=True)
    code = models.TextField(default="")
    severity = models.IntegerField(null=True)
    user_name = models.TextField()
    why = models.TextField()
    ended_at = models.DateTimeField(null=True)
    ended = models.TextField(default="", choices=End.choices)

    class Meta:
        indexes = [
            models.Index(fields=["-begun_at"], name="silence_begun_at"),
            models.Index(fields=["begun_at"], name="silence_open", condition=Q(ended_at=None)),
        ]

    def __str__(self) -> str:
        return f"silence of {self.code or 'everything'} by {self.user_name} from {self.begun_at}"
