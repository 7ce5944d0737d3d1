"""Delivers alarms: each receiver by one process at a time, in order, until it has taken them.

A process claims a receiver for a while, sends what the receiver lacks as one message, and records
the outcome. It extends the claim for as long as it sends, and tries to record an arrival until our
own tables have it.

A message arrives twice if the process is killed between the receiver's answer and the record, if
our own tables are away meanwhile for longer than a claim, or if the answer does not reach us. The
number of the alarm tells such a duplicate.
"""

import logging
import secrets
import threading
from datetime import timedelta
from functools import cached_property

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, InterfaceError, OperationalError, connections, transaction
from django.db import Error as DatabaseError
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Greatest, Now
from django.utils.translation import override

from executions.alarms.message import Message, Origin, compose
from executions.alarms.pace import pause_after
from executions.alarms.problems import why
from executions.alarms.receivers import Receiver, receivers_of
from executions.alarms.silence import quiet_of
from executions.alarms.silences import open_silences
from executions.alarms.store import says_nothing, told_of
from executions.alarms.telling import HeldBack
from executions.database.own_clock import from_now
from executions.models import Alarm, AlarmDelivery, AlarmReceiver

log = logging.getLogger(__name__)

# A claim is extended at each look while its attempt lasts, so it outlives two looks.
CLAIM = timedelta(seconds=90)
# Seconds between two attempts to record an arrival.
RECORD_AGAIN = 1.0
# How often a process says that a receiver is in its settings.
CONFIGURED_EVERY = timedelta(minutes=5)
# The most alarms that one message is about.
MOST = 500


def place() -> Origin:
    """Where messages of this installation come from."""
    return Origin(
        settings.ENVIRONMENT_NAME,
        settings.PUBLIC_URL.rstrip("/"),
        is_demo=settings.HOLDS_DEMO or bool(settings.SCENARIO),
    )


class Post:
    """Delivers to the receivers in this process's settings, each in a thread of its own.

    So a receiver that hangs delays no other. While all that it would say is silenced, what waits
    goes on waiting.
    """

    def __init__(self, urls: tuple[str, ...]) -> None:
        self._urls = urls
        self._token = secrets.token_hex(8)
        self._busy: dict[str, threading.Thread] = {}

    @cached_property
    def _receivers(self) -> dict[str, Receiver]:
        return {one.digest: one for one in receivers_of(self._urls)}

    def deliver(self) -> None:
        """Begin to deliver wherever something is due. It waits for no receiver.

        Raises:
            django.db.Error: our own tables cannot be reached.
        """
        if not self._urls:
            return
        self._extend_claims()
        for receiver in self._receivers.values():
            configure(receiver)
        for digest in self._due():
            if digest in self._busy:
                continue
            thread = threading.Thread(
                target=_deliver,
                args=[self._receivers[digest], self._token],
                name="alarm",
                daemon=True,
            )
            self._busy[digest] = thread
            thread.start()

    def _extend_claims(self) -> None:
        """Keep every receiver that a thread still sends to."""
        self._busy = {digest: one for digest, one in self._busy.items() if one.is_alive()}
        if self._busy:
            mine = AlarmReceiver.objects.filter(digest__in=self._busy, token=self._token)
            mine.update(claimed_until=from_now(CLAIM))

    def _due(self) -> list[str]:
        newest = Alarm.objects.order_by("-pk").first()
        if newest is None:
            return []
        waiting = AlarmReceiver.objects.filter(
            _free(), digest__in=self._receivers, sent_up_to__lt=newest.pk, next_try_at__lte=Now()
        )
        found = list(waiting.values_list("digest", flat=True))
        return [] if found and says_nothing(newest, _quiet_now()) else found


def _quiet_now() -> HeldBack:
    return quiet_of(open_silences(None)[0])


def _free() -> Q:
    return Q(claimed_until=None) | Q(claimed_until__lte=Now())


