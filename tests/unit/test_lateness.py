"""Silence and lag, second by second: when each level begins, and that nothing flaps there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from executions.health.assessment import assess
from executions.health.facts import Ground, StateRow
from executions.health.findings import Case, Finding, FindingCode, Severity
from executions.health.verdict import Level, Verdict
from executions.retirement.gates import plans as plan_gates
from executions.retirement.gates.gate import GateFacts
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, facts, plan_time
from tests.sizes import sized

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
MARGIN = 5 * MINUTE
AROUND = sized((-15, -5, -1, 0, 1, 2, 15), range(-15, 16))
# The seconds around where a level could begin by either limit, and some in between.
SECONDS = sorted(
    {
        *range(0, 70 * 60, sized(300, 60)),
        *(at + around for at in (900, 1200, 3600, 3900) for around in AROUND),
        *(at - 240 + around for at in (900, 3600) for around in range(-3, 4)),
        *(at - 40 + around for at in (900, 3600) for around in range(-3, 4)),
    }
)
FAILED = {"status": "FAILED", "error_code": "handler_error", "error_msg": "boom"}


def at(moment: datetime, **known) -> Verdict:
    ground = facts().ground
    assert isinstance(ground, Ground)
    return assess(facts(ground=replace(ground, now=moment), **known)).verdict


def everything(findings: tuple[Finding, ...]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        yield from everything(finding.explains)


def severity(verdict: Verdict, code: FindingCode) -> Severity | None:
    return next((one.severity for one in everything(verdict.findings) if one.code is code), None)


@dataclass(frozen=True)
class Stopped:
    """A rollup whose runs take ``taking``, after its last success."""

    taking: timedelta = SECOND
    lag_before: timedelta = timedelta()

    @property
    def ended(self) -> datetime:
        return plan_time(0) + CADENCE + SECOND + self.taking

    def after(self, age: timedelta) -> Verdict:
        started = self.ended - self.taking
        milliseconds = int(self.taking.total_seconds() * 1000)
        runs = {
            n: {
                "started_at": started - n * CADENCE,
                "finished_at": self.ended - n * CADENCE,
                "duration_ms": milliseconds,
            }
            for n in range(12)
        }
        state = StateRow(started - MARGIN - self.lag_before, last_run_finished_at=self.ended)
        return at(
            self.ended + age,
            executions=executions(runs, count=12, since=plan_time(11)),
            state=state,
        )


@pytest.mark.parametrize("taking", [SECOND, 40 * SECOND, 4 * MINUTE])
def test_in_a_silence_both_findings_reach_each_level_in_the_same_second(taking):
    stopped = Stopped(taking)
    for second in SECONDS:
        verdict = stopped.after(second * SECOND)
        stale = severity(verdict, FindingCode.LATEST_STALE)
        assert severity(verdict, FindingCode.WATERMARK_LAG) is stale, second
        assert FindingCode.WATERMARK_LAG not in {one.code for one in verdict.findings}, second
        late = Level.DEGRADED if second <= 3600 else Level.FAILING
        assert verdict.level is (late if second > 900 else Level.HEALTHY), second


@pytest.mark.parametrize(
    "lost",
    [None, FAILED, {"rows_affected": 0, "watermark_after": plan_time(1) + SECOND - CADENCE}],
    ids=["missed", "failed", "found the lock taken"],
)
def test_one_lost_plan_is_healthy_in_every_second(lost):
    """Until the next plan, begun as late as a tick may be, has ended."""
    before = plan_time(1) + CADENCE + SECOND
    if lost and "rows_affected" in lost:
        lost = lost | {"watermark_before": before - CADENCE, "watermark_after": before - CADENCE}
    known = executions({0: lost}, count=6, since=plan_time(5))
    state = StateRow(before - MARGIN, last_run_finished_at=before + SECOND)
    last = plan_time(-1) + CADENCE + timedelta(seconds=90)
    moment = NEWEST + CADENCE + 2 * SECOND
    while moment <= last:
        assert at(moment, executions=known, state=state).level is Level.HEALTHY, moment
        moment += 3 * SECOND


@pytest.mark.parametrize(
    ("lag", "level"),
    [
        (20 * MINUTE, Level.HEALTHY),
        (20 * MINUTE + SECOND, Level.DEGRADED),
        (65 * MINUTE, Level.DEGRADED),
        (65 * MINUTE + SECOND, Level.FAILING),
    ],
)
def test_while_runs_succeed_the_watermark_may_be_twenty_minutes_old(lag, level):
    verdict = at(NOW, state=StateRow(NOW - lag))
    assert verdict.level is level
    assert (severity(verdict, FindingCode.WATERMARK_LAG) is None) is (level is Level.HEALTHY)


@pytest.mark.parametrize(
    ("lag", "passed"), [(20 * MINUTE - SECOND, True), (20 * MINUTE + SECOND, False), (HOUR, False)]
)
def test_the_gate_and_the_finding_agree_about_the_lag(lag, passed):
    known = facts(state=StateRow(NOW - lag))
    assessment = assess(known)
    case = Case.of(known)
    gate = plan_gates.watermark_advancing(GateFacts(17, "retirer", None, case, 12), case)
    assert gate.passed is passed
    assert (severity(assessment.verdict, FindingCode.WATERMARK_LAG) is None) is passed
    if not passed:
        assert "20 min" in str(gate.summary)


def test_a_lag_from_before_a_silence_never_gets_milder_in_it():
    """Three hours behind, and then the runs end too."""
    stopped = Stopped(lag_before=3 * HOUR)
    for second in SECONDS:
        verdict = stopped.after(second * SECOND)
        assert verdict.level is Level.FAILING, second


def test_in_a_silence_the_silence_leads_and_is_no_milder_than_the_lag_under_it():
    verdict = Stopped(lag_before=3 * HOUR).after(20 * MINUTE)
    (stale,) = verdict.findings
    assert stale.code is FindingCode.LATEST_STALE
    assert [one.code for one in stale.explains] == [FindingCode.WATERMARK_LAG]
    assert stale.severity is stale.explains[0].severity is Severity.CRITICAL


def test_only_where_runs_succeed_now_is_it_said_and_the_lock_named():
    succeeding = at(NOW, state=StateRow(NOW - 3 * HOUR)).findings[0]
    assert succeeding.code is FindingCode.WATERMARK_LAG
    assert "although" in str(succeeding.summary)
    assert "4246" in str(succeeding.advice)
    failed = executions({0: FAILED})
    silent = Stopped(lag_before=3 * HOUR).after(20 * MINUTE).findings
    failing = at(NOW, executions=failed, state=StateRow(NOW - 3 * HOUR)).findings
    for finding in (*everything(silent), *everything(failing)):
        assert "although" not in str(finding.summary)
        assert "4246" not in str(finding.advice)


def test_while_it_catches_up_the_lag_repeats_nothing_and_names_no_lock():
    reached = NOW - 60 * 24 * HOUR
    step = {0: {"watermark_before": reached - 24 * HOUR, "watermark_after": reached}}
    (found,) = at(NOW, state=StateRow(reached), executions=executions(step)).findings
    assert found.code is FindingCode.WATERMARK_CATCHING_UP
    (lag,) = found.explains
    assert "although" not in str(lag.summary)
    assert "4246" not in str(lag.advice)


def test_in_a_silence_nothing_is_said_twice():
    (stale,) = Stopped().after(30 * MINUTE).findings
    said = [str(stale.summary), *(str(one.summary) for one in stale.explains)]
    sentences = [one for text in said for one in text.replace("?", ".").split(". ")]
    assert len(sentences) == len(set(sentences))
    assert sum("Usage numbers stop at" in text for text in said) == 1
    assert sum("Raw usage is kept" in text for text in said) == 1


def test_success_of_a_run_that_takes_long_does_not_flap_while_the_next_one_runs():
    """Eight minutes for each run: the watermark is 21 minutes old before the next one ends."""
    taking = 8 * MINUTE
    started = plan_time(2) + CADENCE + SECOND
    known = executions(
        {
            0: {"status": "RUNNING", "started_at": started + taking},
            1: None,
            2: {"finished_at": started + taking, "duration_ms": 480_000},
        },
        count=6,
        since=plan_time(5),
    )
    state = StateRow(started - MARGIN)
    for second in range(0, int(taking.total_seconds()), 3):
        moment = started + taking + second * SECOND
        verdict = at(moment, executions=known, state=state)
        assert severity(verdict, FindingCode.WATERMARK_LAG) is None, second


def test_a_silence_is_not_said_beside_a_multica_that_has_no_scheduler():
    ground = facts().ground
    assert isinstance(ground, Ground)
    verdict = assess(
        facts(
            ground=replace(ground, has_executions=False),
            executions=executions(count=0, first_plan=None),
            first_trace=NOW - 30 * HOUR,
        )
    ).verdict
    assert [one.code for one in verdict.findings] == [FindingCode.SCHEDULER_NOT_INSTALLED]


def test_a_run_that_succeeded_long_ago_is_as_silent_as_the_age_of_its_end():
    old = execution(400)
    known = executions(count=0, earlier=old, earlier_success=old)
    verdict = at(NOW, executions=known, state=StateRow(old.plan_time))
    (stale,) = verdict.findings
    assert stale.code is FindingCode.LATEST_STALE
    assert [one.code for one in stale.explains] == [FindingCode.WATERMARK_LAG]
