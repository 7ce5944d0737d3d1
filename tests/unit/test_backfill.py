"""Which months a backfill walks, and how durations are written."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta, timezone

import pytest

from executions.rollup.backfill import Extent, Partial, slices
from executions.text.durations import parse_duration

NOW = datetime(2026, 3, 29, 1, 2, tzinfo=UTC)
DECEMBER = datetime(2025, 12, 31, 23, 30, tzinfo=UTC)


def extent(oldest=DECEMBER, newest=NOW - timedelta(hours=1)):
    return Extent(NOW, oldest, newest, None)


def test_months_of_utc_cover_everything_without_a_gap_or_an_overlap():
    months = slices(extent())
    assert [f"{one.since:%Y-%m-%d}" for one in months] == [
        "2025-12-01", "2026-01-01", "2026-02-01", "2026-03-01",
    ]  # fmt: skip
    assert [one.until for one in months[:-1]] == [one.since for one in months[1:]]
    assert months[-1].until == NOW


def test_a_month_is_utcs_whatever_the_zone_of_the_answer():
    tokyo = timezone(timedelta(hours=9))
    assert slices(extent(oldest=DECEMBER.astimezone(tokyo)))[0].since.month == 12


def test_usage_dated_into_the_future_is_summed_too():
    newest = NOW + timedelta(days=40)
    assert newest < slices(extent(newest=newest))[-1].until


def test_without_usage_there_is_nothing_to_walk():
    assert slices(extent(oldest=None, newest=None)) == []


@pytest.mark.parametrize(("months_back", "first"), [(3, 12), (4, 12), (9_999, 12)])
def test_going_back_far_enough_leaves_nothing_out(months_back, first):
    assert slices(extent(), months_back)[0].since.month == first


def test_leaving_older_usage_out_must_be_meant():
    with pytest.raises(Partial) as refusal:
        slices(extent(), 1)
    assert (refusal.value.oldest, refusal.value.since.month) == (DECEMBER, 2)
    assert [one.since.month for one in slices(extent(), 1, partial=True)] == [2, 3]
    assert [one.since.month for one in slices(extent(), 0, partial=True)] == [3]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("0s", 0), ("2s", 2), ("500ms", 0.5), ("1m30s", 90), ("2h", 7200), ("1.5s", 1.5)],
)
def test_durations_as_people_write_them(text, seconds):
    assert parse_duration(text).total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "2", "s", "2 s", "-2s", "2s!", "x2s", "1e3s", "25h", "1d"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ArgumentTypeError, match=r"duration|longer"):
        parse_duration(text)
