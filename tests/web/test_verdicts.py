"""The page Verdicts shows what the verdict was, and from when to when."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from executions.health.assessment import assess
from executions.health.history.stored import finding_to_json, text_to_json
from executions.models import BlindStretch, VerdictChange
from executions.pages.history.paging import PAGE
from tests.pictures import executions, facts

pytestmark = pytest.mark.django_db(databases=["default", "multica"])

HOUR = timedelta(hours=1)
START = datetime(2026, 11, 20, 8, tzinfo=UTC)
SILENT = {"executions": executions(dict.fromkeys(range(20)))}


def change(at, known=None, **columns):
    verdict = assess(facts(**known or {})).verdict
    return VerdictChange.objects.create(
        at=at,
        clock=at,
        level=columns.pop("level", verdict.level),
        summary=text_to_json(verdict.summary),
        findings=[finding_to_json(one) for one in verdict.findings],
        **columns,
    )


def blind(since, until):
    return BlindStretch.objects.create(
        reason="not_running", since=since, until=until, clock_since=since, clock_until=until
    )


def text(viewer, query=""):
    answer = viewer.get(f"/verdicts/{query}")
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_it_says_from_when_to_when_how_long_and_what(viewer):
    change(START)
    change(START + HOUR, SILENT)
    change(START + 3 * HOUR)
    page = text(viewer)
    assert "for 2 h" in page
    assert "Failing" in page
    assert "The latest successful run finished" in page
    assert page.index("until now") < page.index("Failing") < page.index("for 1 h")


def test_the_ages_of_a_verdict_that_is_over_are_those_of_its_time(viewer):
    """In the browser only the ages of what is still so go on."""
    change(START, SILENT)
    assert "finished <time" in text(viewer)
    change(START + HOUR)
    page = text(viewer)
    assert re.search(r"The latest successful run finished 1 h \d+ min ago\.", page)


def test_a_blind_hour_cuts_a_verdict_in_two_and_is_shown_as_such(viewer):
    change(START)
    blind(START + 2 * HOUR, START + 3 * HOUR)
    page = text(viewer)
    assert page.count("Healthy</h3>") == 2
    assert "Nobody could look" in page
    assert "Multica Admin was not running." in page


def test_before_the_first_look_it_says_so(viewer):
    assert "Nobody has looked yet" in text(viewer)
    assert "The verdict did not change in this time." in text(viewer, "?since=2026-11-20")


def test_older_changes_are_on_further_pages(viewer):
    for nth in range(PAGE + 1):
        change(START + nth * HOUR, SILENT if nth % 2 else None)
    first = viewer.get("/verdicts/").context["verdicts"]
    assert len(first.spells) == PAGE
    assert first.spells[0].until is None
    older = viewer.get(f"/verdicts/?cursor={first.older}").context["verdicts"]
    assert [one.since for one in older.spells] == [START]
    assert older.spells[0].until == START + HOUR
