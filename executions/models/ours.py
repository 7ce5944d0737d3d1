"""Our own tables except the retirements: our runners."""

from collections.abc import Iterable

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class Runner(models.Model):
    """A runner of this installation, stored so that it can be told from Multica's runners.

    ``tick_seconds`` is the runner's own interval between ticks; null if it ticks only once.
    """

    class Kind(models.TextChoices):
        WEB = "web", _("web process")
        COMMAND = "command", _("runrollup")

    runner_id = models.TextField(primary_key=True)
    kind = models.TextField(choices=Kind.choices)
    host = models.TextField()
    pid = models.IntegerField()
    version = models.TextField()
    started_at = models.DateTimeField(db_default=Now())
    last_tick_at = models.DateTimeField(null=True)
    tick_seconds = models.FloatField(null=True)
    stopped_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="runner_started_at")]
        permissions = [
            ("view_dashboard", "May look at everything"),
            ("operate", "May run the rollup once and retire schedules"),
        ]

    def __str__(self) -> str:
        return self.runner_id

    @classmethod
    def ours_among(cls, runner_ids: Iterable[str]) -> frozenset[str]:
        """Which of these runners are this installation's own."""
        asked = set(runner_ids)
        found = cls.objects.filter(runner_id__in=asked) if asked else cls.objects.none()
        return frozenset(found.values_list("runner_id", flat=True))
