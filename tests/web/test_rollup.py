"""The rollup's health: watermark, lag and last run, each with what it means."""

from __future__ import annotations

import re

import pytest

from tests import scenarios

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def text(answer):
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())).strip()


def look(client):
    answer = client.get("/rollup/")
    assert answer.status_code == 200
    return text(answer)


def test_the_door_leads_to_the_rollup(viewer, owner):
    scenarios.healthy(owner)
    page = viewer.get("/").content.decode()
    doors = re.findall(r'<a class="door" href="([^"]+)"[^>]*>([^<]+)</a>', page)
    assert [name for _, name in doors] == ["Overview", "History", "Rollup", "Schedules", "Audit"]
    assert ("/rollup/", "Rollup") in doors
    assert 'href="/rollup/" aria-current="page"' in viewer.get("/rollup/").content.decode()


def test_watermark_lag_and_last_run_are_kept_apart(viewer, owner):
    scenarios.catching_up(owner)
    page = look(viewer)
    assert "in the hourly buckets" in page
    assert "40 d" in page
    assert "This says that something ran, and not how far it came" in page


def test_a_missing_state_row_is_said(viewer, owner):
    scenarios.stateless(owner)
    assert "no state row" in look(viewer)
