"""The wizard by clicking: a real pg_cron, plans of seconds, and JavaScript off as well."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pages.wizard import checked, watched
from executions.retirement.audit import Who
from tests import waiting
from tests.browser.remote import Remote
from tests.browser.test_refreshing import HIDDEN
from tests.people import PASSWORD
from tests.retiring import acting_as, audited, jobs, lay_plans, pg_cron, retire, role, schedule
from tests.short_plans import Backend, backend, short_rules, ticking
from tests.sizes import sized

__all__ = ["acting_as", "backend", "pg_cron", "role", "short_rules"]

NAME = "rollup_task_usage_hourly"


BOTH = ("scripts", "no scripts")


def visited_with(way: str) -> pytest.MarkDecorator:
    """An operator comes with JavaScript or without; for bin/audit in both ways in turn."""
    return pytest.mark.parametrize("visitor", sized((way,), BOTH), indirect=True)


@pytest.fixture
def visitor(request: pytest.FixtureRequest, open_page: Callable[..., Remote]) -> Remote:
    return open_page(java_script_enabled=request.param == "scripts")


@pytest.fixture(autouse=True)
def live_parts_ask_every_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checked, "BUSY_SECONDS", 1)
    monkeypatch.setattr(watched, "BUSY_SECONDS", 1)
    monkeypatch.setattr(watched, "QUIET_SECONDS", 1)
    monkeypatch.setattr(watched, "HIDDEN_SECONDS", 1)


@pytest.fixture
def removed(operator: Any, owner: Any) -> Callable[[Any], Retirement]:
    """Removes a job without a browser, by plans that are minutes apart."""

    def act(pg_cron: Any) -> Retirement:
        lay_plans(owner)
        return retire(Who.user(operator), schedule(pg_cron))

    return act


@pytest.fixture
def jobid(pg_cron: Any, backend: Backend) -> int:
    """A redundant job beside a backend that does the work, and other work of pg_cron's."""
    schedule(pg_cron, name="nightly vacuum", command="VACUUM task_usage", owner="postgres")
    return schedule(pg_cron)


def to_confirmation(page: Remote, jobid: int) -> Retirement:
    """Choose and check, from the door in the header on."""
    page.goto("/")
    page.get_by_role("link", name="Schedules").click()
    assert "1 job that has nothing to do with the rollup" in page.content()
    page.locator(f"#choose-{jobid} button").click()
    page.get_by_role("button", name="Go on to the confirmation").click()
    return Retirement.objects.get(jobid=jobid)


def sign_in_again(page: Remote) -> None:
    page.get_by_role("link", name="Sign in again now").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()


def press(page: Remote, way: str) -> None:
    """Type the name and press the button of one of the ways."""
    page.locator(f"#typed-{way}").fill(NAME)
    page.locator(f"#form-{way} button").click()


def until(page: Remote, expect: Any, state: RetirementState) -> None:
    """Wait for a state like a person who looks: the page shows it, or is loaded again."""
    if page.evaluate("document.documentElement.classList.contains('js')"):
        expect(page.locator("#outcome")).to_have_attribute("data-state", state)
    else:
        waiting.until(lambda: shows_after_a_reload(page, state))


def shows_after_a_reload(page: Remote, state: RetirementState) -> bool:
    page.wait_for_timeout(1000)
    page.reload()
    return bool(page.locator("#outcome").get_attribute("data-state") == state)


def seen(page: Remote) -> str:
    """What the page says that pg_cron says."""
    return str(page.locator("#seen").inner_text())


def on_the_audit_page(page: Remote) -> list[str]:
    """Action and outcome of every line, oldest first."""
    page.goto("/audit/")
    lines = page.locator(".audit-head").all_inner_texts()
    return [" ".join(line.split()[:-3]) for line in reversed(lines)]


def row(pg_cron: Any, jobid: int) -> dict[str, Any] | None:
    return jobs(pg_cron).get(jobid)


