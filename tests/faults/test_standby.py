"""Attached to a real streaming standby: the dashboard says so, and offers nothing that writes."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from executions.accounts.roles import OPERATOR
from executions.database.connections import connect as open_connection
from executions.database.connections import retire_connection, retire_reader, runner_connection
from executions.database.direct import OnStandby
from executions.health import snapshots
from executions.health.read import read_facts
from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.retirement import audit, protocol
from executions.scheduler.jobs import ROLLUP
from executions.text.problem import Problem
from tests import scenarios
from tests.faults.conftest import cluster_of_its_own
from tests.people import just_signed_in, make_user
from tests.standby import aim, leave, standby_of, wait_until_replayed
from tests.starting import start, var
from tests.waiting import until

__all__ = ["start", "var"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

WRITES = {
    "runrollup": ["runrollup", "--once"],
    "backfill": ["backfill_task_usage_hourly"],
    "prune": ["pruneexecutions"],
    "provision": ["provision"],
}


@pytest.fixture(scope="module")
def servers():
    """A primary with a healthy day and a redundant pg_cron job, and its standby."""
    with cluster_of_its_own() as primary, standby_of(primary) as follower:
        with open_connection(primary.conninfo("postgres"), application_name="t") as owner:
            scenarios.healthy(owner)
            owner.execute(
                "SELECT cron.schedule('rollup', '0 0 1 1 *', 'SELECT rollup_task_usage_hourly()')"
            )
        wait_until_replayed(primary, follower)
        yield primary, follower


@pytest.fixture
def on_standby(servers, monkeypatch):
    primary, follower = servers
    aim(monkeypatch, multica=follower.conninfo("postgres"))
    yield primary, follower
    leave()


@pytest.fixture
def operator():
    browser = Client(raise_request_exception=False)
    browser.force_login(make_user("otto", OPERATOR))
    return browser


def text(answer):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def test_the_overview_says_that_it_shows_a_standby(on_standby, operator):
    page = text(operator.get("/"))
    assert "This database is a standby" in page
    assert "point DATABASE_URL at the primary" in page
    assert snapshots.current().verdict.level == "healthy"
    assert "See whether it can be retired" not in page


def test_the_schedules_offer_nothing_that_writes(on_standby, operator):
    for address in (reverse("schedules"), reverse("retire")):
        answer = operator.get(address)
        assert "DATABASE_URL is a standby, where nothing can be changed." in text(answer)
        assert "Job 1" in text(answer)
        assert reverse("retire_choose", args=[1]) not in answer.content.decode()
        assert "cron.unschedule" not in text(answer)


def test_statements_that_would_show_the_jobs_are_for_the_primary(servers, monkeypatch, operator):
    primary, follower = servers
    with open_connection(primary.conninfo("postgres"), application_name="t") as owner:
        owner.execute("CREATE ROLE half_blind LOGIN; GRANT pg_read_all_data TO half_blind")
        owner.execute("GRANT USAGE ON SCHEMA cron TO half_blind")
    wait_until_replayed(primary, follower)
    aim(monkeypatch, multica=follower.conninfo("postgres", "half_blind"))
    try:
        page = text(operator.get(reverse("schedules")))
    finally:
        leave()
    assert "With these statements, run on the primary, an administrator lets half_blind" in page


def test_the_gate_says_that_it_is_a_standby(on_standby, operator):
    """No retirement can have begun there. A request for the steps gets the gate's answer."""
    operator.post(reverse("retire_choose", args=[1]))
    page = text(operator.get(reverse("retire_check", args=[_newest_retirement()])))
    assert "DATABASE_URL is a standby" in page
    assert "another Multica" not in page
    assert "of the Multica that it belongs to" not in page
    assert "cron.unschedule" not in page


def test_a_caller_outside_is_not_retired_on_what_a_standby_shows(on_standby, operator):
    """Its clock runs behind, so plans from before the removal would count as later ones."""
    page = operator.get(reverse("retire"))
    assert reverse("retire_outside", args=["cron"]) not in page.content.decode()
    assert "it cannot prove that such a caller is gone" in text(page)
    # A page from before a failover still has the form.
    operator.post(reverse("retire_outside", args=["cron"]), {"name": "root"})
    answer = operator.post(reverse("retire_ran_it", args=[_newest_retirement()]), follow=True)
    assert "DATABASE_URL is a standby. It shows the past" in text(answer)
    assert Retirement.objects.latest("pk").state == RetirementState.BY_HAND


