"""Every page in a real browser, looked at once: usable by everybody, in the terms of WCAG 2.2.

One look measures everything that a machine can decide of a page that just stands there; each test
reads one criterion of it. `test_wcag.py` has the criteria that need somebody who does something.
"""

from __future__ import annotations

import re
import time

import pytest
from django.contrib.auth.models import User

from executions.accounts.sessions import SessionStore
from executions.models import AccountSession
from frontend.made import MADE, WHOLE_SHEET
from frontend.reduce import classes_of
from tests import scenarios
from tests.browser.conftest import CODE, MESSAGE, NASTY
from tests.browser.measuring import (
    BEST_PRACTICE,
    WIDTHS,
    ask,
    forget_refusals,
    looked_at,
    ready,
    resize,
)

# What axe's rules and our own measures decide on every page.
CRITERIA = {
    "1.1.1": "non-text content",
    "1.3.1": "info and relationships",
    "1.3.4": "orientation",
    "1.3.5": "identify input purpose",
    "1.4.1": "use of color",
    "1.4.2": "audio control",
    "1.4.3": "contrast (minimum)",
    "1.4.4": "resize text",
    "1.4.10": "reflow",
    "1.4.11": "non-text contrast",
    "1.4.12": "text spacing",
    "2.1.1": "keyboard",
    "2.1.3": "keyboard (no exception)",
    "2.2.1": "timing adjustable",
    "2.2.2": "pause, stop, hide",
    "2.4.1": "bypass blocks",
    "2.4.2": "page titled",
    "2.4.3": "focus order",
    "2.4.4": "link purpose (in context)",
    "2.4.7": "focus visible",
    "2.4.11": "focus not obscured (minimum)",
    "2.5.3": "label in name",
    "2.5.8": "target size (minimum)",
    "3.1.1": "language of page",
    "3.1.2": "language of parts",
    "3.2.3": "consistent navigation",
    "3.3.2": "labels or instructions",
    "4.1.2": "name, role, value",
    BEST_PRACTICE: "axe's best practices",
}
# Are no criteria, but measured in the same look.
STATUS = "status of the answer"
ALIKE = "told apart by a refresh"
UNSTYLED = "classes that the reduced style sheet lost"
CALM = "3.2.5"
NOTHING_LIVE = "nothing is live"

CLASSES = """() => [...new Set([...document.querySelectorAll("[class]")]
  .flatMap((one) => [...one.classList]))]"""
# Makes the live part render everything again, and returns the elements that moved.
REFRESH = """async () => {
  const part = document.querySelector("main [data-live]");
  if (!part) return "nothing is live";
  const near = [...part.querySelectorAll("a[href], summary, button")]
    .filter((one) => one.checkVisibility() && one.tabIndex >= 0);
  const focused = near[Math.floor(near.length / 2)] || document.querySelector("header a");
  focused.focus();
  getSelection().selectAllChildren(document.querySelector("h1"));
  const before = focused.getBoundingClientRect().top;
  const merged = new Promise((then) => part.addEventListener("live:merged", then, { once: true }));
  part.dataset.version = "";
  part.dataset.liveSeconds = 1;
  document.dispatchEvent(new Event("visibilitychange"));
  await merged;
  const faults = [];
  if (document.activeElement !== focused) faults.push(`focus: ${focused.outerHTML.slice(0, 160)}`);
  const moved = focused.getBoundingClientRect().top - before;
  if (Math.abs(moved) >= 2) faults.push(`scroll: ${moved} pixels`);
  if (!getSelection().toString()) faults.push("selection");
  return faults.join(", ");
}"""

_looked: dict[str, list[str]] = {}


@pytest.fixture
def faults(request: pytest.FixtureRequest) -> dict[str, list[str]]:
    """Every page's faults by criterion. Only the first test that asks looks at the pages."""
    if not _looked:
        page, pages = request.getfixturevalue("page"), request.getfixturevalue("pages")
        _looked.update(look(page, pages, request.getfixturevalue("console")))
    return _looked


