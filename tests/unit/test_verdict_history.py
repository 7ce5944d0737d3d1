"""A look adds changes and blind stretches to the history, and sentences are kept untranslated."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import translation
from django.utils.translation import gettext_lazy

from executions.health.assessment import assess
from executions.health.history.spans import Between, seen_parts
from executions.health.history.step import (
    UNSEEN,
    Before,
    Blindness,
    Stretch,
    VerdictLook,
    VerdictStep,
    blindness_of,
    marks_of,
    step,
    unseen,
)
from executions.health.history.stored import (
    finding_from_json,
    finding_to_json,
    text_from_json,
    text_to_json,
)
from executions.health.verdict import Level
from executions.text.problem import Problem
from executions.text.sentences import say, together
from tests.pictures import NOW, SECOND, executions, facts
from tests.unit.test_findings import CASES

NOTHING = timedelta()
SOON = NOW + 15 * SECOND
LATER = NOW + timedelta(hours=1)
LAST = Before(NOW, timedelta(), Level.HEALTHY, [], None)
AWAY = Problem("The database is away.", "Start it.", code="no_server")
UNCHANGED = VerdictStep(changed=False, stretches=(), after_blindness=False)


def look(at=SOON, level=Level.HEALTHY, marks=(), blind=None) -> VerdictLook:
    return VerdictLook(at, None if blind else at, level, list(marks), blind)


def blind(reason=Blindness.DATABASE_AWAY, at=SOON) -> VerdictLook:
    return look(at, Level.UNKNOWN, blind=reason)


# --- Changes ------------------------------------------------------------------------------------


def test_the_first_look_is_a_change():
    assert step(None, look()) == replace(UNCHANGED, changed=True)


def test_a_look_that_sees_the_same_adds_nothing():
    assert step(LAST, look()) == UNCHANGED


def test_another_level_is_a_change():
    assert step(LAST, look(level=Level.FAILING)).changed


def test_another_set_of_findings_is_a_change_under_the_same_level():
    assert step(LAST, look(marks=["table_growth info"])).changed


def test_the_set_has_the_severity_and_what_a_finding_explains():
    silent = assess(facts(**CASES[next(iter(CASES))])).verdict
    assert marks_of(silent) == sorted(marks_of(silent))
    lagging = assess(facts(executions=executions(dict.fromkeys(range(20))))).verdict
    assert marks_of(lagging) == ["latest_stale critical"]


# --- Blind stretches ----------------------------------------------------------------------------


def test_a_restart_is_no_blind_stretch():
    assert unseen(LAST, NOW + UNSEEN, NOTHING) == ()


def test_an_hour_without_a_look_is_one_until_a_look_has_seen():
    (begun,) = unseen(LAST, LATER, NOTHING)
    assert begun == Stretch(Blindness.NOT_RUNNING, NOW, None)
    stopped = replace(LAST, blind=begun.reason)
    assert unseen(stopped, LATER, NOTHING) == ()
    ended = Stretch(Blindness.NOT_RUNNING, LATER, LATER, was_open=True)
    assert step(stopped, look(LATER)) == VerdictStep(False, (ended,), after_blindness=True)


def test_our_own_tables_were_away_if_this_process_looked_in_vain_all_the_while():
    (begun,) = unseen(LAST, LATER, timedelta(minutes=59))
    assert begun.reason is Blindness.OWN_TABLES_AWAY
    (begun,) = unseen(LAST, LATER, timedelta(minutes=5))
    assert begun.reason is Blindness.NOT_RUNNING


def test_a_database_that_goes_away_opens_a_stretch_from_the_last_look_that_saw():
    opened = (Stretch(Blindness.DATABASE_AWAY, NOW, None),)
    assert step(LAST, blind()) == VerdictStep(True, opened, after_blindness=False)


def test_it_lasts_while_the_reason_stays_and_ends_with_the_first_look_that_sees():
    away = Before(NOW, timedelta(), Level.UNKNOWN, [], Blindness.DATABASE_AWAY)
    assert step(away, blind()) == UNCHANGED
    ended = (Stretch(Blindness.DATABASE_AWAY, SOON, SOON, was_open=True),)
    assert step(away, look()) == VerdictStep(True, ended, after_blindness=True)


def test_another_reason_is_another_stretch_right_after_it():
    away = Before(NOW, timedelta(), Level.UNKNOWN, [], Blindness.DATABASE_AWAY)
    assert step(away, blind(Blindness.RIGHTS_MISSING)).stretches == (
        Stretch(Blindness.DATABASE_AWAY, SOON, SOON, was_open=True),
        Stretch(Blindness.RIGHTS_MISSING, SOON, None),
    )


def test_stopped_while_blind_the_stretches_lie_side_by_side():
    away = Before(NOW, timedelta(), Level.UNKNOWN, [], Blindness.DATABASE_AWAY)
    assert unseen(away, LATER, NOTHING) == (
        Stretch(Blindness.DATABASE_AWAY, NOW, NOW, was_open=True),
        Stretch(Blindness.NOT_RUNNING, NOW, None),
    )
    stopped = replace(away, blind=Blindness.NOT_RUNNING)
    assert step(stopped, blind(at=LATER)).stretches == (
        Stretch(Blindness.NOT_RUNNING, LATER, LATER, was_open=True),
        Stretch(Blindness.DATABASE_AWAY, LATER, None),
    )


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({}, None),
        ({"queue": AWAY}, None),
        ({"ground": AWAY}, Blindness.DATABASE_AWAY),
        ({"state": Problem("No.", "Grant it.", code="rights")}, Blindness.RIGHTS_MISSING),
        ({"state": Problem("It has no watermark.", "Set it.")}, Blindness.CANNOT_TELL),
    ],
)
def test_only_what_hides_a_basic_makes_us_blind(known, reason):
    assert blindness_of(facts(**known)) is reason


# --- Kept sentences -----------------------------------------------------------------------------


@pytest.mark.parametrize("code", list(CASES))
def test_every_finding_reads_the_same_after_it_was_kept(code):
    for finding in assess(facts(**CASES[code])).verdict.findings:
        kept = finding_from_json(json.loads(json.dumps(finding_to_json(finding))))
        assert (kept.code, kept.severity) == (finding.code, finding.severity)
        for now, then in ((finding.summary, kept.summary), (finding.advice, kept.advice)):
            assert str(then) == str(now)
            assert then.html() == now.html()
        assert [one.code for one in kept.explains] == [one.code for one in finding.explains]


def test_what_is_kept_is_the_source_text_whatever_language_was_spoken(settings, monkeypatch):
    settings.USE_I18N = True
    monkeypatch.setattr(translation, "_trans", type(translation._trans)())
    text = together(say(gettext_lazy("Monday")), say("%(day)s", day=gettext_lazy("Friday")))
    with translation.override("de"):
        assert str(text) == "Montag Freitag"
        kept = json.loads(json.dumps(text_to_json(text)))
        assert str(text_from_json(kept)) == "Montag Freitag"
    with translation.override("en"):
        assert str(text_from_json(kept)) == "Monday Friday"


# --- Spans --------------------------------------------------------------------------------------

HOURS = [NOW + timedelta(hours=n) for n in range(6)]


@pytest.mark.parametrize(
    ("blind", "seen"),
    [
        ([], [(0, 4)]),
        ([(1, 2)], [(0, 1), (2, 4)]),
        ([(0, 2)], [(2, 4)]),
        ([(3, 5)], [(0, 3)]),
        ([(4, 5)], [(0, 4)]),
        ([(0, 4)], []),
        ([(3, None)], [(0, 3)]),
        ([(2, 3), (1, 2)], [(0, 1), (3, 4)]),
    ],
)
def test_a_blind_stretch_is_cut_out_of_what_was_seen(blind, seen):
    stretches = [Between(HOURS[a], None if b is None else HOURS[b]) for a, b in blind]
    expected = [Between(HOURS[a], HOURS[b]) for a, b in seen]
    assert seen_parts(Between(HOURS[0], HOURS[4]), stretches) == expected


def test_what_lasts_lasts_after_a_blind_stretch_too():
    parts = seen_parts(Between(HOURS[0], None), [Between(HOURS[1], HOURS[2])])
    assert parts == [Between(HOURS[0], HOURS[1]), Between(HOURS[2], None)]