@visited_with("scripts")
def test_choose_check_confirm_watch_to_verified_and_put_back(
    visitor, expect, jobid, pg_cron, backend, short_rules
):
    before = row(pg_cron, jobid)
    with ticking(short_rules(backend)):
        retirement = to_confirmation(visitor, jobid)
        assert visitor.url.endswith(f"/retire/{retirement.pk}/confirm/")
        assert row(pg_cron, jobid) == before
        assert AuditEvent.objects.count() == 0

        sign_in_again(visitor)
        press(visitor, "remove")
        assert visitor.url.endswith(f"/retire/{retirement.pk}/watch/")
        assert row(pg_cron, jobid) is None
        assert seen(visitor) == "the job is gone"
        assert audited(retirement)[:2] == [("remove", "intended"), ("remove", "done")]

        until(visitor, expect, RetirementState.VERIFIED)
        assert row(pg_cron, jobid) is None
        assert audited(retirement)[2:] == [("watch", "done")]

        visitor.get_by_role("button", name="Put it back", exact=True).click()
        expect(visitor.locator("#outcome")).to_have_attribute(
            "data-state", RetirementState.PUT_BACK
        )
    retirement.refresh_from_db()
    again = row(pg_cron, retirement.put_back_jobid)
    assert again == {**before, "jobid": retirement.put_back_jobid}
    assert seen(visitor) == f"job {retirement.put_back_jobid} is there and active"
    assert on_the_audit_page(visitor) == [
        "Done Remove",
        "Done End of the watch",
        "Done Put back",
    ]


@visited_with("scripts")
def test_a_mistyped_name_and_a_late_password_cost_nobody_a_second_typing(
    visitor, expect, jobid, pg_cron, backend, short_rules, console
):
    with ticking(short_rules(backend)):
        retirement = to_confirmation(visitor, jobid)
        visitor.locator("#typed-remove").fill(NAME[:-1])
        visitor.locator("#form-remove button").click()
        expect(visitor.locator("#waiting-act")).to_contain_text("Remove pg_cron job")
        visitor.get_by_label("Password").fill("not this one")
        visitor.get_by_role("button", name="Go on").click()
        visitor.get_by_label("Password").fill(PASSWORD)
        visitor.get_by_role("button", name="Go on").click()

        field = visitor.locator("#typed-remove")
        expect(field).to_have_value(NAME[:-1])
        expect(field).to_be_focused()
        expect(field).to_have_attribute("aria-describedby", "typed-remove-error")
        expect(visitor.locator("#typed-remove-error")).to_contain_text("is not " + NAME)
        assert row(pg_cron, jobid) is not None
        visitor.keyboard.press("End")
        visitor.keyboard.type(NAME[-1])
        visitor.keyboard.press("Enter")
        expect(visitor).to_have_url(re.compile(rf"/retire/{retirement.pk}/watch/$"))
        assert row(pg_cron, jobid) is None
    assert all("403 (Forbidden)" in line for line in console)  # the wrong password
    console.clear()
    assert audited(retirement)[:3] == [
        ("remove", "refused"),
        ("remove", "intended"),
        ("remove", "done"),
    ]


@visited_with("scripts")
def test_pausing_first_and_then_removing(visitor, expect, jobid, pg_cron, backend, short_rules):
    before = row(pg_cron, jobid)
    with ticking(short_rules(backend)):
        retirement = to_confirmation(visitor, jobid)
        sign_in_again(visitor)
        press(visitor, "pause")
        assert row(pg_cron, jobid) == {**before, "active": False}
        assert seen(visitor) == f"job {jobid} is there and paused"

        until(visitor, expect, RetirementState.TRIAL_PASSED)
        assert row(pg_cron, jobid) == {**before, "active": False}
        visitor.get_by_role("link", name="Remove it").click()
        assert visitor.locator("#form-pause").count() == 0
        press(visitor, "remove")
        assert row(pg_cron, jobid) is None
        assert seen(visitor) == "the job is gone"
    assert audited(retirement)[:5] == [
        ("pause", "intended"),
        ("pause", "done"),
        ("trial", "done"),
        ("remove", "intended"),
        ("remove", "done"),
    ]


@visited_with("scripts")
def test_a_trial_that_goes_worse_puts_the_job_back_by_itself(
    visitor, expect, jobid, pg_cron, backend, short_rules
):
    before = row(pg_cron, jobid)
    with ticking(short_rules(backend)):
        retirement = to_confirmation(visitor, jobid)
        sign_in_again(visitor)
        backend.need(jobid)
        press(visitor, "pause")
        until(visitor, expect, RetirementState.TRIAL_ENDED)
    assert row(pg_cron, jobid) == before
    expect(visitor.locator("#outcome")).to_contain_text("It went worse")
    assert audited(retirement)[2:] == [("activate", "intended"), ("activate", "done")]
    assert AuditEvent.objects.latest("pk").user_name == "Multica Admin"


