"""The overview's times, in the zone that the viewer chose."""

from __future__ import annotations

import zoneinfo
from datetime import timedelta

import pytest
from django.utils import timezone

from executions.accounts import middleware
from tests import scenarios
from tests.overviews import page

pytestmark = [
    pytest.mark.django_db(databases=["default", "multica"], transaction=True),
    pytest.mark.usefixtures("one_snapshot"),
]


def test_times_are_in_the_zone_that_the_viewer_chose(viewer, owner):
    world = scenarios.healthy(owner)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = "Asia%2FKolkata"
    html = page(viewer)
    newest = world.plan_time(0) + timedelta(hours=5, minutes=30)
    assert f"{newest:%H:%M} UTC+5:30" in html
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.fixture
def machine_without_zones():
    """A machine whose system has no zones of its own, as slim images and Windows are."""
    zoneinfo.reset_tzpath(())
    zoneinfo.ZoneInfo.clear_cache()
    middleware._known_zones.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()
    middleware._known_zones.cache_clear()


@pytest.mark.usefixtures("machine_without_zones")
@pytest.mark.parametrize("name", ["Asia/Calcutta", "Asia/Kolkata"])
def test_a_browser_may_call_a_zone_by_its_old_name(viewer, owner, name):
    scenarios.healthy(owner)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = name.replace("/", "%2F")
    assert "UTC+5:30" in page(viewer)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("utc", "Asia%2FKolkata"),
        ("local", "Nowhere%2FAtAll"),
        ("local", "..%2F..%2Fetc%2Fpasswd"),
        ("local", "%00" * 400),
        ("local", ""),
    ],
)
def test_a_zone_that_was_not_chosen_or_is_none_leaves_utc(viewer, owner, choice, name):
    scenarios.healthy(owner)
    viewer.cookies["time_zone"] = choice
    viewer.cookies["time_zone_name"] = name
    html = page(viewer)
    assert "UTC+" not in html


def test_an_error_does_not_leave_its_viewers_zone_to_the_next(viewer, owner, monkeypatch):
    def fail(*_arguments, **_how):
        raise RuntimeError("on purpose")

    monkeypatch.setattr("executions.pages.overview.view.read_overview", fail)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = "Asia/Kolkata"
    with pytest.raises(RuntimeError):
        viewer.get("/")
    assert timezone.get_current_timezone_name() == "UTC"
