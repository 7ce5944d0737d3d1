"""The criteria of WCAG 2.2 AA that need a user's action; `test_pages.py` has the others."""

from __future__ import annotations

import pytest

from tests import scenarios
from tests.browser.measuring import ask, forget_refusals, ready
from tests.sizes import sized
from tests.waiting import until

ACTIVE = "document.activeElement"
# Tab, Tab, Tab: where the focus was, and whether it went on in the order of the document.
WATCH_FOCUS = """() => {
  window.reached = [];
  document.addEventListener("focusin", ({ target }) => window.reached.push(target));
}"""
# The first thing that has the focus again ends the walk around the page. It may begin anywhere,
# because some pages have a field that has the focus at first.
WALKED = """() => {
  const [first, ...rest] = window.reached;
  const round = rest.indexOf(first);
  const way = round < 0 ? window.reached : window.reached.slice(0, round + 1);
  const top = way.reduce((one, other) =>
    one.compareDocumentPosition(other) & Node.DOCUMENT_POSITION_PRECEDING ? other : one);
  const walk = [...way.slice(way.indexOf(top)), ...way.slice(0, way.indexOf(top))];
  const back = walk.slice(1).filter((one, place) =>
    !(walk[place].compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING));
  const missed = measures.controls().filter((one) => !walk.includes(one));
  const told = (one) => one.outerHTML.slice(0, 160);
  return { around: round >= 0, missed: missed.map(told), back: back.map(told) };
}"""
SETTLED = "new Promise((then) => requestAnimationFrame(() => requestAnimationFrame(then)))"


@pytest.fixture
def healthy(owner):
    return scenarios.healthy(owner)


def test_2_1_1_2_1_2_and_2_4_3_tab_reaches_everything_in_order_and_is_never_trapped(
    page, pages, console
):
    for path in sized(["/", "/executions/?status=FAILED&q=nothing-like-it"], pages):
        page.goto(path)
        ready(page)
        page.evaluate(WATCH_FOCUS)
        # A field for a date and a time has a stop for each of its parts.
        parts = 8 * page.locator("input[type=datetime-local]").count()
        for _ in range(page.evaluate("measures.controls().length") + parts + 3):
            page.keyboard.press("Tab")
        assert page.evaluate(WALKED) == {"around": True, "missed": [], "back": []}, path
    forget_refusals(console)


