"""The plan strip: where each plan's square is, what it leads to, and how gaps are explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone
from django.utils.html import escape
from hypothesis import given
from hypothesis import strategies as st

from executions.health.ledger import LONG_WINDOW, Cell, PlanOutcome, lay
from executions.pages.history.tags import address
from executions.pages.overview.strip import HOUR, Captions, Kind, Square, Strip, lay_day, lay_week
from executions.pages.overview.tags import Addresses, leads_to
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import floor
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, plan_time

MINUTE = timedelta(minutes=1)


def day(changed=None, now=NOW, **others) -> Strip:
    return lay_day(lay(executions(changed, **others), now, ROLLUP), now, ROLLUP)


def squares(strip: Strip) -> list[Square]:
    return [square for row in strip.rows for square in row.squares]


def square_of(strip: Strip, age: int) -> Square:
    return next(one for one in squares(strip) if one.start <= plan_time(age) < one.end)


@given(st.integers(min_value=0, max_value=24 * 60))
def test_a_day_has_a_square_for_each_of_its_288_plans_in_the_row_of_its_clock_hour(minutes):
    now = NOW + minutes * MINUTE
    strip = day(now=now)
    assert sum(len(square.cells) for square in squares(strip)) == 288
    assert len(strip.rows) in {24, 25}
    for row in strip.rows:
        assert row.start == floor(row.start, HOUR)
        at = row.start + len(row.before) * CADENCE
        for square in row.squares:
            assert square.start == at
            at += square.span * CADENCE
        assert at + len(row.after) * CADENCE == row.start + HOUR


def test_a_square_stays_in_its_place_while_the_window_moves_on():
    before, after = day(), day(now=NOW + CADENCE)

    def place(strip: Strip, age: int) -> tuple[object, int]:
        for row in strip.rows:
            for place, square in enumerate(row.squares, len(row.before)):
                if square.start == plan_time(age):
                    return row.start, place
        raise AssertionError(f"no square for the plan of age {age}")

    assert [place(before, age) for age in range(280)] == [place(after, age) for age in range(280)]


def test_a_caption_has_the_time_of_the_viewers_zone():
    square = square_of(day({}), 3)
    assert Captions().of(square).startswith("00:40 UTC: kept")
    with timezone.override("Asia/Kathmandu"):
        assert Captions().of(square).startswith("06:25 UTC+5:45: kept")


def test_a_square_leads_to_its_execution():
    strip = day({3: {"attempt": 2}})
    square = square_of(strip, 3)
    assert square.execution is not None
    assert square.execution.plan_time == plan_time(3)
    assert square.look == "retried"
    assert ": kept after a retry, " in Captions().of(square)


@pytest.mark.parametrize(
    ("columns", "look"),
    [
        ({}, "kept"),
        ({"finished_at": plan_time(4) + 3 * CADENCE}, "late"),
        ({"status": "FAILED"}, "failed"),
        ({"status": "RUNNING", "stale_after": NOW + SECOND}, "running"),
        ({"status": "RUNNING", "stale_after": NOW - SECOND}, "stale"),
        (None, "missing"),
    ],
)
def test_each_kind_has_a_look_of_its_own(columns, look):
    assert square_of(day({4: columns}), 4).look == look


def test_a_plan_that_is_not_due_yet_leads_nowhere():
    square = square_of(day({0: None}, now=NEWEST + ROLLUP.schedule_delay + SECOND), 0)
    assert (square.look, square.execution, square.gap, square.has_rows) == (
        "ahead",
        None,
        None,
        False,
    )


def test_a_row_off_the_grid_makes_its_square_odd_and_leads_to_both_rows():
    stray = execution(4, plan_time=plan_time(4) + MINUTE)
    known = executions()
    known = type(known)(
        rows=tuple(sorted((*known.rows, stray), key=lambda row: row.plan_time, reverse=True)),
        since=known.since,
        first_plan=known.first_plan,
    )
    strip = lay_day(lay(known, NOW, ROLLUP), NOW, ROLLUP)
    square = square_of(strip, 4)
    assert (square.look, square.execution, square.has_rows) == ("odd", None, True)
    assert "1 off the grid" in Captions().of(square)
    assert Kind("odd", "off the grid", 1, square.key) in strip.legend


def test_the_legend_counts_every_plan_once():
    strip = day({1: None, 2: None, 5: {"status": "FAILED"}})
    newest = {age: int(plan_time(age).timestamp()) for age in (0, 1, 5)}
    assert strip.legend == [
        Kind("kept", "kept", 285, newest[0]),
        Kind("failed", "failed", 1, newest[5]),
        Kind("missing", "missing", 2, newest[1]),
    ]


def test_a_missing_plan_leads_to_the_explanation_of_its_gap():
    strip = day({3: None, 4: None, 9: None})
    near, far = strip.gaps
    assert (near.count, far.count) == (2, 1)
    assert square_of(strip, 3).gap is square_of(strip, 4).gap is near
    assert square_of(strip, 9).gap is far
    assert near.anchor == f"gap-{plan_time(4):%Y%m%dT%H%MZ}"
    assert near.around == (plan_time(5), plan_time(2) + CADENCE)


def test_an_hour_leads_to_the_gap_inside_it_and_not_to_the_one_that_begins_at_its_end():
    week = lay_week(lay(executions(dict.fromkeys((11, 14))), NOW, ROLLUP, LONG_WINDOW), NOW, ROLLUP)
    newer, older = week.gaps
    square = square_of(week, 14)
    assert square.end == newer.first
    assert (square.gap, square_of(week, 11).gap) == (older, newer)


def test_a_gap_names_its_one_plan_or_its_first_and_its_last():
    alone, several = (str(gap.title) for gap in day(dict.fromkeys((2, 5, 6, 7))).gaps)
    assert alone == f"Nobody began the plan of {plan_time(2):%H:%M} UTC."
    assert several == (
        f"Nobody began the 3 plans from {plan_time(7):%H:%M} UTC to {plan_time(5):%H:%M} UTC."
    )


def test_a_gap_after_a_run_that_goes_on_is_explained_by_that_run():
    running = {"status": "RUNNING", "stale_after": NOW + SECOND}
    for after in ({3: {}}, dict.fromkeys(range(4))):  # a later plan was begun, or none
        story = str(day({5: running, 4: None} | after).gaps[0].story)
        assert f"The run of {plan_time(5):%H:%M} UTC was running until {NOW:%H:%M} UTC" in story


def test_a_gap_after_a_long_run_is_explained_by_that_run():
    strip = day(
        {4: None, 3: None, 5: {"finished_at": plan_time(4) + ROLLUP.schedule_delay + SECOND}}
    )
    assert "was running until" in str(strip.gaps[0].story)
    short = day({4: None, 3: None, 5: {"finished_at": plan_time(4) + ROLLUP.schedule_delay}})
    assert "No runner ticked then" in str(short.gaps[0].story)


def test_a_gap_says_that_the_next_run_carried_the_watermark_over_it():
    mark = plan_time(3)
    strip = day({4: None, 3: {"watermark_before": mark - CADENCE, "watermark_after": mark}})
    story = str(strip.gaps[0].story)
    assert "so no usage is lost" in story
    assert f"{mark:%H:%M} UTC" in story


def test_a_gap_before_a_failure_promises_nothing():
    story = str(day({4: None, 3: {"status": "FAILED"}}).gaps[0].story)
    assert "did not succeed either" in story
    assert "lost" not in story


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (timedelta(), "succeeded and moved nothing: the watermark stayed at 00:17 UTC."),
        (CADENCE, "took the watermark to 00:22 UTC only, which lies before the end of the gap."),
        (
            3 * CADENCE + MINUTE,
            "took the watermark to 00:33 UTC only, which lies before the end of the gap.",
        ),
        (4 * CADENCE, "took the watermark on to 00:37 UTC, so no usage is lost."),
    ],
)
def test_a_gap_promises_no_usage_that_the_next_run_did_not_reach(after, said):
    before = NOW - 45 * MINUTE
    marks = {"watermark_before": before, "watermark_after": before + after}
    story = str(day(dict.fromkeys((5, 6, 7)) | {4: marks}).gaps[0].story)
    assert story.endswith(said)


@pytest.mark.parametrize(
    ("lease", "said"),
    [(SECOND, "is running now"), (-SECOND, "began but stopped reporting")],
)
def test_a_gap_before_a_run_that_has_not_ended_says_how_that_is(lease, said):
    running = {"status": "RUNNING", "stale_after": NOW + lease}
    story = str(day({1: None, 0: running}).gaps[0].story)
    assert said in story
    assert "did not succeed" not in story
    assert "lost" not in story


def test_silence_up_to_now_is_a_gap_of_its_own_which_nobody_has_ended():
    strip = day({0: None, 1: None, 2: None, 7: None})
    silence, older = strip.gaps
    assert (silence.count, silence.after) == (3, None)
    assert "usage stands still" in str(silence.story)
    assert older.after is not None
    assert square_of(strip, 1).gap is silence


def test_an_open_gap_is_one_piece_in_each_row_and_a_closed_one_a_square_for_each_plan():
    strip = day(dict.fromkeys((*range(15), 30, 31)))
    pieces = [square for square in squares(strip) if square.is_open]
    assert [(piece.start, piece.span) for piece in pieces] == [
        (plan_time(14), 3),
        (plan_time(11), 12),
    ]
    assert "15 plans" in Captions().of(pieces[-1])
    assert [square_of(strip, age).span for age in (30, 31)] == [1, 1]
    assert not square_of(strip, 30).is_open
    for row in strip.rows:
        wide = sum(square.span for square in row.squares)
        assert len(row.before) + wide + len(row.after) == 12
    (missing,) = (kind for kind in strip.legend if kind.look == "missing")
    assert missing.is_open


def test_a_piece_of_an_open_gap_is_never_wider_than_the_line_of_a_phone():
    known = executions(dict.fromkeys(range(288)), count=7 * 288)
    week = lay_week(lay(known, NOW, ROLLUP, LONG_WINDOW), NOW, ROLLUP)
    pieces = [square for square in squares(week) if square.is_open]
    assert max(piece.span for piece in pieces) == 12
    assert sum(piece.span for piece in pieces) == 24
    for row in week.rows:
        assert len(row.before) + sum(one.span for one in row.squares) + len(row.after) == 24


@pytest.mark.parametrize("lay_out", [lay_day, lay_week])
def test_what_was_not_looked_at_is_not_called_unexpected(lay_out):
    known = executions(count=60, since=plan_time(59), cut_short=True)
    strip = lay_out(lay(known, NOW, ROLLUP), NOW, ROLLUP)
    assert strip.ledger.looked_from == plan_time(59)
    assert Captions().of(square_of(strip, 100)).endswith(": not looked at")
    whole = lay_out(lay(executions(count=60, first_plan=plan_time(59)), NOW, ROLLUP), NOW, ROLLUP)
    assert "nothing expected" in Captions().of(square_of(whole, 100))


def test_every_missing_square_has_an_explanation():
    strip = day(dict.fromkeys((0, 1, 4, 20, 21, 22, 287)))
    missing = [square for square in squares(strip) if square.kind is PlanOutcome.MISSING]
    assert missing
    assert all(square.gap in strip.gaps for square in missing)


def test_a_week_shows_the_worst_of_each_hour_in_the_row_of_its_day():
    known = executions({8: {"status": "FAILED"}, 9: {"attempt": 2}}, count=7 * 288)
    strip = lay_week(lay(known, NOW, ROLLUP, timedelta(days=7)), NOW, ROLLUP)
    assert strip.by_hour
    assert len(strip.rows) == 8
    assert sum(len(square.cells) for square in squares(strip)) == 7 * 288
    assert square_of(strip, 8).look == "failed"
    assert "1 failed" in Captions().of(square_of(strip, 8))
    for row in strip.rows:
        assert len(row.before) + len(row.squares) + len(row.after) == 24


def test_an_hour_leads_to_its_stretch_of_history_as_the_page_itself_writes_it():
    week = lay_week(lay(executions(), NOW, ROLLUP, LONG_WINDOW), NOW, ROLLUP)
    addresses = Addresses(ROLLUP.name)
    stretches = [square for square in squares(week) if square.has_rows and len(square.cells) > 1]
    assert stretches
    for square in stretches:
        there = address("plans", job=ROLLUP.name, since=square.start, until=square.end)
        assert leads_to(square, addresses) == escape(there)


def test_an_hour_of_which_the_week_has_one_plan_leads_to_its_stretch_with_and_without_its_row():
    hour = floor(NEWEST, HOUR)
    last = hour + HOUR - CADENCE
    cell = Cell(last, PlanOutcome.KEPT, replace(execution(0), plan_time=last))
    read = Square((cell,), {PlanOutcome.KEPT: 1}, PlanOutcome.KEPT, hour, hour + HOUR)
    left_out = read._replace(cells=(cell._replace(execution=None),))
    addresses = Addresses(ROLLUP.name)
    assert leads_to(read, addresses) == addresses.of_stretch(hour, hour + HOUR)
    assert leads_to(left_out, addresses) == leads_to(read, addresses)
    assert Captions().of(left_out) == Captions().of(read)