def configure(receiver: Receiver) -> None:
    """Say that the receiver is in the settings, now and then. A new one gets only what is so now.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    known = AlarmReceiver.objects.filter(digest=receiver.digest)
    if known.filter(configured_at__gt=from_now(-CONFIGURED_EVERY)).exists():
        return
    said = {"position": receiver.position, "service": receiver.service, "configured_at": Now()}
    if known.update(**said):
        return
    newest = Alarm.objects.order_by("-pk").first()
    is_bad = newest is not None and newest.level != "healthy"
    seen = (newest.pk - is_bad) if newest else 0
    AlarmReceiver.objects.bulk_create(
        [AlarmReceiver(digest=receiver.digest, sent_up_to=seen, **said)], ignore_conflicts=True
    )


def _deliver(receiver: Receiver, token: str) -> None:
    """One attempt. No error leaves the thread."""
    try:
        deliver_to(receiver, token)
    except DatabaseError:
        log.warning("Alarms for receiver %d wait: our own tables are away.", receiver.position)
    except Exception as error:  # its text may contain an address
        log.error("Alarms for receiver %d wait: %s.", receiver.position, type(error).__name__)
    finally:
        connections.close_all()


def deliver_to(receiver: Receiver, token: str) -> None:
    """Claim the receiver by this token, send what it lacks, and record the outcome.

    Raises:
        django.db.Error: our own tables cannot be reached, and nothing has arrived.
    """
    known = AlarmReceiver.objects.filter(digest=receiver.digest)
    if not known.filter(_free()).update(token=token, claimed_until=from_now(CLAIM)):
        return
    row = known.get()
    lacking = list(Alarm.objects.filter(pk__gt=row.sent_up_to).order_by("pk")[:MOST])
    if not lacking:
        known.filter(token=token).update(token="", claimed_until=None)
        return
    with override(settings.ALERT_LANGUAGE):
        message = compose([told_of(one) for one in lacking], place())
    problem = receiver.send(message)
    if problem:
        note_failure(receiver, row.failures + 1, problem, token)
    else:
        _record_arrival(row, lacking)


def send_now(receiver: Receiver, message: Message) -> str:
    """Send a message outside the order of alarms; the reason if it was not taken.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    configure(receiver)
    problem = receiver.send(message)
    if not problem:
        AlarmReceiver.objects.filter(digest=receiver.digest).update(
            arrived_at=Now(), failures=0, failing_since=None, problem="", next_try_at=Now()
        )
    return problem


def note_failure(receiver: Receiver, failures: int, problem: str, token: str) -> None:
    mine = AlarmReceiver.objects.filter(digest=receiver.digest, token=token)
    mine.update(
        token="",
        claimed_until=None,
        failures=failures,
        failing_since=Coalesce(F("failing_since"), Now()),
        next_try_at=from_now(pause_after(failures)),
        problem=problem,
    )
    if failures == 1:
        log.warning("An alarm did not reach receiver %d: %s", receiver.position, why(problem))


def _record_arrival(row: AlarmReceiver, sent: list[Alarm]) -> None:
    """Record it as soon as our own tables can be reached, or the receiver gets it once more."""
    while True:
        try:
            return _note_arrival(row, sent)
        except (OperationalError, InterfaceError):
            connections[DEFAULT_DB_ALIAS].close()
            threading.Event().wait(RECORD_AGAIN)


def _note_arrival(row: AlarmReceiver, sent: list[Alarm]) -> None:
    """Record it even if the claim was over: the receiver has the message."""
    last = sent[-1].pk
    with transaction.atomic():
        AlarmReceiver.objects.filter(digest=row.digest).update(
            sent_up_to=Greatest(F("sent_up_to"), last),
            token="",
            claimed_until=None,
            failures=0,
            failing_since=None,
            next_try_at=Now(),
            problem="",
            arrived_at=Now(),
        )
        AlarmDelivery.objects.create(
            receiver=row, first=sent[0].pk, last=last, failures=row.failures
        )
    log.info("alarm %d has reached receiver %d (%s)", last, row.position, row.service or "unknown")
