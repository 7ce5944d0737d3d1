"""The verdict: severity decides, what another finding explains does not count, sentences say it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils.html import escape

from executions.health.assessment import as_json, assess, plain
from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Match, PgCron, PgCronJob, RollupCall, Visibility
from executions.health.facts.sessions import Lock
from executions.health.findings import Case, Finding, FindingCode, Severity
from executions.health.findings.progress import NEVER
from executions.health.verdict import EXPLAINED_BY, FAILURES, Level, fold
from executions.text.problem import Problem
from executions.text.sentences import Ago, At, say, together
from tests.judging import IDLE, LOST
from tests.pictures import CADENCE, NEWEST, NOW, execution, executions, facts, plan_time

FAILED = {"status": "FAILED", "error_code": "handler_error", "error_msg": "boom"}
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
UNREADABLE = Problem("The table may not be read.", "Grant SELECT.")


def case_of(*, behind=CADENCE, changed=None) -> Case:
    """A day with ``changed`` plans, whose last success left the watermark so far behind itself."""
    known = executions(changed)
    success = known.latest_success(NOW)
    assert success is not None
    assert success.finished_at is not None
    state = StateRow(watermark_at=success.finished_at - behind)
    case = Case.of(facts(executions=known, state=state))
    assert case is not None
    return case


def finding(code: FindingCode, severity: Severity = Severity.INFO) -> Finding:
    return Finding(code, severity, say("x"), say("y"), NEWEST)


# The last four plans failed, after a success that left the watermark where it should be.
HALTED = case_of(changed=dict.fromkeys(range(4), FAILED))


def call(jobid, match, *, gone=False):
    job = PgCronJob(jobid, "a name", "*/5 * * * *", "a command", "multica", "postgres", active=True)
    return RollupCall(job, match, "rollup_task_usage_hourly", gone)


@pytest.mark.parametrize(
    ("changed", "level"),
    [
        ({}, Level.HEALTHY),
        ({4: FAILED}, Level.HEALTHY),
        ({4: FAILED, 6: FAILED}, Level.DEGRADED),
        ({0: FAILED | {"attempt": 3}}, Level.FAILING),
    ],
)
def test_the_worst_severity_decides(changed, level):
    assert assess(facts(executions=executions(changed))).verdict.level is level


@pytest.mark.parametrize("basic", ["ground", "executions", "state"])
def test_a_basic_that_cannot_be_read_makes_the_verdict_unknown_and_says_why(basic):
    assessment = assess(facts(**{basic: UNREADABLE}))
    assert assessment.verdict.level is Level.UNKNOWN
    assert str(assessment.verdict.summary) == (
        "We cannot tell whether usage is up to date. The table may not be read."
    )
    assert assessment.ledger is None
    assert assessment.figures.success_streak is None


@pytest.mark.parametrize("other", ["queue", "lock", "pg_cron", "drift", "own_runners"])
def test_any_other_fact_that_cannot_be_read_is_said_and_changes_no_verdict(other):
    verdict = assess(facts(**{other: UNREADABLE})).verdict
    assert verdict.level is Level.HEALTHY
    assert [one.code for one in verdict.findings] == [FindingCode.NOT_AVAILABLE]


def test_one_reason_is_said_once_however_much_it_hides():
    verdict = assess(facts(queue=UNREADABLE, lock=UNREADABLE)).verdict
    (found,) = verdict.findings
    assert found.evidence["what"] == ["dirty_queue", "lock"]


@pytest.mark.parametrize("code", list(EXPLAINED_BY))
def test_a_finding_goes_under_the_one_that_explains_it_and_counts_no_more(code):
    for reason in EXPLAINED_BY[code]:
        (top,) = fold([finding(code, Severity.WARNING), finding(reason, Severity.WARNING)], HALTED)
        assert (top.code, [one.code for one in top.explains]) == (reason, [code])
    (alone,) = fold([finding(code)], HALTED)
    assert alone.code is code


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize(
    ("severities", "case", "is_explained"),
    [
        ((Severity.WARNING, Severity.WARNING), "halted", True),
        ((Severity.CRITICAL, Severity.CRITICAL), "halted", True),
        ((Severity.CRITICAL, Severity.WARNING), "halted", False),
        ((Severity.WARNING, Severity.INFO), "halted", False),
        ((Severity.WARNING, Severity.WARNING), "succeeded since", False),
        ((Severity.WARNING, Severity.WARNING), "moved beyond it since", False),
        ((Severity.WARNING, Severity.WARNING), "lagged before", False),
    ],
)
def test_a_failure_explains_a_lag_that_began_with_it_and_none_that_is_worse(
    failure, severities, case, is_explained
):
    lag, reason = severities
    cases = {
        "halted": HALTED,
        "succeeded since": case_of(changed={4: FAILED}),
        "moved beyond it since": case_of(behind=-CADENCE, changed=dict.fromkeys(range(2), FAILED)),
        "lagged before": case_of(behind=2 * HOUR, changed=dict.fromkeys(range(4), FAILED)),
    }
    newest_failure = {"succeeded since": 4}.get(case, 0)
    failed = replace(finding(failure, reason), seen_at=plan_time(newest_failure))
    found = fold([finding(FindingCode.WATERMARK_LAG, lag), failed], cases[case])
    assert (len(found) == 1) is is_explained


def test_an_old_failure_hides_no_lag():
    assessment = assess(
        facts(executions=executions({240: FAILED}), state=StateRow(watermark_at=NOW - 3 * HOUR))
    )
    assert assessment.verdict.level is Level.FAILING
    assert [one.code for one in assessment.verdict.findings] == [
        FindingCode.WATERMARK_LAG,
        FindingCode.PLAN_ABANDONED,
    ]


@pytest.mark.parametrize(
    ("watermark", "said"),
    [
        (NEVER, "Nothing is wrong so far: no run has succeeded yet, and none is late. Usage pages"),
        (NOW - DAY, "Nothing is wrong so far: no run has succeeded yet, and none is late. Usage n"),
    ],
)
def test_before_the_first_success_nothing_is_called_up_to_date(watermark, said):
    first = executions({0: FAILED}, count=1, first_plan=plan_time(0))
    verdict = assess(facts(executions=first, state=StateRow(watermark))).verdict
    assert verdict.level is Level.HEALTHY
    assert str(verdict.summary).startswith(said)
    assert "up to date" not in str(verdict.summary)
    assert "by itself" not in str(verdict.summary)


@pytest.mark.parametrize("ended", [-DAY, -CADENCE, CADENCE, 2 * DAY])
@pytest.mark.parametrize("missing", [4, 20, 288, 312])
def test_while_due_plans_are_missing_and_usage_stands_nothing_is_healthy(missing, ended):
    newest = execution(missing, finished_at=NOW + ended)
    older = {"earlier": newest, "earlier_success": newest} if missing > 288 else {}
    changed = dict.fromkeys(range(missing)) | {missing: {"finished_at": newest.finished_at}}
    verdict = assess(
        facts(executions=executions(changed, **older), state=StateRow(plan_time(missing)))
    ).verdict
    assert verdict.level in {Level.DEGRADED, Level.FAILING}
    assert "none is late" not in str(verdict.summary)


def test_explanations_nest():
    codes = (FindingCode.WATERMARK_LAG, FindingCode.LATEST_STALE, FindingCode.NO_EXECUTIONS)
    (top,) = fold(map(finding, codes), case_of(changed=dict.fromkeys(range(6))))
    assert top.code is FindingCode.NO_EXECUTIONS
    assert top.explains[0].explains[0].code is FindingCode.WATERMARK_LAG


def test_findings_stand_worst_first():
    severities = (Severity.INFO, Severity.CRITICAL, Severity.WARNING)
    codes = (FindingCode.TABLE_GROWTH, FindingCode.RUNNING_STALE, FindingCode.PLAN_GAP)
    folded = fold(map(finding, codes, severities), case_of())
    assert [one.severity for one in folded] == sorted(severities, reverse=True)


def test_a_verdict_that_is_not_healthy_says_its_worst_finding():
    verdict = assess(facts(executions=executions({0: FAILED | {"attempt": 3}}))).verdict
    assert str(verdict.summary).startswith("The newest update of usage")


@pytest.mark.parametrize(
    ("ours", "said"),
    [
        (frozenset(), "Multica's backend does this by itself."),
        (frozenset({"backend"}), "This installation's own runner does this."),
        (frozenset({"other"}), "Multica's backend and this installation's own runner share"),
    ],
)
def test_a_healthy_verdict_says_who_does_the_work(ours, said):
    known = executions({2: {"runner_id": "other"}} if "other" in ours else {})
    summary = str(assess(facts(executions=known, own_runners=ours)).verdict.summary)
    assert summary.startswith("Usage is up to date to 00:55 UTC.")
    assert said in summary


@pytest.mark.parametrize(
    ("calls", "said"),
    [
        ((call(17, Match.EXACT),), "pg_cron job 17 repeats the work and can be removed;"),
        ((call(17, Match.EXACT, gone=True),), "which this database does not have: every run"),
        ((call(17, Match.WRAPPED),), "pg_cron job 17 reaches rollup_task_usage_hourly() through"),
        ((call(17, Match.WINDOW),), "for a window of its own: find out what for"),
        ((call(17, Match.LEGACY),), "newer versions of Multica remove it"),
        ((call(17, Match.LEGACY, gone=True),), "which this database does not have: every run"),
        ((call(17, Match.MULTIPLE),), "and does other things beside it"),
        ((call(3, Match.WRAPPED), call(17, Match.EXACT)), "pg_cron job 17 repeats the work"),
        ((), None),
    ],
)
def test_a_healthy_verdict_says_what_a_job_does_and_only_a_plain_call_can_be_removed(calls, said):
    seen = PgCron(Visibility.FULL, "1.4", "multica", calls=calls)
    summary = str(assess(facts(pg_cron=seen)).verdict.summary)
    assert said in summary if said else "pg_cron" not in summary
    plain = any(one.match is Match.EXACT and not one.gone for one in calls)
    assert ("can be removed" in summary) is plain


def test_a_healthy_verdict_names_every_job_that_leads_to_the_rollup():
    calls = (
        call(3, Match.WRAPPED),
        call(17, Match.EXACT),
        call(18, Match.EXACT),
        call(20, Match.EXACT),
    )
    seen = PgCron(Visibility.FULL, "1.4", "multica", calls=calls)
    summary = str(assess(facts(pg_cron=seen)).verdict.summary)
    assert "pg_cron jobs 17, 18, 20 repeat the work and can be removed;" in summary
    assert "pg_cron job 3 reaches" in summary


@pytest.mark.parametrize(
    ("visibility", "said"),
    [
        (Visibility.FULL, None),
        (Visibility.ABSENT, None),
        (Visibility.FILTERED, "may not see other owners' jobs"),
        (Visibility.NO_ACCESS, "may not look at cron.job"),
        (Visibility.ELSEWHERE, "in the database postgres"),
        (Visibility.UNKNOWN, "cannot tell"),
    ],
)
def test_what_pg_cron_may_hide_is_never_called_none(visibility, said):
    findings = assess(facts(pg_cron=PgCron(visibility, database="postgres"))).verdict.findings
    assert [str(one.summary) for one in findings if said not in str(one.summary)] == []
    assert len(findings) == (said is not None)


def test_a_sentence_is_escaped_on_a_page_and_its_times_go_on_ageing():
    sentence = say(
        "%(error)s at %(plan)s, %(ago)s",
        error="<b>&",
        plan=At(NEWEST, NOW),
        ago=Ago(NOW - CADENCE, NOW),
    )
    assert str(sentence) == "<b>& at 00:55 UTC, 5 min ago"
    shown = sentence.html()
    assert escape("<b>&") in shown
    assert shown.count("<time ") == 2
    assert "data-relative" in shown


def test_sentences_stand_together_and_leave_out_what_is_none():
    both = together(say("One."), None, say("Two %(n)s.", n="<"))
    assert str(both) == "One. Two <."
    assert both.html() == "One. Two &lt;."


def test_a_moment_of_more_than_half_a_day_ago_is_told_with_its_date():
    assert str(At(NOW - 144 * CADENCE, NOW)) == "2026-03-28 13:02 UTC"
    assert str(At(NOW - 143 * CADENCE, NOW)) == "13:07 UTC"


def test_the_json_has_every_figure_and_counts_that_are_unknown_are_zero():
    known = as_json(assess(facts()), NOW)
    assert known["checked_at"] == "2026-03-29T01:02:00Z"
    assert known["figures"] == {
        "latest_success_age_seconds": 118.0,
        "latest_plan_age_seconds": 420.0,
        "watermark_lag_seconds": 419.0,
        "last_run_age_seconds": 120.0,
        "success_streak": 288,
        "plans_expected_24h": 288,
        "plans_missing_24h": 0,
        "retried_24h": 0,
        "failed_24h": 0,
        "runners_24h": 1,
        "p50_ms": 1000.0,
        "p95_ms": 1000.0,
    }
    unknown = as_json(assess(facts(ground=UNREADABLE)), NOW)
    assert unknown["figures"]["success_streak"] == 0  # type: ignore[index]
    assert unknown["figures"]["p95_ms"] is None  # type: ignore[index]
    assert unknown["checked_at"] == "2026-03-29T01:02:00Z"


def test_evidence_becomes_plain_json():
    assert plain({"at": NOW, "codes": (Severity.INFO, FindingCode.PLAN_GAP), "n": None}) == {
        "at": "2026-03-29T01:02:00Z",
        "codes": [1, "plan_gap"],
        "n": None,
    }


def test_a_leaked_lock_leads_before_the_lag_that_it_causes_and_says_how_far_usage_is():
    reached = plan_time(24)
    kept = Lock((replace(IDLE, since=reached),))
    lost = executions(dict.fromkeys(range(24), LOST))
    verdict = assess(facts(executions=lost, lock=kept, state=StateRow(reached))).verdict
    (leak,) = verdict.findings
    assert leak.code is FindingCode.LOCK_LEAKED
    assert {one.code for one in leak.explains} == {FindingCode.LOCK_LOST, FindingCode.WATERMARK_LAG}
    said = f"Usage numbers stop at {reached:%H:%M} UTC. An idle session"
    assert str(verdict.summary).startswith(said)