def _newest_retirement():
    return Retirement.objects.latest("pk").pk


def test_an_act_is_refused_before_anything_is_begun(on_standby):
    with pytest.raises(OnStandby), protocol.turn(audit.Who(None, "otto")):
        raise AssertionError("the act must not begin")


def test_a_run_that_an_operator_asks_for_is_refused_and_on_the_record(on_standby):
    olga = just_signed_in(make_user("olga", OPERATOR))
    page = text(olga.post(reverse("rollup_run"), follow=True))
    assert "This is a standby" in page
    assert "Point RUNNER_DATABASE_URL at the primary." in page
    refused = AuditEvent.objects.get(action="run once")
    assert (refused.user_name, refused.outcome) == ("olga", "refused")
    assert "This is a standby" in refused.summary


@pytest.mark.parametrize("command", WRITES)
def test_a_command_that_writes_says_so_and_exits_with_2(servers, start, command):
    _primary, follower = servers
    url = f"postgresql://postgres@/postgres?host={follower.socket_directory}"
    process = start("manage.py", *WRITES[command], DATABASE_URL=url)
    assert process.end() == 2
    said = " ".join(process.errors)
    assert "This is a standby" in said
    assert "Point RUNNER_DATABASE_URL at the primary." in said
    assert "Traceback" not in said


def test_replay_that_lags_is_never_told_as_multicas_silence(on_standby):
    """The standby's clock is its last replayed commit. Once that is too old, nobody can tell."""
    primary, follower = on_standby
    spec = replace(ROLLUP, cadence=timedelta(seconds=1))
    with open_connection(follower.conninfo("postgres"), application_name="t") as there:
        there.execute("SELECT pg_wal_replay_pause()")
        try:
            until(
                lambda: there.execute(
                    "SELECT now() - pg_last_xact_replay_timestamp() > interval '3 s' AS behind"
                ).fetchone()["behind"]
            )
            reached = there.execute("SELECT pg_last_xact_replay_timestamp() AS at").fetchone()["at"]
            assert read_facts().now == reached
            facts = read_facts(spec)
            assert isinstance(facts.executions, Problem)
            assert "This is a standby" in str(facts.executions.reason)
            assert "lags" in str(facts.executions.reason)
        finally:
            there.execute("SELECT pg_wal_replay_resume()")
    wait_until_replayed(primary, follower)


# --- target_session_attrs, with the standby first in the URL --------------------------------------

ATTACHED = {
    # value: (what reads, what writes) goes to a standby
    "any": (True, None),
    "read-write": (False, False),
    "read-only": (True, False),
    "primary": (False, False),
    "standby": (True, False),
    "prefer-standby": (True, False),
}


def in_recovery(connection):
    (found,) = connection.execute("SELECT pg_is_in_recovery() AS found").fetchall()
    return found["found"]


@pytest.mark.parametrize("value", ATTACHED)
def test_of_two_servers_each_session_gets_the_one_that_is_meant(servers, settings, value):
    primary, follower = servers
    both = f"{follower.socket_directory},{primary.socket_directory}"
    settings.RUNNER_CONNINFO = settings.RETIRE_CONNINFO = {
        **primary.conninfo("postgres"),
        "host": both,
        "target_session_attrs": value,
    }
    reads, writes = ATTACHED[value]
    with retire_reader("look") as looking:
        assert in_recovery(looking) is reads
    for opens in (runner_connection, retire_connection):
        if writes is None:  # the first of the two, which the URL asks for
            with pytest.raises(OnStandby):
                opens()
        else:
            with opens() as acting:
                assert in_recovery(acting) is writes


@pytest.mark.parametrize("value", ["any", "read-only", "primary", "standby", "prefer-standby"])
def test_what_writes_says_that_it_is_a_standby_whatever_the_url_prefers(servers, settings, value):
    _primary, follower = servers
    settings.RUNNER_CONNINFO = follower.conninfo("postgres") | {"target_session_attrs": value}
    with pytest.raises(OnStandby):
        runner_connection()
