"""Every way to aim the two URLs at a primary, its standby and another server. For bin/audit."""

from __future__ import annotations

from itertools import product

import pytest

from executions.database.connections import connect
from executions.database.direct import OnStandby
from executions.health.facts import Ground
from executions.health.read import read_facts
from executions.retirement import audit, protocol
from executions.retirement.gates.gate import GateCode
from executions.retirement.report import report
from executions.retirement.rules import current
from tests import scenarios
from tests.faults.conftest import cluster_of_its_own
from tests.standby import aim, leave, standby_of, wait_until_replayed
from tests.waiting import until

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

NAMES = ("primary", "standby", "other")
OTTO = audit.Who(None, "otto")


def with_a_job(server):
    with connect(server.conninfo("postgres"), application_name="t") as owner:
        scenarios.healthy(owner)
        owner.execute(
            "SELECT cron.schedule('rollup', '0 0 1 1 *', 'SELECT rollup_task_usage_hourly()')"
        )


@pytest.fixture(scope="module")
def servers():
    with cluster_of_its_own() as primary, cluster_of_its_own() as other:
        with_a_job(primary)
        with_a_job(other)
        with standby_of(primary) as follower:
            wait_until_replayed(primary, follower)
            yield {"primary": primary, "standby": follower, "other": other}


@pytest.fixture
def aimed(servers, monkeypatch):
    def at(multica, retire):
        aim(
            monkeypatch,
            multica=servers[multica].conninfo("postgres"),
            retire=servers[retire].conninfo("postgres"),
        )

    yield at
    leave()


def gate_of_the_job():
    (judged,) = report(current()).judged
    return judged.check.gate(GateCode.SAME_DATABASE)


@pytest.mark.parametrize(("multica", "retire"), list(product(NAMES, NAMES)))
def test_the_gate_says_what_is_so(aimed, multica, retire):
    """A copy has its original's number. Only the very same server, if it accepts writes, passes."""
    aimed(multica, retire)
    gate = gate_of_the_job()
    assert gate.passed == (multica == retire != "standby")
    said = f"{gate.summary} {gate.remedy or ''}"
    if multica == "standby":
        assert "DATABASE_URL is a standby" in said
        assert "point DATABASE_URL at the primary" in said
    elif retire == "standby":
        assert "RETIRE_DATABASE_URL is a standby" in said
    else:
        assert "standby" not in said


@pytest.mark.parametrize("retire", NAMES)
def test_only_a_server_that_takes_writes_is_acted_on(aimed, retire):
    aimed("primary", retire)
    if retire == "standby":
        with pytest.raises(OnStandby), protocol.turn(OTTO):
            raise AssertionError("the act must not begin")
    else:
        with protocol.turn(OTTO) as acting:
            assert acting.execute("SELECT 1 AS one").fetchone()["one"] == 1


def test_a_standby_that_is_promoted_is_none_any_more(aimed):
    """On a pair of its own, because the promoted server cannot become a standby again."""
    with cluster_of_its_own() as primary:
        with_a_job(primary)
        with standby_of(primary) as follower:
            wait_until_replayed(primary, follower)
            conninfo = follower.conninfo("postgres")
            with connect(conninfo, application_name="t") as there:
                there.execute("SELECT pg_promote(true, 120)")
                until(
                    lambda: not there.execute("SELECT pg_is_in_recovery() AS it").fetchone()["it"]
                )
            with pytest.MonkeyPatch.context() as patch:
                aim(patch, multica=conninfo)
                ground = read_facts().ground
                assert isinstance(ground, Ground)
                assert not ground.is_standby
                assert ground.replay_lag is None
                with protocol.turn(OTTO) as acting:
                    acting.execute("SELECT 1")
                assert gate_of_the_job().passed
                leave()
