"""The page of each finding, and the links that lead to it."""

from __future__ import annotations

import re

import pytest
from django.urls import reverse

from executions.health import snapshots
from executions.health.findings import FindingCode
from tests import scenarios

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def page(viewer, code):
    return viewer.get(reverse("explain", args=[code]))


@pytest.mark.parametrize("code", FindingCode)
def test_every_code_has_a_page(viewer, code):
    answer = page(viewer, code)
    assert answer.status_code == 200
    html = answer.content.decode()
    assert html.count("<h1") == 1
    copied = re.findall(r'data-copy="([^"]+)"', html)
    assert copied
    assert len(set(copied)) == len(copied)
    for target in copied:
        assert f'<pre id="{target}"' in html


def test_the_list_leads_to_every_page(viewer):
    html = viewer.get(reverse("explanations")).content.decode()
    for code in FindingCode:
        assert f'href="{reverse("explain", args=[code])}"' in html


def test_an_unknown_code_is_a_page_in_the_frame_with_a_sentence(viewer):
    answer = page(viewer, "lock_<b>leak")
    html = answer.content.decode()
    assert answer.status_code == 404
    assert "No finding has this code:" in html
    assert "lock_&lt;b&gt;leak" in html
    assert 'class="page-header"' in html


@pytest.mark.parametrize("address", ["/explain/", "/explain/lock_leaked/"])
def test_an_address_with_filters_is_refused_by_name(viewer, address):
    answer = viewer.get(address, {"cause": "1"})
    assert answer.status_code == 400
    assert "cause" in answer.content.decode()


def test_a_page_needs_the_role_of_a_viewer(client):
    assert page(client, "lock_leaked").status_code == 302


def test_a_page_says_that_its_finding_is_present_now(viewer, owner):
    scenarios.stateless(owner)
    viewer.get("/")
    html = page(viewer, "state_row_missing").content.decode()
    assert "Present now." in html
    assert "the rollup has lost its place" in html
    assert "Present now." not in page(viewer, "plan_gap").content.decode()


def test_a_page_without_a_recent_look_claims_nothing_of_the_present(viewer):
    snapshots.forget()
    html = page(viewer, "plan_gap").content.decode()
    assert "did not find this" not in html
    assert "Nobody has looked within the last minute" in html


@pytest.mark.parametrize("world", [scenarios.stopped, scenarios.exhausted, scenarios.other_writer])
def test_every_finding_of_the_overview_leads_to_its_page(viewer, owner, world):
    world(owner)
    html = viewer.get("/").content.decode()
    linked = set(re.findall(r'class="finding-explained" href="/explain/(\w+)/"', html))
    shown = viewer.get("/").context
    assert linked
    assert linked == {finding.code for finding in unfolded(shown["overview"].verdict.findings)}


def unfolded(findings):
    for finding in findings:
        yield finding
        yield from unfolded(finding.explains)


def test_the_page_schedules_leads_to_the_finding_of_another_writer(viewer, owner):
    scenarios.other_writer(owner)
    assert 'href="/explain/other_writer/"' in viewer.get("/schedules/").content.decode()
