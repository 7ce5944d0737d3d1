"""What a page is: its heading, its tab and its breadcrumbs say the same."""

from __future__ import annotations

import re
from html import unescape

import pytest

from tests.factories import BACKEND, ExecutionFactory

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

TABS = [
    "/executions/",
    "/runners/",
    "/errors/",
    "/jobs/",
    "/verdicts/",
    "/rollup/",
    "/rollup/zero/",
    "/rollup/drift/",
    "/rollup/backfill/",
    "/rollup/upgrade/",
]


def text(html):
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html))).strip()


def heading(html):
    (found,) = re.findall(r"<h1.*?</h1>", html, re.DOTALL)
    return text(found)


@pytest.mark.parametrize("path", TABS)
def test_the_heading_is_the_name_of_the_tab(viewer, owner, now, path):
    ExecutionFactory(connection=owner, plan_time=now)
    html = viewer.get(path).content.decode()
    (tab,) = re.findall(r'<a class="tab"[^>]*aria-current="page"[^>]*>(.*?)</a>', html)
    assert heading(html) == text(tab)


@pytest.mark.parametrize("path", TABS)
def test_the_door_of_a_tab_is_marked_too(viewer, owner, now, path):
    ExecutionFactory(connection=owner, plan_time=now)
    html = viewer.get(path).content.decode()
    (door,) = re.findall(r'<a class="door"[^>]*aria-current="page"[^>]*>(.*?)</a>', html)
    assert door == ("Rollup" if path.startswith("/rollup/") else "History")


def test_an_execution_says_where_it_is_and_leads_back_step_by_step(viewer, owner, now):
    made = ExecutionFactory(
        connection=owner, plan_time=now, job_name="other", scope_kind="project", scope_id="7"
    )
    html = viewer.get(f"/executions/{made['id']}/").content.decode()
    (crumbs,) = re.findall(r'<nav class="crumbs" aria-label=.*?</nav>', html, re.DOTALL)
    assert re.findall(r'href="([^"]+)"', crumbs) == [
        "/executions/",
        "/executions/?job=other",
        "/executions/?job=other&amp;scope=project%2F7",
    ]
    assert re.search(r'<li aria-current="page">.*<time', crumbs)
    assert heading(html) == f"Plan of {now:%Y-%m-%d %H:%M} UTC"


def test_what_people_copy_from_an_execution_has_a_button(viewer, owner, now):
    made = ExecutionFactory(connection=owner, plan_time=now, exhausted=True, runner_id=BACKEND)
    html = viewer.get(f"/executions/{made['id']}/").content.decode()
    copied = {
        text(re.search(rf'id="{key}"[^>]*>(.*?)</', html, re.DOTALL).group(1))
        for key in re.findall(r'data-copy="([^"]+)"', html)
    }
    assert {str(made["id"]), str(made["lease_token"]), BACKEND, made["error_msg"]} <= copied
