"""Which changes people are told of: after how long, how many an hour, and after blindness."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.alarms.message import Origin, ToldChange, compose
from executions.alarms.pace import pause_after
from executions.alarms.telling import (
    CALM,
    HOUR,
    AlarmKind,
    Due,
    HeldBack,
    Telling,
    TellingRules,
    VerdictShape,
    hear,
    shape_of,
)
from executions.health.assessment import assess
from executions.health.verdict import Level
from executions.text.sentences import say
from tests.pictures import NOW, SECOND, executions, facts

RULES = TellingRules(after=timedelta(minutes=2), most=3)
FAILING = VerdictShape(Level.FAILING, ("latest_stale",))
WORSE = VerdictShape(Level.FAILING, ("latest_stale", "lock_leaked"))
UNKNOWN = VerdictShape(Level.UNKNOWN)
STEP = 30 * SECOND
MINUTE = timedelta(minutes=1)


class Story:
    """Looks half a minute apart, and the alarms that they made."""

    def __init__(self, rules=RULES) -> None:
        self.state, self.rules, self.at = Telling(), rules, NOW
        self.made: list = []
        self.told: list[Due] = []

    def see(self, shape, times=6, **first):
        for nth in range(times):
            marks = first if nth == 0 else {}
            self.state, due = hear(self.state, shape, self.at, self.rules, self.made, **marks)
            if due:
                self.told.append(due)
                self.made.append(self.at)
            self.at += STEP
        return self

    @property
    def kinds(self):
        return [due.kind for due in self.told]


def test_what_is_good_from_the_start_is_not_told():
    assert Story().see(CALM).told == []


def test_a_change_is_told_once_when_it_has_held():
    story = Story().see(CALM).see(FAILING, times=4)
    assert story.told == []
    story.see(FAILING, times=10)
    assert story.kinds == [AlarmKind.BEGAN]
    assert story.told[0].since == NOW + 6 * STEP


def test_one_look_is_not_enough_however_long_it_holds():
    story = Story(TellingRules(after=timedelta(0), most=3)).see(FAILING, times=1)
    assert story.told == []
    assert story.see(FAILING, times=1).kinds == [AlarmKind.BEGAN]


def test_flapping_faster_than_it_may_sends_nothing():
    story = Story()
    for _ in range(40):
        story.see(FAILING, times=3).see(CALM, times=3)
    assert story.told == []


def test_a_recovery_says_how_long_it_was_bad():
    story = Story().see(FAILING, times=20).see(CALM)
    assert story.kinds == [AlarmKind.BEGAN, AlarmKind.RECOVERED]
    assert story.told[-1].bad_for == 20 * STEP


def test_another_finding_under_the_same_level_is_told_and_the_bad_time_goes_on():
    story = Story().see(FAILING).see(WORSE).see(CALM)
    assert story.kinds == [AlarmKind.BEGAN, AlarmKind.CHANGED, AlarmKind.RECOVERED]
    assert story.told[-1].bad_for == 12 * STEP


def test_findings_for_information_are_not_told():
    told = assess(facts(executions=executions({3: {"attempt": 2}}))).verdict
    assert told.findings
    assert shape_of(told) == CALM


# --- Blindness ----------------------------------------------------------------------------------


def test_blindness_is_told_and_its_end_is_no_recovery():
    story = Story().see(CALM).see(UNKNOWN, anew=True).see(CALM, anew=True, blindly=True)
    assert story.kinds == [AlarmKind.BLIND, AlarmKind.SIGHTED]
    assert [due.bad_for for due in story.told] == [None, None]


def test_what_became_good_while_nobody_could_look_is_no_recovery():
    stopped = Story().see(FAILING).see(CALM, anew=True, blindly=True)
    assert stopped.kinds == [AlarmKind.BEGAN, AlarmKind.SIGHTED]
    assert stopped.told[-1].bad_for is None


def test_stopped_and_started_again_with_the_same_verdict_says_nothing():
    for shape, kinds in ((CALM, []), (FAILING, [AlarmKind.BEGAN])):
        assert Story().see(shape).see(shape, anew=True, blindly=True).kinds == kinds


def test_what_holds_has_to_be_seen_to_hold():
    story = Story().see(FAILING, times=2)
    story.at += HOUR
    assert story.see(FAILING, times=4, anew=True, blindly=True).told == []
    assert story.see(FAILING, times=1).kinds == [AlarmKind.BEGAN]


def test_a_passing_blindness_is_not_told():
    story = Story().see(CALM).see(UNKNOWN, times=3, anew=True).see(CALM, anew=True, blindly=True)
    assert story.told == []


def test_what_was_bad_before_a_blindness_and_is_bad_after_it_was_bad_all_the_while():
    story = Story(TellingRules(after=2 * MINUTE, most=9))
    story.see(FAILING).see(UNKNOWN, anew=True).see(FAILING, anew=True, blindly=True)
    story.see(CALM)
    assert story.kinds == [AlarmKind.BEGAN, AlarmKind.BLIND, AlarmKind.SIGHTED, AlarmKind.RECOVERED]
    assert story.told[-1].bad_for == 18 * STEP


# --- Too many -----------------------------------------------------------------------------------


def test_a_flood_is_a_few_messages_and_then_one_with_a_count():
    story = Story()
    for _ in range(6):
        story.see(FAILING).see(CALM)
    assert story.kinds == [AlarmKind.BEGAN, AlarmKind.RECOVERED, AlarmKind.BEGAN]
    assert [due.is_last for due in story.told] == [False, False, True]
    story.at += HOUR
    story.see(CALM)
    assert len(story.told) == 4
    assert story.told[-1].held_back == 5


def test_what_is_as_people_know_it_is_told_too_if_something_was_held_back():
    story = Story(TellingRules(after=2 * MINUTE, most=1)).see(FAILING).see(WORSE).see(FAILING)
    story.at += HOUR
    story.see(FAILING, times=1)
    assert story.kinds == [AlarmKind.BEGAN, AlarmKind.HELD_BACK]
    assert story.told[-1].held_back == 1


@pytest.mark.parametrize(("failures", "seconds"), [(1, 10), (2, 20), (5, 160), (8, 900), (99, 900)])
def test_pauses_grow_up_to_a_quarter_of_an_hour(failures, seconds):
    assert pause_after(failures) == seconds * SECOND


# --- The message --------------------------------------------------------------------------------

PLACE = Origin("production", "https://admin.example.com/usage")


def alarm(number=7, **given):
    return ToldChange(
        **{
            "number": number,
            "kind": AlarmKind.BEGAN,
            "level": Level.FAILING,
            "before": Level.HEALTHY,
            "made_at": NOW,
            "since": NOW,
            "summary": say("Usage numbers stop at 09:40 UTC."),
            "advice": say("First check that the backend is running."),
            "code": "latest_stale",
        }
        | given
    )


def test_a_message_says_what_what_next_and_where_it_is_explained():
    made = compose([alarm()], PLACE)
    assert made.title == "production: usage is failing"
    assert made.body.splitlines() == [
        "Usage numbers stop at 09:40 UTC.",
        "Next: First check that the backend is running.",
        "What it means: https://admin.example.com/usage/explain/latest_stale/",
        "Alarm 7 of production, so since 2026-03-29 01:02 UTC.",
    ]


def test_without_an_address_it_names_the_command():
    assert "manage.py explain latest_stale" in compose([alarm()], Origin("", "")).body


def test_a_recovery_names_its_length_and_the_end_of_a_blindness_does_not():
    good = {"level": Level.HEALTHY, "advice": None, "code": ""}
    recovered = compose([alarm(kind=AlarmKind.RECOVERED, bad_for=HOUR, **good)], PLACE)
    assert recovered.title == "production: recovered, usage is up to date"
    assert "It was bad for 1 h." in recovered.body
    sighted = compose([alarm(kind=AlarmKind.SIGHTED, before=Level.FAILING, **good)], PLACE)
    assert "recovered" not in sighted.title
    assert "Nobody saw when it became good" in sighted.body


def test_missed_alarms_become_one_message_about_what_is_so_now():
    good = alarm(
        9, level=Level.HEALTHY, kind=AlarmKind.RECOVERED, advice=None, code="", bad_for=HOUR
    )
    made = compose([alarm(7), alarm(8, level=Level.DEGRADED), good], PLACE)
    assert made.title.endswith("recovered, usage is up to date")
    assert "2 earlier alarms could not be delivered in time:" in made.body
    assert "- alarm 7, 2026-03-29 01:02 UTC: usage is failing" in made.body
    many = compose([alarm(n) for n in range(1, 40)], PLACE)
    assert "- and alarms 1 to 28" in many.body
    assert len(many.body.splitlines()) < 20


def test_a_message_says_what_was_held_back_and_that_there_is_no_more_room():
    body = compose([alarm(held_back=4, is_last=True)], PLACE).body
    assert "4 changes were held back" in body
    assert "This hour has no room for another alarm." in body


def test_a_message_names_few_of_many_findings():
    body = compose([alarm(also=[say("Also bad.")] * 5)], PLACE).body
    assert body.count("Also: Also bad.") == 3
    assert "And 2 more findings." in body


def test_demo_data_is_called_so():
    assert compose([alarm()], Origin("", "", is_demo=True)).title.startswith("Multica (demo data):")


# --- Silences -------------------------------------------------------------------------------------

STALE_QUIET = HeldBack(codes=frozenset({"latest_stale"}))


def test_while_everything_is_silenced_nothing_is_told_and_what_lasts_is_told_after():
    story = Story().see(CALM)
    for _look in range(12):
        story.see(FAILING, times=1, quiet=HeldBack(everything=True))
    assert story.told == []
    assert story.see(FAILING, times=1).kinds == [AlarmKind.BEGAN]


def test_what_came_and_went_while_everything_was_silenced_is_never_told():
    story = Story().see(CALM)
    for shape in (FAILING, FAILING, FAILING, FAILING, FAILING, FAILING, CALM):
        story.see(shape, times=1, quiet=HeldBack(everything=True))
    assert story.see(CALM, times=12).told == []


def test_an_acknowledged_finding_is_no_news_and_no_recovery_until_it_clears():
    story = Story().see(CALM).see(FAILING, times=8)
    for _look in range(12):
        story.see(FAILING, times=1, quiet=STALE_QUIET)
    assert story.kinds == [AlarmKind.BEGAN]
    assert story.see(CALM, times=8).kinds == [AlarmKind.BEGAN, AlarmKind.RECOVERED]


def test_another_finding_beside_an_acknowledged_one_is_told():
    story = Story().see(CALM)
    for shape in (*[FAILING] * 8, *[WORSE] * 8):
        story.see(shape, times=1, quiet=STALE_QUIET)
    assert story.kinds == [AlarmKind.BEGAN]
    assert story.told[0].since == NOW + 14 * STEP


def test_blindness_is_told_beside_an_acknowledged_finding():
    story = Story().see(CALM)
    for shape in (*[FAILING] * 8, *[UNKNOWN] * 8):
        story.see(shape, times=1, quiet=STALE_QUIET)
    assert story.kinds == [AlarmKind.BLIND]


def test_the_same_finding_at_another_level_is_news_unless_it_is_silenced():
    milder = VerdictShape(Level.DEGRADED, FAILING.codes)
    story = Story().see(CALM).see(milder, times=8)
    for _look in range(8):
        story.see(FAILING, times=1, quiet=STALE_QUIET)
    assert story.kinds == [AlarmKind.BEGAN]
    assert story.see(FAILING, times=1).kinds == [AlarmKind.BEGAN, AlarmKind.CHANGED]