def look(page, pages, console):
    found, titles, doors = {}, {}, {}
    lost = classes_of(WHOLE_SHEET.read_text("utf-8"))
    lost -= classes_of(next(iter(MADE)).read_text("utf-8"))
    for path in pages:
        status = page.goto(path).status
        if status != (400 if "WRONG" in path else 200):
            found.setdefault(STATUS, []).append(f"{path}: {status}")
            continue  # it is not the page
        if links := page.locator("header a").all_inner_texts():  # a page of one card has none
            doors[path] = links
        titles.setdefault(page.title().split(" · Multica")[0], set()).add(path.split("?")[0])
        for criterion, said in looked_at(page):
            found.setdefault(criterion, []).append(f"{path} {said}")
        for one in ask(page, "alike"):
            found.setdefault(ALIKE, []).append(f"{path}: {one}")
        for one in lost.intersection(page.evaluate(CLASSES)):
            found.setdefault(UNSTYLED, []).append(f"{path}: {one}")
        resize(page, 390)
        if said := page.evaluate(REFRESH):
            found.setdefault(CALM, []).append(f"{path}: {said}")
    found.setdefault("2.4.2", []).extend(
        f"{title!r} is the title of {paths}" for title, paths in titles.items() if len(paths) > 1
    )
    usual = next(iter(doors.values()), [])
    found.setdefault("3.2.3", []).extend(path for path, one in doors.items() if one != usual)
    forget_refusals(console)
    return found


@pytest.mark.parametrize("criterion", CRITERIA, ids=lambda one: f"{one} {CRITERIA[one]}")
def test_every_page_meets_the_criterion(faults, criterion):
    assert "\n".join(faults.get(criterion, [])) == ""


def test_every_fault_that_a_look_can_find_has_its_test(faults):
    assert set(faults) <= {*CRITERIA, STATUS, ALIKE, UNSTYLED, CALM}


def test_every_page_is_answered(faults):
    assert faults.get(STATUS, []) == []


def test_every_class_on_a_page_has_its_rules_in_the_reduced_style_sheet(faults):
    assert faults.get(UNSTYLED, []) == [], "run bin/vendor and commit what it writes"


def test_3_2_5_a_refresh_of_any_page_moves_neither_focus_nor_selection_nor_scroll(faults):
    nothing_live = {one for one in faults[CALM] if one.endswith(NOTHING_LIVE)}
    assert set(faults[CALM]) == nothing_live
    still = {one.removesuffix(f": {NOTHING_LIVE}") for one in nothing_live}
    assert {"/", "/executions/", "/runners/", "/errors/", "/rollup/"}.isdisjoint(still)


def test_a_refresh_can_tell_apart_all_that_a_reader_may_have_touched(faults):
    assert faults.get(ALIKE, []) == []


@pytest.mark.parametrize("columns", [{"exhausted": True}, {"failed": True}], ids=str)
def test_no_text_of_a_failure_widens_the_overview(page, owner, columns):
    """Whether it is the verdict's own evidence or that of a finding for information."""
    world = scenarios.sound(owner)
    hostile = {"error_code": CODE, "error_msg": MESSAGE, "runner_id": NASTY}
    world.change(range(0, 40, 8), **columns, **hostile)
    world.write()
    page.goto("/")
    ready(page)
    ask(page, "unfold")
    assert page.locator(".evidence code").count() > 0
    for width in WIDTHS:
        resize(page, width)
        assert ask(page, "wider") == []


@pytest.mark.parametrize("path", ["/login/", "/login/?next=/nowhere/"])
def test_the_pages_before_signing_in_are_as_good(open_page, path):
    page = open_page(signed_in=False)
    page.goto(path)
    assert looked_at(page) == []


def test_the_accounts_pages_are_as_good(open_page, operator, console):
    User.objects.filter(pk=operator.pk).update(is_superuser=True, is_staff=True)
    page = open_page()
    session = SessionStore(AccountSession.objects.get().session_key)
    session["confirmed_at"] = time.time()
    session.save()
    found = []
    for path in ("", "auth/user/", "auth/user/add/", f"auth/user/{operator.pk}/change/"):
        page.goto(f"/accounts/{path}")
        assert page.url.endswith(f"/accounts/{path}")
        found += [f"{path} {one}" for one in looked_at(page)]
    # Django's own scripts set a style that the policy forbids, and go on without it; axe misses the
    # address of a style sheet of theirs.
    theirs = re.compile("inline style|Autofocus|preload assets")
    console[:] = [line for line in console if not theirs.search(line)]
    assert "\n".join(found) == ""
