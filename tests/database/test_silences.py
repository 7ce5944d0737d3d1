"""Silences: each has a reason and an end, stands on the audit, and holds back messages only."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.db.models.functions import Now

from executions.alarms.delivery import Post, configure
from executions.alarms.message import Origin, compose
from executions.alarms.silence import said
from executions.alarms.silences import begin, lift, open_silences, settle
from executions.alarms.store import hear_look, told_of
from executions.alarms.telling import HeldBack, TellingRules, worth_telling
from executions.health import snapshots
from executions.health.assessment import assess
from executions.health.history.record import Seen
from executions.health.history.step import VerdictLook, VerdictStep, marks_of
from executions.models import Silence
from executions.models.retirement import AuditEvent
from executions.retirement.audit import Who
from executions.retirement.refusals import Refused
from executions.text.problem import Problem
from tests import scenarios
from tests.commands import run_command
from tests.pictures import NOW, executions, facts

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

HOUR = timedelta(hours=1)
OLGA = Who("olga", why="deploy 42.")
RULES = TellingRules(after=timedelta(minutes=2), most=12)
PLACE = Origin("production", "")


def judged(**known):
    return assess(facts(**known))


STATELESS = judged(state=None)
BLIND = judged(executions=Problem("The database is away.", "Look."))
RETRIED = {age: {"attempt": 2} for age in range(1, 13, 2)}
WARNED = judged(executions=executions(RETRIED))


def lines():
    return [(one.user_name, one.action, one.subject, one.why, one.summary)
            for one in AuditEvent.objects.order_by("pk")]  # fmt: skip


def test_messages_are_held_back_for_a_time_and_both_ends_are_on_the_audit(owner):
    silence = begin(OLGA, span=HOUR)
    assert silence.until - silence.begun_at == HOUR
    assert open_silences(None)[0] == (silence,)
    text = str(said(silence, silence.begun_at))
    assert text.startswith("olga holds back every message until ")
    assert text.endswith(": deploy 42.")
    Silence.objects.update(until=Now() - timedelta(seconds=1))
    assert open_silences(None)[0] == ()
    settle(STATELESS.verdict)
    settle(STATELESS.verdict)
    silence.refresh_from_db()
    assert silence.ended == Silence.End.TIME
    assert lines() == [
        ("olga", "silence", "messages", "deploy 42.", text),
        ("Multica Admin", "silence ended", "messages", "", "its time was over"),
    ]


@pytest.mark.parametrize(
    ("who", "given", "reason"),
    [
        (Who("olga", why="  "), {"span": HOUR}, "Say why"),
        (OLGA, {}, "Say how long"),
        (OLGA, {"span": timedelta(days=2)}, "A silence lasts from 1 min to 1 d."),
        (OLGA, {"span": timedelta()}, "A silence lasts from 1 min to 1 d."),
        (OLGA, {"span": HOUR, "code": "weather"}, "No finding is called “weather”."),
        (OLGA, {"code": "latest_stale", "verdict": STATELESS.verdict}, "is not found now"),
        (OLGA, {"code": "latest_stale"}, "is not found now"),
    ],
)
def test_without_a_reason_an_end_or_a_finding_nothing_is_silenced(owner, who, given, reason):
    with pytest.raises(Refused, match=reason) as refused:
        begin(who, **given)
    assert str(refused.value).endswith("Nothing was silenced.")
    assert not Silence.objects.exists()
    assert lines() == []


@pytest.mark.parametrize(
    ("seen", "end"),
    [(judged(), "cleared"), (STATELESS, "cleared"), (WARNED, None), (BLIND, None)],
    ids=["healthy", "another", "the same", "blind"],
)
def test_an_acknowledgement_lasts_until_the_finding_is_seen_to_be_gone(owner, seen, end):
    silence = begin(OLGA, code="masked_retries", verdict=WARNED.verdict)
    settle(seen.verdict)
    silence.refresh_from_db()
    assert silence.ended == (end or "")
    assert bool(open_silences(seen.verdict)[0]) is (end is None)


def test_an_acknowledgement_ends_when_the_finding_gets_worse(owner):
    silence = begin(OLGA, code="masked_retries", verdict=WARNED.verdict)
    Silence.objects.update(severity=1)
    settle(WARNED.verdict)
    silence.refresh_from_db()
    assert silence.ended == Silence.End.WORSENED


def test_a_silence_is_lifted_once(owner):
    silence = begin(OLGA, span=HOUR)
    assert lift(Who("ivan", why="done"), silence.pk)
    assert not lift(Who("vera"), silence.pk)
    assert lines()[1] == ("ivan", "silence ended", "messages", "done", "somebody ended it")
    assert open_silences(None)[0] == ()


def hear(minute, assessment):
    at = NOW + timedelta(minutes=minute)
    look = VerdictLook(at, at, assessment.verdict.level, marks_of(assessment.verdict), None)
    return hear_look(Seen(look, assessment, VerdictStep(False, (), False)), RULES)


def test_a_look_in_a_silence_makes_no_alarm_and_one_after_it_does(owner):
    silence = begin(OLGA, code="state_row_missing", verdict=STATELESS.verdict)
    assert [hear(minute, STATELESS) for minute in range(4)] == [None] * 4
    lift(OLGA, silence.pk)
    assert hear(5, STATELESS).code == "state_row_missing"


def test_a_message_tells_of_no_silenced_finding_but_of_how_many_there_are(owner):
    both = judged(state=None, executions=executions(RETRIED))
    assert [one.code for one in worth_telling(both.verdict.findings)] == [
        "state_row_missing", "masked_retries",
    ]  # fmt: skip
    begin(OLGA, code="state_row_missing", verdict=STATELESS.verdict)
    alarm = [hear(minute, both) for minute in range(3)][-1]
    assert (alarm.level, alarm.code, alarm.also) == ("failing", "masked_retries", [])
    first, *_rest = compose([told_of(alarm)], PLACE).body.splitlines()
    assert first.endswith("1 more finding is silenced.")
    assert str(STATELESS.verdict.summary) not in first
    left = [hear(minute, STATELESS) for minute in (3, 4, 5)][-1]
    assert (left.level, left.code, left.advice) == ("failing", "", None)
    first, *_rest = compose([told_of(left)], PLACE).body.splitlines()
    assert first == "What is left is silenced: 1 finding."


def test_what_waits_to_be_sent_waits_for_the_end_of_a_silence_of_everything(owner):
    post = Post(("json://127.0.0.1:1/",))
    (receiver,) = post._receivers.values()
    configure(receiver)
    assert [hear(minute, STATELESS) for minute in range(3)][-1]
    assert post._due() == [receiver.digest]
    silence = begin(OLGA, span=HOUR)
    assert post._due() == []
    lift(OLGA, silence.pk)
    assert post._due() == [receiver.digest]


def test_what_waits_to_be_sent_tells_of_no_finding_that_was_silenced_meanwhile(owner):
    post = Post(("json://127.0.0.1:1/",))
    (receiver,) = post._receivers.values()
    configure(receiver)
    alone = [hear(minute, STATELESS) for minute in range(3)][-1]
    begin(OLGA, code="state_row_missing", verdict=STATELESS.verdict)
    assert post._due() == []
    both = [hear(minute, judged(state=None, executions=executions(RETRIED)))
            for minute in (3, 4, 5)][-1]  # fmt: skip
    assert (alone.code, both.code) == ("state_row_missing", "masked_retries")
    assert post._due() == [receiver.digest]
    silence = begin(OLGA, code="masked_retries", span=HOUR)
    assert post._due() == []
    lift(OLGA, silence.pk)
    assert post._due() == [receiver.digest]


def test_of_several_findings_the_first_that_is_loud_when_it_is_sent_comes_first(owner):
    both = judged(state=None, executions=executions(RETRIED))
    alarm = [hear(minute, both) for minute in range(3)][-1]
    quiet = HeldBack(codes=frozenset({"state_row_missing"}))
    first, *_rest = compose([told_of(alarm, quiet)], PLACE).body.splitlines()
    assert first == str(both.verdict.findings[1].summary)


def test_a_deploy_script_silences_and_is_told_until_when(owner):
    done = run_command("silence", "--for", "2h", "--reason", "deploy 42")
    assert done.status == 0
    assert "(manage.py) holds back every message until " in done.said
    for words, refusal in (
        (("--for", "3d", "--reason", "x"), "'3d' is no duration"),
        (("--for", "2h"), "--reason"),
        (("--reason", "x"), "Say how long"),
        (("--for", "2h", "--reason", " "), "Say why"),
    ):
        refused = run_command("silence", *words)
        assert refused.status != 0
        assert refusal in refused.refused
    assert Silence.objects.count() == 1


def test_the_command_acknowledges_a_finding_that_is_there(owner):
    scenarios.stopped(owner)
    snapshots.forget()
    done = run_command("silence", "--finding", "latest_stale", "--reason", "known")
    assert done.status == 0
    assert "No message about it is sent until it clears" in done.said
    assert run_command("silence", "--finding", "lock_leaked", "--reason", "x").status == 2


def test_the_verdict_for_monitors_keeps_its_status_and_names_the_silence(owner):
    scenarios.stopped(owner)
    begin(OLGA, span=HOUR)
    begin(OLGA, code="latest_stale", verdict=assess_now())
    told = run_command("checkrollup")
    assert told.status == 2
    assert "olga holds back every message until " in told.said
    found = json.loads(run_command("checkrollup", "--json").said)
    assert found["verdict"] == "failing"
    finding, everything = found["silences"]
    assert (finding["finding"], finding["until"]) == ("latest_stale", None)
    assert (everything["finding"], everything["by"], everything["reason"]) == (
        None, "olga", "deploy 42.",
    )  # fmt: skip
    assert everything["until"].endswith("Z")


def assess_now():
    snapshots.forget()
    return snapshots.current().verdict
