"""Alarms in our own tables and at real receivers: once, in order, and without a secret anywhere."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import F

from executions.alarms import delivery
from executions.alarms.delivery import Post, deliver_to, send_now
from executions.alarms.heartbeat import Heart
from executions.alarms.message import Message
from executions.alarms.message import test_message as message_of_a_test
from executions.alarms.receivers import UNUSABLE, Receiver
from executions.alarms.store import hear_look
from executions.alarms.telling import TellingRules
from executions.alarms.undelivered import read_undelivered, why_untold
from executions.health.assessment import assess
from executions.health.history.record import Seen
from executions.health.history.step import VerdictLook, VerdictStep, blindness_of, marks_of
from executions.models import Alarm, AlarmDelivery, AlarmReceiver, TellingState, Watch
from tests.commands import run_command
from tests.pictures import NOW, facts
from tests.receiving import HttpReceiver, MailReceiver
from tests.waiting import until

pytestmark = pytest.mark.django_db(databases=["default"], transaction=True)

RULES = TellingRules(after=timedelta(minutes=2), most=12)
MINUTE = timedelta(minutes=1)
SECRET = "s3cr3t-t0k3n"
TOKEN = "this process"


@pytest.fixture
def http():
    with closing(HttpReceiver()) as receiver:
        yield receiver


def look(minute, known=None, step=None):
    """Hear a look in that minute of the story."""
    assessment = assess(facts(**known or {}))
    at = NOW + minute * MINUTE
    seen = VerdictLook(
        at, at, assessment.verdict.level, marks_of(assessment.verdict),
        blindness_of(assessment.facts),
    )  # fmt: skip
    return hear_look(Seen(seen, assessment, step or VerdictStep(False, (), False)), RULES)


def make_alarms(count=1):
    """Alarms that alternate between failing and healthy."""
    for nth in range(count):
        known = None if nth % 2 else {"state": None}
        for minute in (0, 1, 2):
            look(10 * nth + minute, known)


def test_a_change_that_holds_is_one_alarm_with_the_worst_finding(owner):
    assert [look(minute, {"state": None}) for minute in (0, 1)] == [None, None]
    alarm = look(2, {"state": None})
    assert (alarm.level, alarm.code) == ("failing", "state_row_missing")
    assert look(3, {"state": None}) is None
    assert look(3) is None, "a look that is no newer is not heard"
    recovered = [look(minute) for minute in (4, 5, 6)][-1]
    assert (recovered.kind, recovered.bad_for) == ("recovered", 4 * MINUTE)


def test_a_receiver_gets_each_alarm_once_and_it_is_on_record(http):
    receiver = Receiver(1, http.url("/a"))
    delivery.configure(receiver)
    make_alarms()
    for _ in range(3):
        deliver_to(receiver, TOKEN)
    (alarm,) = Alarm.objects.all()
    assert http.numbers("/a") == [alarm.pk]
    assert [(one.first, one.last) for one in AlarmDelivery.objects.all()] == [(alarm.pk, alarm.pk)]
    assert why_untold() is None


def test_late_alarms_are_one_message_about_what_is_so_now(http):
    receiver = Receiver(1, http.url("/a"))
    delivery.configure(receiver)
    http.answers["/a"] = 503
    make_alarms(3)
    deliver_to(receiver, TOKEN)
    (waiting,) = read_undelivered()
    assert (waiting.alarms, str(waiting.reason)[:33]) == (3, "It answered with the status 503: ")
    http.answers.clear()
    deliver_to(receiver, TOKEN)
    (message,) = http.got["/a"]
    assert "usage is failing" in message["title"]
    assert "2 earlier alarms could not be delivered in time" in message["message"]
    assert read_undelivered() == ()
    assert AlarmDelivery.objects.get().failures == 1


def test_pauses_between_attempts_grow(http):
    receiver = Receiver(1, http.url("/a"))
    post = Post((receiver.url,))
    delivery.configure(receiver)
    http.answers["/a"] = 500
    make_alarms()
    known = AlarmReceiver.objects.filter(digest=receiver.digest)
    for failures, pause in ((1, 10), (2, 20), (3, 40)):
        deliver_to(receiver, TOKEN)
        row = known.get()
        wait = row.next_try_at - known.annotate(now=delivery.from_now(0 * MINUTE)).get().now
        assert row.failures == failures
        assert pause - 10 < wait.total_seconds() <= pause
        assert post._due() == []


def test_a_new_receiver_is_told_what_is_so_now_and_nothing_older(http):
    make_alarms(3)
    for path, messages in (("/a", 1), ("/b", 0)):
        receiver = Receiver(1, http.url(path))
        delivery.configure(receiver)
        deliver_to(receiver, TOKEN)
        assert len(http.got[path]) == messages
        for minute in (40, 41, 42):
            look(minute)
    assert "earlier" not in http.got["/a"][0]["message"]


def test_a_receiver_that_left_the_settings_long_ago_is_removed_with_its_deliveries(http):
    for path, days in (("/left", 401), ("/lately", 399)):
        receiver = Receiver(1, http.url(path))
        delivery.configure(receiver)
        known = AlarmReceiver.objects.filter(digest=receiver.digest)
        known.update(configured_at=NOW - timedelta(days=days))
        AlarmDelivery.objects.create(receiver=known.get(), first=1, last=1, failures=0)
    look(0)
    assert list(AlarmReceiver.objects.values_list("digest", flat=True)) == [receiver.digest]
    assert AlarmDelivery.objects.get().receiver_id == receiver.digest


def test_one_process_at_a_time_sends_to_a_receiver_until_its_claim_is_over(http):
    receiver = Receiver(1, http.url("/a"))
    delivery.configure(receiver)
    make_alarms()
    claimed = delivery.from_now(MINUTE)
    AlarmReceiver.objects.update(token="another", claimed_until=claimed)
    deliver_to(receiver, TOKEN)
    assert not http.got["/a"]
    AlarmReceiver.objects.update(claimed_until=F("claimed_until") - 2 * MINUTE)
    deliver_to(receiver, TOKEN)
    assert len(http.got["/a"]) == 1


def test_a_claim_lasts_for_as_long_as_the_attempt_of_its_process(http):
    """While a slow receiver takes one message, no process sends to it a second time."""
    http.held.add("/slow")
    receiver = Receiver(1, http.url("/slow") + "?rto=120")
    post, other = Post((receiver.url,)), Post((receiver.url,))
    delivery.configure(receiver)
    make_alarms()
    post.deliver()
    until(lambda: http.waiting)
    for _ in range(3):
        AlarmReceiver.objects.update(claimed_until=F("claimed_until") - MINUTE)
        post.deliver()
        other.deliver()
        assert other._due() == []
    http.let_go.set()
    until(AlarmDelivery.objects.exists)
    assert len(http.got["/slow"]) == 1


def test_an_arrival_is_recorded_though_our_own_tables_were_away_at_its_moment(superuser):
    """The connection breaks after the message has arrived and before that is on record."""

    class Breaking(HttpReceiver):
        def _take(self, handler, message):
            superuser.execute("SELECT pg_terminate_backend(%s)", [session])
            super()._take(handler, message)

    with closing(Breaking()) as http:
        receiver = Receiver(1, http.url("/a"))
        delivery.configure(receiver)
        make_alarms()
        with connection.cursor() as cursor:
            session = cursor.execute("SELECT pg_backend_pid()").fetchone()[0]
        deliver_to(receiver, TOKEN)
        deliver_to(receiver, TOKEN)
        assert len(http.got["/a"]) == AlarmDelivery.objects.count() == 1


def test_a_redirect_is_not_followed_even_if_the_address_asks_for_it(http):
    http.answers["/a"] = 307
    receiver = Receiver(1, http.url("/a") + "?redirect=yes")
    assert send_now(receiver, message_of_a_test(delivery.place())) == "status 307"
    assert not http.got["/elsewhere"]


def test_no_secret_is_in_our_tables_our_log_or_what_is_shown(http, caplog, capsys):
    caplog.set_level("DEBUG")
    nobody = f"json://olga:{SECRET}@127.0.0.1:1/{SECRET}?:token={SECRET}"
    http.answers[f"/{SECRET}"] = 404
    urls = (nobody, http.url(f"/{SECRET}"), f"slack://{SECRET}", f"no-such://{SECRET}/{SECRET}")
    make_alarms()
    for position, url in enumerate(urls, 1):
        receiver = Receiver(position, url)
        delivery.configure(receiver)
        AlarmReceiver.objects.update(sent_up_to=0)
        delivery._deliver(receiver, TOKEN)
        assert SECRET not in repr(receiver)
    shown = [
        *read_undelivered(),
        *(str(one.reason) for one in read_undelivered()),
        *AlarmReceiver.objects.values_list(),
    ]
    assert len(read_undelivered()) == len(urls)
    out = capsys.readouterr()
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("exec")]
    assert SECRET not in f"{shown} {ours} {out.out} {out.err}"


def test_an_address_that_apprise_does_not_know_is_said_to_be_one():
    assert Receiver(1, "no-such://place").send(message_of_a_test(delivery.place())) == UNUSABLE


@pytest.mark.parametrize("form", ["", "&format=text", "&format=html"])
def test_a_mail_keeps_its_lines_and_shows_what_looks_like_markup(form):
    body = "Usage stops at <b>09:40</b> & later.\nNext: look at *it*.\nAlarm 7 of production."
    with closing(MailReceiver()) as mail:
        assert Receiver(1, mail.url + form).send(Message("production: failing", body)) == ""
        assert mail.got[0].split("\r\n")[:3] == body.split("\n")


def test_the_test_alarm_goes_to_each_and_says_what_came_of_it(http, settings):
    assert run_command("sendtestalert")[0] == 2
    http.answers["/b"] = 401
    settings.ALERT_URLS = (http.url("/a"), http.url("/b"))
    assert why_untold()
    status, said, _refused = run_command("sendtestalert")
    assert status == 1
    first, second = said.splitlines()
    assert first == "Receiver 1 (JSON): it took the test alarm."
    assert second.startswith("Receiver 2 (JSON): It answered with the status 401: check its")
    assert why_untold() is None
    settings.ALERT_URLS = (http.url("/a"),)
    settings.ALERT_LANGUAGE = "zh-hans"
    status, said, _refused = run_command("sendtestalert")
    assert (status, said.strip()) == (0, "Receiver 1 (JSON): it took the test alarm.")
    assert [got["title"].rpartition("Multica")[2] for got in http.got["/a"]] == [
        ": test alarm",
        "：测试告警",
    ]


def test_the_heart_beats_for_as_long_as_we_see_and_once_for_all(http):
    hearts = [Heart(http.url("/beat", "http")) for _ in range(3)]
    TellingState.objects.create(pk=TellingState.THE_ONE)
    for heart in hearts:
        heart.beat()
    assert not http.got["/beat"], "nobody has looked yet"
    Watch.objects.create(pk=Watch.THE_ONE, looked_at=delivery.from_now(0 * MINUTE))
    for heart in hearts:
        heart.beat()
    until(lambda: http.got["/beat"])
    TellingState.objects.update(heartbeat_at=F("heartbeat_at") - 2 * MINUTE)
    Watch.objects.update(blind="database_away")
    hearts[0].beat()
    assert len(http.got["/beat"]) == 1
