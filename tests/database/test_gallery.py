"""Every scenario of the demo shows the finding or the refusal that it promises."""

from __future__ import annotations

import pytest

from executions.demo import gallery
from executions.demo.circumstances import drop_watchman
from executions.demo.gallery import SCENARIOS, played
from executions.demo.stage import Stage
from executions.health.diagnosis.look import CauseCode
from executions.health.findings import FindingCode
from executions.health.snapshots import fresh
from executions.retirement.facts import check_on, retire_fetch, servers
from executions.retirement.gates.gate import GateCode
from executions.retirement.rules import current
from tests.near_misses import shown
from tests.retiring import acting_as, clean
from tests.waiting import let_a_near_plan_come_due

__all__ = ["acting_as"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

# `tests/faults/test_scenario_start.py` starts those that arrange servers of their own.
HERE = [one for one in SCENARIOS.values() if one.arrange is None]
FINDINGS = [one for one in HERE if isinstance(one.shows, FindingCode)]
GATES = [one for one in HERE if isinstance(one.shows, GateCode)]


@pytest.fixture
def stage(owner, superuser, connect):
    yield Stage(owner, superuser, connect)
    clean(superuser)
    drop_watchman(superuser)


def test_every_finding_gate_and_cause_has_a_scenario_and_none_has_two():
    shows = [one.shows for one in SCENARIOS.values()]
    assert len(set(shows)) == len(shows)
    assert set(shows) >= {*FindingCode, *GateCode}
    assert None not in map(gallery.showing, CauseCode)


@pytest.mark.parametrize("scenario", FINDINGS, ids=lambda one: one.name)
def test_a_scenario_shows_its_finding(stage, scenario):
    let_a_near_plan_come_due(stage.owner)
    with played(scenario, stage) as lay:
        lay()
        assert scenario.shows in shown(fresh().assessment)
        lay()
        assert scenario.shows in shown(fresh().assessment)


@pytest.mark.parametrize("scenario", GATES, ids=lambda one: one.name)
def test_a_scenario_refuses_at_its_gate(stage, scenario, acting_as):
    let_a_near_plan_come_due(stage.owner)
    with played(scenario, stage) as lay:
        lay()
        if scenario.retirer:
            acting_as(scenario.retirer)
        (job,) = stage.superuser.execute("SELECT jobid FROM cron.job")
        with retire_fetch("look") as fetch:
            check = check_on(fetch, servers(fetch), job["jobid"], current())
        assert not check.gate(scenario.shows).passed


def test_an_unknown_scenario_names_the_nearest():
    with pytest.raises(gallery.NoScenario, match="The nearest is leaked-lock;"):
        gallery.find("leaked-locks")
