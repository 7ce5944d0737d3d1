"""Live parts in a real browser refresh themselves and disturb nothing that a viewer does."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from psycopg import OperationalError

from executions.health import snapshots
from executions.models import AccountSession
from executions.pages import common, problems
from tests import scenarios

pytestmark = pytest.mark.usefixtures("quick")

VERSION = "document.querySelector('#overview').dataset.version"
HIDDEN = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def world(owner):
    return scenarios.healthy(owner)


def fail_the_newest(world):
    """Something new in the database: the newest plan has failed."""
    world.change(0, exhausted=True)
    world.write()


def watch_requests(page):
    """Ask what is returned for the addresses that live parts have asked for since."""
    page.evaluate(
        """() => {
          const fetch = window.fetch;
          window.asked = [];
          window.fetch = (address, options) => {
            if ("HX-Request" in options.headers) window.asked.push(address);
            return fetch(address, options);
          };
        }"""
    )
    return lambda: page.evaluate("window.asked")


def wait_for_new_version(page, before):
    page.wait_for_function(f"(before) => {VERSION} !== before", arg=before)


def select_the_verdict(page):
    page.evaluate("getSelection().selectAllChildren(document.querySelector('#verdict'))")


def test_what_is_new_comes_without_moving_what_is_being_read(page, world, expect):
    world.change(40, retried=True)  # which is a finding for information, and folded
    world.write()
    page.goto("/")
    version = page.evaluate(VERSION)
    page.locator("#findings-folded > summary").click()
    page.locator(".finding-more > summary").first.click()
    row = page.locator("#recent tbody tr").nth(5)
    row.scroll_into_view_if_needed()
    page.locator(".plan-strip a.plan-kept").nth(100).evaluate(
        "one => one.focus({preventScroll: true})"
    )
    focused = page.evaluate("document.activeElement.title")
    before = row.bounding_box()["y"]
    fail_the_newest(world)
    wait_for_new_version(page, version)
    expect(page.locator(".plan-strip a.plan-failed")).to_have_count(1)
    assert abs(row.bounding_box()["y"] - before) < 2
    assert page.evaluate("document.activeElement.title") == focused
    assert page.locator("details.finding-more[open]").count() >= 1


def test_a_finding_that_is_being_read_stays_open_when_another_comes_above_it(page, world, expect):
    world.change(40, retried=True)  # which is a finding for information, and folded
    world.write()
    page.goto("/")
    page.locator("#findings-folded > summary").click()
    folded = page.locator("#findings details.finding-more")
    folded.locator("summary").first.click()
    expect(folded).to_have_count(1)
    world.change(range(4), failed=True)
    world.drop([30, 31])
    world.write()
    expect(page.locator("#findings > ul > li")).not_to_have_count(1)
    expect(page.locator("#findings > ul > li").first).not_to_contain_class("tone-info")
    assert page.locator("#findings details.finding-more[open]").count() == 1


def test_a_selection_in_the_part_is_left_alone_until_it_is_given_up(page, world):
    page.clock.install()
    page.goto("/")
    version = page.evaluate(VERSION)
    select_the_verdict(page)
    asked = watch_requests(page)
    selected = page.evaluate("getSelection().toString()")
    fail_the_newest(world)
    page.clock.run_for(10_000)
    assert asked() == []
    assert page.evaluate("getSelection().toString()") == selected
    assert page.evaluate(VERSION) == version
    page.evaluate("getSelection().removeAllRanges()")
    wait_for_new_version(page, version)


def test_typing_a_filter_is_not_disturbed_by_the_list_below_it(page, world, monkeypatch):
    monkeypatch.setattr("executions.pages.history.plans.PlansPage.live_seconds", 1)
    page.goto("/executions/?job=rollup_task_usage_hourly")
    asked = watch_requests(page)
    search = page.get_by_label("Search")
    search.click()
    page.keyboard.type("time")
    page.keyboard.press("ArrowLeft")
    fail_the_newest(world)
    page.wait_for_selector("#plans .status.tone-bad", state="attached")
    assert asked()
    page.keyboard.type("X")
    assert search.input_value() == "timXe"


def test_a_hidden_tab_asks_for_nothing_and_catches_up_when_it_is_seen_again(page, world):
    page.clock.install()
    page.goto("/")
    version = page.evaluate(VERSION)
    page.evaluate(HIDDEN, True)
    asked = watch_requests(page)
    fail_the_newest(world)
    page.clock.run_for(10_000)
    assert asked() == []
    page.evaluate(HIDDEN, False)
    wait_for_new_version(page, version)
    assert asked()


def test_a_refresh_that_fails_says_how_old_the_page_is_until_one_succeeds(
    page, world, expect, console
):
    page.clock.install()
    page.goto("/")
    page.context.set_offline(True)
    notice = page.locator(".live-notice")
    expect(notice).to_be_visible()
    expect(notice).to_contain_text("This page is")
    expect(notice).to_contain_text("old: the server did not answer")
    page.context.set_offline(False)
    page.clock.run_for(5_000)
    expect(notice).to_be_hidden()
    assert all("ERR_INTERNET_DISCONNECTED" in line for line in console)
    console.clear()


def test_who_is_signed_out_is_told_so_and_asks_no_more(page, world, expect, console):
    page.clock.install()
    page.goto("/")
    asked = watch_requests(page)
    AccountSession.objects.all().delete()
    notice = page.locator(".live-notice")
    expect(notice).to_contain_text("You are signed out")
    page.clock.run_for(10_000)
    assert len(asked()) == 1
    assert all("401 (Unauthorized)" in line for line in console)
    console.clear()


def test_a_page_with_nothing_live_but_its_header_says_it_too(page, world, expect, console):
    page.goto("/password/")
    AccountSession.objects.all().delete()
    notice = page.locator("main .live-notice")
    expect(notice).to_contain_text("You are signed out", timeout=60_000)
    expect(page.locator(".live-notice")).to_have_count(1)
    console.clear()


def test_a_server_in_trouble_is_not_asked_every_second(page, world):
    """Without a recent snapshot the header's first refresh comes after one second."""
    page.clock.install()
    page.goto("/")
    page.evaluate(
        """() => {
          window.asked = [];
          window.fetch = () => {
            window.asked.push(performance.now());
            return Promise.reject(new Error("no answer"));
          };
        }"""
    )
    page.clock.run_for(12_000)
    page.wait_for_function("() => window.asked.length === 3")
    first, second, third = page.evaluate("window.asked")
    assert min(second - first, third - second) >= 4900


