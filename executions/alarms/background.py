"""Watches the verdict and delivers alarms in a web process or beside a runner."""

from datetime import timedelta

from django.conf import settings

from executions.alarms.delivery import Post
from executions.alarms.heartbeat import Heart
from executions.alarms.store import hear_look
from executions.alarms.telling import TellingRules
from executions.database.repeating import Repeating
from executions.health.history.record import LOOK_EVERY, look_in_turn


def look_every(after: timedelta) -> timedelta:
    """How often somebody looks, so that what has held for so long was seen at least twice."""
    return min(LOOK_EVERY, after / 2)


def watching(*, says_when_away: bool = True) -> Repeating:
    """Looks in turn with every other process, and tells what is due.

    Nobody needs to wait for the look in hand at the end: nothing of it is lost.
    """
    rules = TellingRules(timedelta(seconds=settings.ALERT_AFTER), settings.ALERT_MOST_PER_HOUR)
    every = look_every(rules.after)
    post = Post(settings.ALERT_URLS)
    heart = Heart(settings.HEARTBEAT_URL)

    def look(away_for: timedelta) -> None:
        seen = look_in_turn(every, away_for)
        if seen is not None:
            hear_look(seen, rules)
        post.deliver()
        heart.beat()

    return Repeating(
        "watch",
        look,
        every.total_seconds(),
        undone="The verdict is not watched",
        says_when_away=says_when_away,
    )