@pytest.mark.usefixtures("healthy")
def test_2_1_1_and_1_4_13_a_menu_opens_and_closes_by_the_keyboard(page, expect):
    page.goto("/")
    menu = page.locator("details[data-menu]").first
    menu.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(menu.locator(".menu-panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(menu.locator(".menu-panel")).to_be_hidden()
    assert page.evaluate(f"{ACTIVE}.tagName") == "SUMMARY"


def verdict_after_a_reload(page):
    """A page may show the reading that its process has kept for a second."""
    page.reload()
    return page.locator("#verdict-card").get_attribute("data-verdict")


@pytest.mark.usefixtures("quick")
def test_2_2_2_a_reader_stops_the_refresh_of_a_tab_and_lets_it_go_on(page, healthy, expect):
    page.clock.install()
    page.goto("/")
    menu, card = page.locator(".tool-user"), page.locator("#verdict-card")
    switch = page.get_by_role("button", name="Refresh by itself")
    menu.click()
    switch.click()
    expect(switch).to_have_attribute("aria-pressed", "false")
    healthy.change(0, exhausted=True)
    healthy.write()
    page.clock.run_for(130_000)
    expect(card).to_contain_text("last known: healthy")
    until(lambda: verdict_after_a_reload(page) == "failing")
    expect(page.locator(".live-notice")).to_contain_text("This page does not refresh")
    scenarios.healthy(healthy.connection)
    menu.click()
    switch.click()
    expect(page.locator(".live-notice")).to_have_count(0)
    page.clock.run_for(5_000)
    expect(card).to_have_attribute("data-verdict", "healthy")


@pytest.mark.usefixtures("healthy")
def test_2_4_1_the_skip_link_leads_past_the_header(page):
    page.goto("/")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate(f"{ACTIVE}.id") == "main"


@pytest.mark.usefixtures("healthy")
def test_3_2_1_and_3_2_2_neither_focus_nor_input_leads_anywhere(page):
    page.goto("/executions/")
    ready(page)
    page.evaluate("window.here = true")
    ask(page, "unfold")
    ask(page, "focusing")
    for select in page.locator("main select").all():
        select.select_option(index=1)
    page.locator("[name=q]").fill("anything")
    page.evaluate(SETTLED)
    assert page.evaluate("window.here === true")
    assert page.url.endswith("/executions/")


def told_by(page, field):
    """The texts that the field itself names as its description."""
    return page.evaluate(
        """(field) => (field.getAttribute("aria-describedby") || "").split(" ")
          .map((id) => document.getElementById(id)?.textContent.trim())""",
        field.element_handle(),
    )


def test_3_3_1_and_3_3_3_a_refused_form_names_the_field_and_says_what_to_do(page, expect):
    page.goto("/password/")
    page.locator("[name=old_password]").fill("not this one")
    page.locator("[name=new_password1]").fill("a long enough phrase")
    page.locator("[name=new_password2]").fill("another long phrase")
    page.locator("main button[type=submit]").click()
    for name, text in (("old_password", "entered incorrectly"), ("new_password2", "match")):
        field = page.locator(f"[name={name}]")
        expect(field).to_have_attribute("aria-invalid", "true")
        assert text in " ".join(filter(None, told_by(page, field))), name
    expect(page.locator("[name=new_password1]")).not_to_have_attribute("aria-invalid", "true")


def test_3_3_1_a_refused_sign_in_is_told_at_once(open_page, expect):
    page = open_page(signed_in=False)
    page.goto("/login/")
    page.locator("[name=username]").fill("olga")
    page.locator("[name=password]").fill("wrong")
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("correct username and password")
    expect(page.locator("[name=username]")).to_have_value("olga")


@pytest.mark.parametrize("path", ["/login/", "/password/"])
def test_1_3_5_and_3_3_8_a_password_manager_may_fill_in_and_paste(open_page, path):
    page = open_page(signed_in=path != "/login/")
    page.goto(path)
    purposes = page.locator("main input:not([type=hidden])").evaluate_all(
        "(all) => all.map((one) => one.autocomplete)"
    )
    assert set(purposes) <= {"username", "current-password", "new-password"}
    allowed = page.locator("main [type=password]").evaluate_all(
        """(all) => all.map((one) =>
          one.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, cancelable: true })))"""
    )
    assert allowed
    assert all(allowed)


# What a screen reader would say: every text that a status has had since, politely or not.
LISTEN = """() => {
  window.said = [];
  new MutationObserver((changes) => {
    for (const { target } of changes) {
      const element = target.nodeType === Node.TEXT_NODE ? target.parentElement : target;
      const status = element?.closest("[role=status], [role=alert], [aria-live]");
      if (status) window.said.push([status.getAttribute("role"), status.textContent.trim()]);
    }
  }).observe(document.body, { subtree: true, childList: true, characterData: true });
}"""


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("path", ["/", "/audit/"])
def test_4_1_3_a_changed_verdict_is_told_politely_and_only_once(page, healthy, path):
    page.goto(path)
    page.evaluate(LISTEN)
    world = healthy
    world.change(0, exhausted=True)
    world.write()
    page.wait_for_function("() => document.title.startsWith('Failing')")
    page.wait_for_function("() => window.said.length > 0")
    [[role, text]] = page.evaluate("window.said")
    assert role == "status"
    assert text.startswith("Verdict: Failing.")
    assert ("the newest update" in text.lower()) is (path == "/")


@pytest.mark.usefixtures("quick")
def test_4_1_3_a_refresh_without_another_verdict_is_silent(page, healthy):
    page.goto("/")
    page.evaluate(LISTEN)
    version = page.locator("#overview").get_attribute("data-version")
    healthy.change(50, retried=True)
    healthy.write()
    page.wait_for_function(
        "(old) => document.querySelector('#overview').dataset.version !== old", arg=version
    )
    assert page.evaluate("window.said") == []