def test_a_proxy_that_refuses_does_not_reload_what_somebody_reads(page, world, expect):
    page.goto("/")
    page.evaluate(
        """() => {
          window.fetch = () => Promise.resolve(new Response("blocked", { status: 403 }));
        }"""
    )
    expect(page.locator(".live-notice")).to_contain_text("answered with the error 403")


def test_who_is_signed_out_is_not_shown_a_verdict_that_nobody_confirms(
    page, world, expect, console
):
    page.goto("/")
    AccountSession.objects.all().delete()
    expect(page.locator("#verdict-card")).to_have_attribute("data-verdict", "unknown")
    expect(page.locator("#verdict-card")).to_contain_text("last known: healthy")
    assert page.title().startswith("Unknown · ")
    console.clear()


def test_a_tab_out_of_sight_stops_looking_healthy_until_it_is_seen_again(page, world, expect):
    page.clock.install()
    page.goto("/")
    page.evaluate(HIDDEN, True)
    asked = watch_requests(page)
    page.clock.run_for(130_000)
    expect(page.locator("#site-verdict")).to_contain_text("last known: healthy")
    assert page.title().startswith("Unknown · Overview")
    assert asked() == []
    page.evaluate(HIDDEN, False)
    page.clock.run_for(1_000)
    expect(page.locator("#site-verdict")).to_have_text(re.compile(r"^\s*Verdict: Healthy\s*$"))
    assert page.title().startswith("Overview")


def test_another_page_learns_the_verdict_by_itself(page, world, expect):
    page.clock.install()
    page.goto("/audit/")
    head = page.locator("#site-verdict [data-verdict]")
    expect(head).to_have_attribute("data-verdict", "healthy")
    assert page.title().startswith("Audit")
    fail_the_newest(world)
    snapshots.forget()
    page.clock.run_for(15_000)
    expect(head).to_have_attribute("data-verdict", "failing")
    page.wait_for_function("() => document.title.startsWith('Failing · Audit')")


