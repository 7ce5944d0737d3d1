"""The gate about a watermark that advances, and when it can pass at the earliest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.health.facts import StateRow
from executions.health.findings import Case
from executions.retirement.gates import GateCode, GateFacts
from executions.retirement.gates.plans import watermark_advancing
from executions.scheduler.plans import newest_due
from tests.gating import DELAY, IDLE, alone, candidate, idle, judged, refusing
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, facts, plan_time
from tests.sizes import sized

EXAMPLES = sized(25, 1000)


def test_nine_of_twelve_plans_must_move_the_watermark():
    assert judged(executions=idle(1, 2, 3)).retirable
    gate = alone(judged(executions=idle(1, 2, 3, 4)), GateCode.WATERMARK_ADVANCING)
    assert (gate.evidence["moved"], gate.evidence["needed"]) == (8, 9)
    # Until an idle plan drops out of the twelve, each new one only replaces one that moved it.
    assert gate.earliest == NEWEST + 8 * CADENCE + DELAY


def test_the_earliest_moment_counts_the_plans_that_drop_out_of_the_twelve():
    gate = judged(executions=idle(8, 9, 10, 11)).gate(GateCode.WATERMARK_ADVANCING)
    assert gate.earliest == NEWEST + CADENCE + DELAY


def test_a_job_that_takes_the_lock_at_every_plan_may_be_paused_first():
    checked = judged(executions=idle(*range(12)))
    assert refusing(checked) == {"watermark_advancing"}
    assert checked.trial


def test_after_a_trial_that_went_well_only_the_plans_since_the_pause_count():
    rows = idle(*range(3, 12))
    assert not judged(executions=rows).retirable
    paused_at = plan_time(3) + DELAY + timedelta(minutes=1)
    assert judged(executions=rows, paused_at=paused_at).retirable
    too_soon = judged(executions=rows, paused_at=plan_time(2) + DELAY + timedelta(minutes=1))
    assert refusing(too_soon) == {"watermark_advancing"}


@pytest.mark.parametrize("streak", [1, 2, 3, 288])
def test_however_short_the_streak_the_plans_of_the_trial_are_looked_at(streak):
    since = plan_time(3) + DELAY + timedelta(minutes=1)
    all_moved = judged(paused_at=since, streak=streak).gate(GateCode.WATERMARK_ADVANCING)
    assert all_moved.passed
    assert (all_moved.evidence["moved"], all_moved.evidence["needed"]) == (3, 3)
    one_did_not = judged(executions=idle(2), paused_at=since, streak=streak)
    gate = one_did_not.gate(GateCode.WATERMARK_ADVANCING)
    assert not gate.passed
    assert (gate.evidence["moved"], gate.evidence["needed"]) == (2, 3)


def test_a_plan_that_began_at_the_very_moment_of_the_pause_does_not_count():
    paused_at = plan_time(2) + DELAY + SECOND
    gate = judged(paused_at=paused_at, streak=3).gate(GateCode.WATERMARK_ADVANCING)
    assert gate.evidence["plans"] == 2


def test_the_more_plans_since_the_pause_the_more_of_them_must_move():
    """Three that did not, of six: half. Of nine it takes seven, and of twelve nine."""
    since = plan_time(3) + DELAY + timedelta(minutes=1)
    gate = judged(executions=idle(0, 1, 2), paused_at=since).gate(GateCode.WATERMARK_ADVANCING)
    assert gate.earliest == NEWEST + 9 * CADENCE + DELAY


@dataclass(frozen=True)
class Plans:
    """The newest plans by age, each with what became of it, and what the gate is asked about."""

    states: list[str]
    streak: int
    paused_at: datetime | None

    COLUMNS = {
        "moved": {},
        "idle": IDLE,
        "running": {"status": "RUNNING"},
        "abandoned": {"status": "RUNNING", "stale_after": NOW - SECOND},
        "to be retried": {"status": "FAILED", "next_retry_at": NOW + SECOND},
        "to be retried too late": {"status": "FAILED", "next_retry_at": NOW + CADENCE},
        "failed": {"status": "FAILED", "attempt": 3},
        "missing": None,
    }

    def laid(self):
        """Twice the longest streak of these tests; nothing older moved the watermark."""
        ages = dict(enumerate(self.states))
        kinds = {age: ages.get(age, "idle") for age in range(48)}
        changed = {age: self.COLUMNS[kind] for age, kind in kinds.items()}
        return executions(changed, count=len(kinds))

    def gate(self):
        return self.judged(self.laid(), NOW)

    def judged(self, laid, moment):
        all_facts = facts(
            executions=laid,
            ground=replace(facts().ground, now=moment),
            state=StateRow(watermark_at=moment - DELAY),
        )
        case = Case.of(all_facts)
        return watermark_advancing(
            GateFacts(
                jobid=17,
                role="retirer",
                candidate=candidate(),
                case=case,
                streak=self.streak,
                paused_at=self.paused_at,
            ),
            case,
        )

    def at_best(self, moment):
        """The gate then, if every plan that can has moved the watermark by then.

        A plan that runs can. Of the others the newest can until the next one is due, while attempts
        are left, and it is begun anew; so can those that are to come.
        """
        coming = (newest_due(facts().spec, moment) - NEWEST) // CADENCE
        rows = {row.plan_time: row for row in self.laid().rows}
        for at, row in rows.items():
            if row.running and not row.is_stale(NOW):
                rows[at] = execution(0, plan_time=at, started_at=row.started_at)
        retry = {"to be retried": NOW + SECOND, "missing": NOW, "abandoned": NOW}
        again = retry.get(self.states[0]) if self.states else None
        if again is not None and again <= moment:
            rows[NEWEST] = execution(0, started_at=again, finished_at=again)
        rows |= {plan_time(-ahead): execution(-ahead) for ahead in range(1, coming + 1)}
        newest_first = tuple(rows[at] for at in sorted(rows, reverse=True))
        return self.judged(replace(self.laid(), rows=newest_first), moment)


@st.composite
def any_plans(draw):
    states = draw(st.lists(st.sampled_from(sorted(Plans.COLUMNS)), max_size=30))
    paused = draw(st.none() | st.integers(0, 30))
    paused_at = None if paused is None else plan_time(paused) + DELAY + 2 * SECOND
    return Plans(states, draw(st.integers(1, 24)), paused_at)


@settings(deadline=None, max_examples=EXAMPLES)  # each lays several days of plans
@given(any_plans())
def test_the_watermark_can_pass_at_the_moment_that_is_named_and_no_sooner(plans):
    gate = plans.gate()
    if gate.passed:
        assert gate.earliest is None
        return
    assert plans.at_best(gate.earliest).passed
    if gate.earliest > NOW:
        assert not plans.at_best(gate.earliest - SECOND).passed


def test_a_newest_plan_that_runs_may_move_the_watermark_at_any_moment():
    rows = executions({0: {"status": "RUNNING"}, **dict.fromkeys((9, 10, 11, 12), IDLE)})
    assert judged(executions=rows).gate(GateCode.WATERMARK_ADVANCING).earliest == NOW


def test_a_newest_plan_that_waits_for_its_retry_may_move_it_then_if_no_plan_is_due_before():
    def earliest(retry):
        newest = {"status": "FAILED", "next_retry_at": retry}
        rows = executions({0: newest, **dict.fromkeys((9, 10, 11), IDLE)})
        return judged(executions=rows).gate(GateCode.WATERMARK_ADVANCING).earliest

    next_due = NEWEST + CADENCE + DELAY
    assert earliest(NOW + 30 * SECOND) == NOW + 30 * SECOND
    assert earliest(next_due + SECOND) == next_due


@pytest.mark.parametrize("streak", [1, 2, 3, 288])
def test_the_moment_is_named_for_the_shortest_and_the_longest_streak(streak):
    plans = Plans(["idle"], streak, plan_time(0) + DELAY + 2 * SECOND)
    assert plans.at_best(plans.gate().earliest).passed


@pytest.mark.parametrize(("minutes", "passes"), [(19, True), (20, False)])
def test_the_watermark_must_lag_less_than_20_minutes(minutes, passes):
    state = StateRow(watermark_at=NOW - timedelta(minutes=minutes))
    checked = judged(state=state)
    assert checked.gate(GateCode.WATERMARK_ADVANCING).passed is passes
    if not passes:
        alone(checked, GateCode.WATERMARK_ADVANCING)


def test_without_a_state_row_nothing_advances():
    assert "watermark_advancing" in refusing(judged(state=None))
