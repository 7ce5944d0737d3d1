"""Versions of Multica, and which of them tables belong to."""

import pytest

from executions.rollup.versions import (
    CHANGED_IN,
    NEWEST_KNOWN,
    Change,
    Marks,
    Version,
    parse_version,
    range_of,
)

# What leaves a mark in the catalogs, oldest first.
MARKED = (
    Change.HOURLY, Change.SCHEDULER, Change.COSTS, Change.TEARDOWN, Change.RUNTIMES, Change.LOCK,
    Change.INDEX,
)  # fmt: skip


def marks(*changes: Change, daily: bool = False, usage: bool = True) -> Marks:
    return Marks(usage, daily, frozenset(changes), frozenset(MARKED) - set(changes))


@pytest.mark.parametrize("text", ["v0.4.25", "0.4.25", "V0.4.25", " 0.4.25 "])
def test_a_version_is_read_with_and_without_its_v(text: str) -> None:
    assert parse_version(text) == Version(0, 4, 25)


@pytest.mark.parametrize(
    "text",
    ["", "v", "latest", "0.4", "0.4.25.1", "v0.4.x", "-1.0.0", "0.4.25-rc1", "٠.٤.٢٥", "9" * 500],
)
def test_anything_else_is_refused_and_the_sentence_names_versions(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"is no version of Multica.*v0\.3\.5, v0\.3\.17, "
    ) as refused:
        parse_version(text)
    assert len(str(refused.value)) < 400


def test_versions_sort_by_number_and_not_by_text() -> None:
    assert Version(0, 3, 5) < Version(0, 3, 17) < Version(0, 4, 9) < Version(0, 4, 10)
    assert str(NEWEST_KNOWN) == "v0.4.31"


def test_every_change_has_a_version_and_they_are_in_order() -> None:
    assert list(CHANGED_IN) == list(Change)
    assert list(CHANGED_IN.values()) == sorted(CHANGED_IN.values())


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (marks(daily=True), "older than v0.3.5"),
        (marks(Change.HOURLY, daily=True), "v0.3.5, whose upgrade stopped at migration 103"),
        (marks(Change.HOURLY), "v0.3.5 or newer, but older than v0.3.17"),
        (marks(*MARKED[:2]), "v0.3.17 or newer, but older than v0.4.10"),
        (marks(*MARKED[:5]), "v0.4.17 or newer, but older than v0.4.23"),
        (marks(*MARKED), "v0.4.25 or newer"),
    ],
)
def test_the_marks_tell_the_range(found: Marks, words: str) -> None:
    versions = range_of(found)
    assert versions is not None
    assert versions.in_words() == words
    assert versions.mixed == ()


def test_no_usage_belongs_to_no_version() -> None:
    assert range_of(marks(usage=False)) is None


def test_a_change_without_a_mark_is_neither_there_nor_missing() -> None:
    versions = range_of(marks(*MARKED[:2]))
    assert versions is not None
    assert versions.has(Change.SCHEDULER)
    assert not versions.has(Change.AUTOPILOT)
    assert versions.may_have(Change.AUTOPILOT)
    assert not versions.may_have(Change.COSTS)


def test_a_change_before_the_oldest_version_is_certainly_there() -> None:
    versions = range_of(marks(*MARKED))
    assert versions is not None
    assert versions.has(Change.AUTOPILOT)
    assert not versions.has(Change.IDS)
    assert versions.may_have(Change.IDS)


def test_a_newer_change_beside_a_missing_one_is_said() -> None:
    versions = range_of(marks(*MARKED[:3], *MARKED[4:]))
    assert versions is not None
    assert versions.mixed == (Change.TEARDOWN,)
    assert not versions.has(Change.TEARDOWN)
    assert not versions.may_have(Change.TEARDOWN)


def test_an_upgrade_that_stopped_does_not_have_the_hourly_rollup_yet() -> None:
    versions = range_of(marks(Change.HOURLY, daily=True))
    assert versions is not None
    assert not versions.has(Change.HOURLY)
    assert not versions.may_have(Change.HOURLY)


def test_what_nobody_can_tell_counts_for_nothing() -> None:
    found = Marks(
        True,
        False,
        frozenset({Change.HOURLY, Change.SCHEDULER}),
        frozenset({Change.COSTS}),
    )
    versions = range_of(found)
    assert versions is not None
    assert versions.in_words() == "v0.3.17 or newer, but older than v0.4.10"
