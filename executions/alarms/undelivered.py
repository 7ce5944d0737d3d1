"""What the pages and monitors say of alarms: which receivers do not take them, and who is told.

It reads our own tables only.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Max, QuerySet

from executions.alarms.problems import why
from executions.database.own_clock import from_now
from executions.models import Alarm, AlarmReceiver
from executions.text.sentences import Sentence, say

# A receiver that no process has named for so long is in nobody's settings any more.
FORGOTTEN = timedelta(minutes=15)


@dataclass(frozen=True)
class Undelivered:
    """A receiver that does not take alarms: since when, why, how many wait, and the next try."""

    position: int
    service: str
    since: datetime
    reason: Sentence
    alarms: int
    next_try_at: datetime

    @property
    def version(self) -> tuple[object, ...]:
        return (self.position, self.since, self.reason.still(), self.alarms)


def read_undelivered() -> tuple[Undelivered, ...]:
    """The receivers that fail now, in the order of the settings.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    failing = _configured().filter(failing_since__isnull=False).order_by("position")
    rows = list(failing)
    if not rows:
        return ()
    newest = Alarm.objects.aggregate(newest=Max("pk"))["newest"] or 0
    return tuple(
        Undelivered(
            position=row.position,
            service=row.service,
            since=row.failing_since,
            reason=why(row.problem),
            alarms=Alarm.objects.filter(pk__gt=row.sent_up_to, pk__lte=newest).count(),
            next_try_at=row.next_try_at,
        )
        for row in rows
        if row.failing_since is not None
    )


def why_untold() -> Sentence | None:
    """Why nobody would be told if the rollup stopped now; None if somebody would be.

    The name of the command that tries it follows the sentence.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    receivers = list(_configured())
    if not receivers:
        return say(
            "Nobody will be told if this stops: there is no receiver of alarms. Set ALERT_URLS and"
            " start again, then try it with"
        )
    arrived = [one for one in receivers if one.arrived_at is not None]
    if not arrived:
        return say("Nobody will be told if this stops: no test alarm has arrived yet. Try it with")
    if all(one.failing_since for one in arrived):
        return say(
            "Nobody will be told if this stops: alarms do not get through at present. The overview"
            " says why. To try again, run"
        )
    return None


def _configured() -> QuerySet[AlarmReceiver]:
    return AlarmReceiver.objects.filter(configured_at__gt=from_now(-FORGOTTEN))