@visited_with("scripts")
def test_a_trial_that_is_forgotten_puts_the_job_back_by_itself(
    visitor, expect, jobid, pg_cron, backend, short_rules
):
    before = row(pg_cron, jobid)
    with ticking(short_rules(backend, trial_limit=timedelta(seconds=2))):
        retirement = to_confirmation(visitor, jobid)
        sign_in_again(visitor)
        press(visitor, "pause")
        until(visitor, expect, RetirementState.TRIAL_ENDED)
    assert row(pg_cron, jobid) == before
    expect(visitor.locator("#outcome")).to_contain_text("Nobody decided in time")
    assert audited(retirement)[2:] == [("activate", "intended"), ("activate", "done")]


@visited_with("no scripts")
def test_running_the_statement_oneself_where_the_role_may_not(
    visitor, expect, jobid, pg_cron, backend, short_rules, role, acting_as
):
    role(
        "looks_only",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "CREATE POLICY looks ON cron.job FOR SELECT TO {role} USING (true)",
    )
    acting_as("looks_only")
    before = row(pg_cron, jobid)
    with ticking(short_rules(backend)):
        retirement = to_confirmation(visitor, jobid)
        assert visitor.locator("#form-remove, #form-pause").count() == 0
        visitor.get_by_role("button", name="Show me the statement").click()
        statement = visitor.locator("#by-hand-statement").inner_text()
        visitor.get_by_role("button", name="I have run it").click()
        expect(visitor.locator(".notices")).to_contain_text("still there")
        assert row(pg_cron, jobid) == before

        pg_cron.execute(statement)
        visitor.get_by_role("button", name="I have run it").click()
        assert seen(visitor) == "the job is gone"
        until(visitor, expect, RetirementState.VERIFIED)

        back = visitor.locator("#undo-statement").inner_text()
        pg_cron.execute(back)
        visitor.get_by_role("button", name="I have put it back").click()
        expect(visitor.locator("#outcome")).to_have_attribute(
            "data-state", RetirementState.PUT_BACK
        )
    retirement.refresh_from_db()
    again = row(pg_cron, retirement.put_back_jobid)
    assert again == {**before, "jobid": retirement.put_back_jobid}
    assert audited(retirement) == [
        ("remove by hand", "intended"),
        ("remove by hand", "refused"),
        ("remove by hand", "done"),
        ("watch", "done"),
        ("put back by hand", "done"),
    ]


def test_a_removal_after_which_it_gets_worse_has_the_way_back_on_top(
    page, expect, jobid, pg_cron, backend, short_rules
):
    before = row(pg_cron, jobid)
    with ticking(short_rules(backend)):
        retirement = to_confirmation(page, jobid)
        sign_in_again(page)
        backend.need(jobid)
        press(page, "remove")
        until(page, expect, RetirementState.WORSE)
        page.locator("#outcome").get_by_role("button", name="Put it back", exact=True).click()
        expect(page.locator("#outcome")).to_have_attribute("data-state", RetirementState.PUT_BACK)
    retirement.refresh_from_db()
    assert row(pg_cron, retirement.put_back_jobid) == {
        **before,
        "jobid": retirement.put_back_jobid,
    }


def test_the_tab_says_how_far_the_watch_is_also_while_nobody_sees_it(
    page, expect, pg_cron, removed
):
    retirement = removed(pg_cron)
    page.goto(f"/retire/{retirement.pk}/watch/")
    expect(page).to_have_title(re.compile("0 of 3 · removed, being watched"))
    page.evaluate(HIDDEN, True)
    plan = {"plan_time": "2026-03-01T20:00:00+00:00", "kind": "kept"}
    Retirement.objects.filter(pk=retirement.pk).update(watch={"plans": [plan], "needed": 3})
    expect(page).to_have_title(re.compile("1 of 3 · removed, being watched"))
    Retirement.objects.filter(pk=retirement.pk).update(state=RetirementState.VERIFIED)
    expect(page).to_have_title(re.compile("^(\\w+ · )?removed, and verified"))


def test_the_conditions_come_true_while_one_looks(page, expect, jobid, backend, short_rules, owner):
    """The page says what is missing, and the button comes by itself."""
    short_rules(backend)
    page.goto("/schedules/")
    page.locator(f"#choose-{jobid} button").click()
    owner.execute("DELETE FROM sys_cron_executions WHERE plan_time < now() - interval '2 seconds'")
    expect(page.locator("#gate-success_streak")).to_contain_text("Not yet")
    expect(page.locator("#go-on button")).to_have_count(0)
    expect(page.locator("#go-on button")).to_be_visible(timeout=waiting.HANG * 1000)
    expect(page).to_have_url(re.compile(r"/retire/\d+/check/$"))
