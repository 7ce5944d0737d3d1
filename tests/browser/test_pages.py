"""Every page in a real browser: usable by everybody, at any width, in both themes, and silent."""

from __future__ import annotations

import pytest

from tests import scenarios
from tests.browser.conftest import AXE, CODE, MESSAGE, NASTY, THEMES
from tests.sizes import sized

WIDTHS = (390, 768, 1440)

# Elements past the right edge of the page, unless something that scrolls contains them.
TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const wide = [...document.body.querySelectorAll("*")]
    .filter((element) => element.getBoundingClientRect().right > width + 0.5);
  return ["the page", ...wide.slice(0, 5).map((element) => element.outerHTML.slice(0, 120))];
}"""

# A menu is open for a moment; other foldable parts may stay open while somebody reads.
OPEN_ALL = """() => document.querySelectorAll("details:not([data-menu])")
  .forEach((details) => { details.open = true; })"""

AXE_RUN = """async (rules) => {
  const fading = document.getAnimations().filter((one) => one instanceof CSSTransition);
  await Promise.allSettled(fading.map((one) => one.finished));
  const options = rules ? { runOnly: rules } : {};
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...options });
  const told = (node) => {
    const checks = [...node.any, ...node.all].map((check) => check.message).join(" ");
    return `${node.html.slice(0, 160)} (${checks.slice(0, 200)})`;
  };
  return violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(told).join(" | ")}`);
}"""

# Remembers every element that gets the focus, and those whose focus is invisible.
WATCH_FOCUS = """() => {
  window.reached = new Set();
  window.unseen = [];
  document.addEventListener("focusin", ({ target }) => {
    window.reached.add(target);
    const style = getComputedStyle(target);
    const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
    if (!seen && style.boxShadow === "none") window.unseen.push(target.outerHTML.slice(0, 160));
  });
}"""

FOCUSABLE = """() => [...document.querySelectorAll(
    "a[href], button, summary, input:not([type=hidden]), select, textarea, [tabindex='0']")]
  .filter((element) => !element.disabled && element.tabIndex >= 0 && element.checkVisibility(
    { visibilityProperty: true, contentVisibilityAuto: true }))"""


# A refresh recognizes rows by their id: rows with the same id, or none, cannot be told apart.
NOT_TOLD_APART = """() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  const twice = ids.filter((id, place) => ids.indexOf(id) !== place);
  const broken = ids.filter((id) => !id || /\\s/.test(id));
  const nameless = [...document.querySelectorAll("[data-live] :is(details, form):not([id])")];
  return [...twice, ...broken, ...nameless.map((element) => element.outerHTML.slice(0, 120))];
}"""


def test_a_refresh_can_tell_apart_all_that_a_reader_may_have_touched(page, pages, console):
    page.goto("/")
    found = []
    for path in pages:
        page.goto(path)
        found += [f"{path}: {one}" for one in page.evaluate(NOT_TOLD_APART)]
    console[:] = [line for line in console if "400 (Bad Request)" not in line]
    assert found == []


# The themes differ in nothing but their colours; in bin/audit axe tries every rule on both.
RULES_FOR_DARK = sized(["color-contrast", "link-in-text-block"], None)


def faults_in_the_dark(page):
    """What axe finds once the system turns to the dark theme."""
    page.emulate_media(color_scheme="dark")
    page.wait_for_selector("html[data-bs-theme=dark]", state="attached")
    faults = [f"dark: {one}" for one in page.evaluate(AXE_RUN, RULES_FOR_DARK)]
    page.emulate_media(color_scheme="light")
    page.wait_for_selector("html[data-bs-theme=light]", state="attached")
    return faults


def test_axe_finds_nothing_and_nothing_is_wider_than_the_page(page, pages, console):
    script = AXE.read_text("utf-8")
    found = []
    for path in pages:
        page.goto(path)
        page.evaluate(script)
        for folded, widths in ((True, WIDTHS), (False, WIDTHS[::-1])):
            if not folded:
                page.evaluate(OPEN_ALL)
            told = f"{path}{'' if folded else ' unfolded'}"
            for width in widths:
                page.set_viewport_size({"width": width, "height": 900})
                found += [f"{told} at {width}: {one}" for one in page.evaluate(TOO_WIDE)]
            found += [f"{told} at {width}: {one}" for one in page.evaluate(AXE_RUN)]
        found += [f"{path}: {one}" for one in faults_in_the_dark(page)]
        if "WRONG" in path:
            # A 400 writes one line to the console of every browser. It is not ours.
            console[:] = [line for line in console if "400 (Bad Request)" not in line]
    assert "\n".join(found) == ""


@pytest.mark.parametrize("columns", [{"exhausted": True}, {"failed": True}], ids=str)
def test_no_text_of_a_failure_widens_the_overview(page, owner, columns):
    """Whether it is the verdict's own evidence or that of a finding for information."""
    world = scenarios.sound(owner)
    hostile = {"error_code": CODE, "error_msg": MESSAGE, "runner_id": NASTY}
    world.change(range(0, 40, 8), **columns, **hostile)
    world.write()
    page.goto("/")
    page.evaluate(OPEN_ALL)
    assert page.locator(".evidence code").count() > 0
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(TOO_WIDE) == []


@pytest.mark.parametrize("theme", THEMES)
def test_the_pages_before_signing_in_are_as_good(open_page, theme):
    page = open_page(color_scheme=theme, signed_in=False, viewport={"width": 390, "height": 800})
    page.goto("/login/")
    assert page.evaluate(TOO_WIDE) == []
    page.evaluate(AXE.read_text("utf-8"))
    assert page.evaluate(AXE_RUN) == []


def test_the_tab_key_reaches_everything_and_the_focus_is_always_seen(page, pages):
    missed, unseen = [], []
    for path in pages:
        if "WRONG" in path:
            continue
        page.goto(path)
        page.evaluate(WATCH_FOCUS)
        count = page.evaluate(f"() => ({FOCUSABLE})().length")
        assert count > 2, path
        # A field for a date and a time has a stop for each of its parts.
        parts = 8 * page.locator("input[type=datetime-local]").count()
        for _ in range(count + parts + 2):
            page.keyboard.press("Tab")
        missed += page.evaluate(
            f"""() => ({FOCUSABLE})().filter((element) => !window.reached.has(element))
              .map((element) => "{path}: " + element.outerHTML.slice(0, 160))"""
        )
        unseen += page.evaluate(f"""() => window.unseen.map((html) => "{path}: " + html)""")
    assert "\n".join(missed) == ""
    assert "\n".join(unseen) == ""


def test_the_skip_link_leads_past_the_header(page, busy_day):
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_menu_opens_and_closes_by_the_keyboard(page, busy_day, expect):
    page.goto("/")
    menu = page.locator("details[data-menu]").first
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.locator(".menu-panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu.locator(".menu-panel")).to_be_hidden()
    assert page.evaluate("document.activeElement.tagName") == "SUMMARY"