def test_the_tab_says_it_when_the_verdict_begins_to_fail_and_when_it_no_longer_does(page, world):
    page.goto("/")
    icon = "document.querySelector('#icon').getAttribute('href')"
    calm = page.evaluate(icon)
    assert page.title().startswith("Overview")
    scenarios.stopped(world.connection)
    page.wait_for_function("() => document.title.startsWith('Failing · Overview')")
    assert page.evaluate(icon) != calm
    scenarios.healthy(world.connection)
    page.wait_for_function("() => document.title.startsWith('Overview')")
    assert page.evaluate(icon) == calm


PART = """
  <form id="typed"><input name="word" value="{points}"><input name="tick" type="checkbox"></form>
  {form}
  <div id="drawn" data-live-keep data-points="{points}"></div>
  <ul id="rows">{rows}</ul>"""
ROW = """<li id="row-{n}"><a id="link-{n}" href="#row-{n}">{n}</a>
  <details id="more-{n}"><summary>More</summary>{text}</details></li>"""


def part(points, order, text, form=""):
    rows = "".join(ROW.format(n=number, text=text) for number in order)
    return PART.format(points=points, rows=rows, form=form)


FIRST = part(1, [1, 2, 3], "old", '<p id="moved">moved</p>')
SECOND = part(
    2,
    [4, 3, 1],
    "new",
    '<form id="later"><p id="moved">moved</p><button>Send</button></form>',
)


def test_what_a_reader_did_and_a_script_drew_outlives_a_merge_that_moves_rows(page, world, expect):
    page.goto("/")
    page.evaluate(
        """([shown, next]) => {
          const part = document.querySelector("#overview");
          window.fetch = () => Promise.resolve(
            new Response(next, { headers: { "Content-Type": "text/html" } }));
          part.innerHTML = shown;
          part.querySelector("#drawn").append(document.createElement("canvas"));
          part.querySelectorAll("#rows > li").forEach((row) => { row.dataset.mine = row.id; });
        }""",
        [FIRST, SECOND],
    )
    page.locator("[name=word]").fill("half")
    page.locator("[name=tick]").check()
    page.locator("#more-3 summary").click()
    page.locator("#link-1").focus()
    page.evaluate("window.third = document.querySelector('#row-3')")
    expect(page.locator("#rows > li")).to_have_text([re.compile("new")] * 3)
    assert page.locator("[name=word]").input_value() == "half"
    assert page.locator("[name=tick]").is_checked()
    assert page.evaluate(
        "[...document.querySelectorAll('details[open]')].map((one) => one.id)"
    ) == ["more-3"]
    assert page.evaluate("document.activeElement.id") == "link-1"
    assert page.evaluate("document.querySelector('#row-3') === window.third")
    expect(page.locator("#later button")).to_have_text("Send")
    assert page.locator("#drawn canvas").count() == 1
    assert page.locator("#drawn").get_attribute("data-points") == "2"


def test_a_chart_takes_the_new_numbers_without_being_made_anew(page, world):
    page.goto("/")
    version = page.evaluate(VERSION)
    page.evaluate("document.querySelector('#chart-durations canvas').dataset.mine = 'yes'")
    picture = "document.querySelector('#chart-durations canvas').toDataURL()"
    before = page.evaluate(picture)
    world.change(range(10), duration_ms=5_000)
    world.write()
    wait_for_new_version(page, version)
    assert page.evaluate("document.querySelector('#chart-durations canvas').dataset.mine") == "yes"
    assert page.evaluate(picture) != before


def test_a_page_that_met_a_silent_database_comes_by_itself(
    page, world, expect, console, monkeypatch
):
    read, asked = common.shared, []

    def fail(*arguments):
        asked.append(arguments)
        if len(asked) < 3:
            raise OperationalError("gone")
        return read(*arguments)

    monkeypatch.setattr(common, "shared", fail)
    monkeypatch.setattr(problems, "RETRY_SECONDS", 1)
    assert page.goto("/jobs/").status == 503
    expect(page.locator("[data-retry]")).to_contain_text("This page tries again by itself")
    expect(page.locator("#jobs")).to_contain_text("rollup_task_usage_hourly")
    assert all("503 (Service Unavailable)" in line for line in console)
    console.clear()


def test_a_page_whose_role_is_taken_away_says_whom_to_ask(page, world, operator, console, expect):
    User.objects.create_superuser("root")
    page.goto("/")
    operator.groups.clear()
    expect(page.locator("h1")).to_have_text("Your account has no role yet")
    expect(page.locator("dl.problem-parts")).to_contain_text("(root) for the role viewer")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    assert all("403" in line for line in console)
    console.clear()
