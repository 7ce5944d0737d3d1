"""A confirmation stays valid while the job stays the same, even if more is known of it later."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator

import pytest
from django.test import Client

from executions.accounts.roles import OPERATOR
from executions.database.connections import Connection
from executions.models.retirement import Retirement, RetirementState
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
from tests.people import make_user
from tests.retiring import acting_as, confirmed, lay_plans, operator, pg_cron, press, role, schedule

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def newer(pg_cron: Connection) -> Iterator[None]:
    """A pg_cron that may have ``cron.dom_dow_and_logic``, which only some roles may read."""
    (found,) = pg_cron.execute("SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'")
    change = "UPDATE pg_extension SET extversion = %s WHERE extname = 'pg_cron'"
    pg_cron.execute(change, ["1.6"])
    yield
    pg_cron.execute(change, [found["extversion"]])


def without(retirement: Retirement, name: str) -> Retirement:
    """The record of a version that did not know this part of a job."""
    job = {key: value for key, value in (retirement.job or {}).items() if key != name}
    Retirement.objects.filter(pk=retirement.pk).update(job=job)
    retirement.refresh_from_db()
    return retirement


def text(client: Client, path: str) -> str:
    shown = html.unescape(re.sub(r"<[^>]+>", "", client.get(path, follow=True).content.decode()))
    return re.sub(r"\s+", " ", shown)


@pytest.mark.parametrize("state", [RetirementState.CONFIRMED, RetirementState.TRIAL_PASSED])
def test_a_job_that_was_confirmed_by_an_older_version_is_still_the_same(
    owner: Connection,
    pg_cron: Connection,
    newer: None,
    acting_as: Callable[[str], None],
    state: RetirementState,
) -> None:
    lay_plans(owner)
    acting_as("multica")
    who = operator()
    retirement = without(confirmed(who, schedule(pg_cron)), "both_days")
    if state == RetirementState.TRIAL_PASSED:
        pg_cron.execute("UPDATE cron.job SET active = false")
        Retirement.objects.update(state=state, paused_at="2020-01-01T00:00:00Z")
        retirement.refresh_from_db()
    client = Client()
    client.force_login(make_user("anna", OPERATOR))
    page = text(client, f"/retire/{retirement.pk}/confirm/")
    assert "not what it was" not in page
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert retirement.state == RetirementState.WATCHING


def test_a_right_that_was_granted_since_is_no_change_of_the_job(
    owner: Connection, pg_cron: Connection, newer: None, acting_as: Callable[[str], None]
) -> None:
    lay_plans(owner)
    acting_as("multica")
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    assert retirement.job is not None
    assert retirement.job["both_days"] is None
    pg_cron.execute("GRANT pg_read_all_settings TO multica")
    try:
        acts.remove(Order(who, retirement, current()), **press(retirement))
    finally:
        pg_cron.execute("REVOKE pg_read_all_settings FROM multica")
    assert retirement.state == RetirementState.WATCHING


def test_what_changed_in_a_job_is_told_in_words(owner: Connection, pg_cron: Connection) -> None:
    lay_plans(owner)
    who = operator()
    jobid = schedule(pg_cron)
    retirement = confirmed(who, jobid)
    pg_cron.execute("UPDATE cron.job SET nodename = 'elsewhere', jobname = 'other'")
    client = Client()
    client.force_login(make_user("anna", OPERATOR))
    page = text(client, f"/retire/{retirement.pk}/confirm/")
    assert "not what it was" in page
    with pytest.raises(Refused) as refused:
        acts.remove(Order(who, retirement, current()), **press(retirement))
    for told in (page, str(refused.value)):
        assert "elsewhere" in told
        assert not re.search("nodename|jobname|both_days", told)
    assert re.search("host: .* → elsewhere", str(refused.value))
    assert re.search("→ (other|elsewhere); ", str(refused.value))
