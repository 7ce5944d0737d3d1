"""The gates over facts in memory: for each one a case in which it alone refuses, and why."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Match, Visibility
from executions.health.findings import Case, find
from executions.pgcron.job import Candidate, Inventory, Job, JobProcess, Rights, Server
from executions.pgcron.match import Judgement
from executions.retirement.gates import Aim, Check, GateCode, GateFacts, check
from executions.retirement.gates.gate import APPLIES
from executions.retirement.gates.plans import watermark_advancing
from executions.retirement.report import REFUSED, UNKNOWN, Judged, RetirementReport
from executions.scheduler.plans import newest_due
from executions.text.problem import Problem
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, facts, plan_time
from tests.sizes import sized

DELAY = timedelta(minutes=5)
EXAMPLES = sized(25, 1000)
JOB = Job(
    jobid=17,
    jobname="rollup_task_usage_hourly",
    schedule="*/5 * * * *",
    command="SELECT rollup_task_usage_hourly()",
    database="multica",
    owner="postgres",
    active=True,
)
RIGHTS = Rights("retirer", retire=True, deactivate=True, put_back=True)
SERVER = Server(
    identifier="7",
    started_at=NOW,
    database="multica",
    port=5432,
    address=None,
    cron_host=None,
    background_workers=False,
    role="retirer",
    now=NOW,
)
EXACT = Judgement(Match.EXACT, ("rollup_task_usage_hourly",))
LEGACY = Judgement(Match.LEGACY, ("rollup_task_usage_daily",))
RUNNING = JobProcess(4711, NOW, "postgres", "multica", JOB.command)


def candidate(**known) -> Candidate:
    whole = {
        "job": JOB,
        "judgement": EXACT,
        "rights": RIGHTS,
        "same_database": True,
        "in_flight": (),
    }
    return Candidate(**whole | known)


def judged(seen: Candidate | None = None, *, streak: int = 12, hidden=False, **known) -> Check:
    """The gates on a healthy install, but for what is given."""
    outside = {name: known.pop(name) for name in ("affirmed_by", "paused_at") if name in known}
    all_facts = facts(**known)
    case = Case.of(all_facts)
    return check(
        GateFacts(
            jobid=17,
            role="retirer",
            candidate=None if hidden else seen or candidate(),
            case=case,
            streak=streak,
            findings=tuple(find(all_facts, case)) if case else (),
            unreadable=all_facts.basics,
            **outside,
        )
    )


def refusing(checked: Check, aim: Aim = Aim.EXACT) -> set[str]:
    return {gate.code.value for gate in checked.refusals(aim)}


def alone(checked: Check, code: GateCode, aim: Aim = Aim.EXACT):
    assert refusing(checked, aim) == {code.value}
    return checked.gate(code)


def test_on_a_healthy_install_every_gate_passes():
    checked = judged()
    assert [gate.code for gate in checked.gates if not gate.passed] == []
    assert checked.retirable
    assert checked.trial
    assert checked.earliest is None


@pytest.mark.parametrize(
    ("aim", "without"),
    [
        (Aim.EXACT, {GateCode.MAY_DEACTIVATE, GateCode.FUNCTION_ABSENT}),
        (Aim.TRIAL, {GateCode.PRIVILEGED, GateCode.FUNCTION_ABSENT, GateCode.WATERMARK_ADVANCING}),
        (
            Aim.LEGACY,
            {
                GateCode.MAY_DEACTIVATE,
                GateCode.SUCCESS_STREAK,
                GateCode.BACKEND_RUNNER,
                GateCode.WATERMARK_ADVANCING,
                GateCode.NO_CRITICAL_FINDINGS,
            },
        ),
    ],
)
def test_each_aim_has_the_gates_of_the_table(aim, without):
    assert set(GateCode) - without == APPLIES[aim]


def test_a_job_that_cannot_be_read_is_refused_as_unseen_and_not_as_nothing():
    checked = judged(hidden=True)
    assert not checked.gate(GateCode.VISIBLE).passed
    assert not checked.retirable
    assert not checked.trial
    assert "row security" in str(checked.gate(GateCode.VISIBLE).summary)


def test_without_the_right_to_unschedule_only_privileged_refuses_and_a_trial_may_be_had():
    checked = judged(candidate(rights=replace(RIGHTS, retire=False)))
    gate = alone(checked, GateCode.PRIVILEGED)
    assert "DELETE on cron.job" in str(gate.remedy)
    assert checked.trial
    assert checked.by_hand


def test_without_the_right_to_alter_only_the_trial_is_refused():
    checked = judged(candidate(rights=replace(RIGHTS, deactivate=False)))
    assert checked.retirable
    alone(checked, GateCode.MAY_DEACTIVATE, Aim.TRIAL)
    assert not checked.trial


@pytest.mark.parametrize("same", [False, None])
def test_a_job_of_another_database_is_refused(same):
    seen = candidate(same_database=same, job=replace(JOB, database="other"))
    gate = alone(judged(seen), GateCode.SAME_DATABASE)
    assert gate.evidence["database"] == "other"
    assert refusing(judged(seen), Aim.TRIAL) == {"same_database"}


@pytest.mark.parametrize("is_standby", [False, True])
def test_a_job_of_another_database_belongs_elsewhere_unless_a_standby_shows_it(is_standby):
    shown_by = replace(SERVER, is_standby=is_standby)
    seen = candidate(same_database=False, server=shown_by, multica=shown_by)
    assert judged(seen).belongs_elsewhere is (not is_standby)


@pytest.mark.parametrize("aim", [Aim.EXACT, Aim.TRIAL])
def test_a_library_that_is_not_loaded_refuses_removal_trial_and_removal_by_hand(aim):
    checked = judged(candidate(loaded=False))
    gate = alone(checked, GateCode.LOADED, aim)
    assert "shared_preload_libraries" in str(gate.remedy)
    assert not checked.by_hand
    assert judged(candidate(loaded=None)).retirable


def test_a_host_that_nobody_knows_is_cannot_tell_with_the_evidence():
    here = replace(SERVER, address="10.0.0.5", cron_host="db.internal")
    job = replace(JOB, nodename="elsewhere")
    checked = judged(candidate(same_database=None, job=job, server=here, multica=here))
    gate = alone(checked, GateCode.SAME_DATABASE)
    assert "elsewhere:5432, and nobody can tell whether that is this server" in str(gate.summary)
    assert "localhost, 127.0.0.1, ::1, 10.0.0.5, db.internal on port 5432" in str(gate.summary)
    assert gate.evidence["this_server"] == "localhost, 127.0.0.1, ::1, 10.0.0.5, db.internal"
    assert "not in Multica's" not in str(gate.summary)
    assert "another name of this server" in str(gate.remedy)
    assert not checked.explained_only


def test_a_multica_that_does_not_answer_is_not_another_multica():
    checked = judged(candidate(same_database=None, server=SERVER, multica=None))
    gate = alone(checked, GateCode.SAME_DATABASE)
    assert "Multica's database does not answer" in str(gate.summary)
    assert str(gate.remedy) == "Look again when Multica's database answers."
    assert not checked.explained_only


@pytest.mark.parametrize("match", [Match.WRAPPED, Match.WINDOW, Match.MULTIPLE])
def test_a_command_that_is_more_than_the_rollup_is_explained_with_the_statement_to_run(match):
    seen = candidate(judgement=Judgement(match, ("rollup_task_usage_hourly",), ("a DO block",)))
    gate = alone(judged(seen), GateCode.COMMAND_MATCHES)
    assert gate.evidence["match"] == match.value
    assert "SELECT cron.unschedule(17);" in str(gate.remedy)
    assert not judged(seen).trial
    assert not judged(seen).by_hand


def test_a_command_that_nobody_can_read_is_refused_and_not_said_to_lead_anywhere():
    unread = Judgement(Match.WRAPPED, (), ("a DO block",), readable=False)
    gate = alone(judged(candidate(judgement=unread)), GateCode.COMMAND_MATCHES)
    assert "nobody can read (a DO block): it may call the rollup, or not" in str(gate.summary)
    assert gate.evidence["functions"] == []


@pytest.mark.parametrize(
    ("namesake", "told"),
    [("mine.rollup_task_usage_hourly", "means mine.rollup_task_usage_hourly, and not"),
     ("", "means no function, and not")],
)  # fmt: skip
def test_a_bare_name_that_means_something_else_to_its_owner_is_explained(namesake, told):
    missing = Judgement(Match.MULTIPLE, (), (namesake,), namesake=namesake)
    gate = alone(judged(candidate(judgement=missing)), GateCode.COMMAND_MATCHES)
    assert str(gate.summary).startswith(f"To {JOB.owner}, who runs it, the name without a schema")
    assert told in str(gate.summary)
    assert gate.evidence["namesake"] == namesake
    assert "SELECT cron.unschedule(17);" in str(gate.remedy)


def test_a_legacy_job_passes_without_any_plan_once_its_function_is_gone():
    seen = candidate(judgement=LEGACY, legacy_function_exists=False)
    checked = judged(seen, executions=executions(count=0), state=None)
    assert checked.aim is Aim.LEGACY
    assert checked.retirable
    assert not checked.trial
    assert {gate.code for gate in checked.gates} == APPLIES[Aim.LEGACY]


@pytest.mark.parametrize(("exists", "is_known"), [(True, True), (None, False)])
def test_a_legacy_job_whose_function_may_exist_is_not_removed(exists, is_known):
    seen = candidate(judgement=LEGACY, legacy_function_exists=exists)
    checked = judged(seen)
    gate = alone(checked, GateCode.FUNCTION_ABSENT, Aim.LEGACY)
    assert gate.judged is is_known
    assert checked.undecided is not is_known
    assert ("Upgrade Multica first" in str(gate.remedy)) is is_known
    found = RetirementReport(Inventory(Visibility.FULL), (Judged(seen, checked, None),))
    assert found.exit_status == (REFUSED if is_known else UNKNOWN)


@pytest.mark.parametrize(
    ("changed", "broken", "word", "succeeded"),
    [
        ({5: None}, 5, "was missed", 5),
        ({5: {"status": "FAILED"}}, 5, "failed", 5),
        ({11: {"status": "FAILED", "attempt": 3}}, 11, "failed", 11),
        ({3: {"status": "RUNNING"}}, 3, "is still running", 3),
        ({3: {"status": "RUNNING", "stale_after": NOW - SECOND}}, 3, "abandoned", 3),
        ({0: {"status": "FAILED", "attempt": 3}}, 0, "failed", 0),
    ],
)
def test_the_streak_says_which_plan_broke_it_and_when_it_can_pass(changed, broken, word, succeeded):
    checked = judged(executions=executions(changed))
    gate = checked.gate(GateCode.SUCCESS_STREAK)
    assert not gate.passed
    assert gate.evidence["succeeded"] == succeeded
    assert gate.evidence["broken_by"] == plan_time(broken)
    assert word in str(gate.summary)
    assert gate.earliest == plan_time(broken) + 12 * CADENCE + DELAY
    assert checked.earliest == gate.earliest


def test_a_gap_in_the_streak_refuses_alone():
    alone(judged(executions=executions({5: None})), GateCode.SUCCESS_STREAK)


def test_the_sentence_of_the_streak_is_the_one_of_the_example():
    gate = judged(executions=executions({7: None})).gate(GateCode.SUCCESS_STREAK)
    assert str(gate.summary) == (
        "Not yet: 7 of the 12 most recent plans succeeded without a gap (00:20 UTC was missed)."
        " At the earliest 01:25 UTC."
    )


def test_a_plan_before_the_streak_breaks_nothing():
    assert judged(executions=executions({12: {"status": "FAILED", "attempt": 3}})).retirable


def test_a_newest_plan_that_runs_under_a_live_lease_breaks_nothing():
    assert judged(executions=executions({0: {"status": "RUNNING"}})).retirable


def test_a_newest_plan_that_runs_past_its_lease_breaks_the_streak():
    rows = executions({0: {"status": "RUNNING", "stale_after": NOW - SECOND}})
    assert not judged(executions=rows).gate(GateCode.SUCCESS_STREAK).passed


def test_a_newest_plan_that_is_not_due_yet_breaks_nothing():
    """Due is plan_time + delay + tick + p95: here 5 min, 30 s and 1 s."""
    known = facts()
    due = NEWEST + DELAY + timedelta(seconds=31)
    rows = executions({0: None})

    def at(moment):
        return judged(
            executions=rows,
            ground=replace(known.ground, now=moment),
            state=StateRow(watermark_at=moment - DELAY),
        )

    assert at(due).retirable
    assert alone(at(due + SECOND), GateCode.SUCCESS_STREAK).evidence["broken_by"] == NEWEST


def test_a_newest_plan_that_failed_refuses_although_it_is_not_due_yet():
    known = facts()
    rows = executions({0: {"status": "FAILED", "next_retry_at": NEWEST + DELAY + 61 * SECOND}})
    gate = judged(
        executions=rows, ground=replace(known.ground, now=NEWEST + DELAY + 5 * SECOND)
    ).gate(GateCode.SUCCESS_STREAK)
    assert not gate.passed
    assert gate.earliest == NEWEST + DELAY + 61 * SECOND  # its retry may still succeed


def test_a_newest_plan_whose_retry_comes_after_the_next_plan_is_due_is_lost():
    next_due = NEWEST + CADENCE + DELAY
    rows = executions({0: {"status": "FAILED", "next_retry_at": next_due}})
    gate = judged(executions=rows, streak=1).gate(GateCode.SUCCESS_STREAK)
    assert gate.earliest == next_due


def test_a_newest_success_that_finished_long_ago_is_no_streak():
    late = NOW - 2 * CADENCE - SECOND
    rows = executions({0: {"finished_at": late}})
    gate = alone(judged(executions=rows), GateCode.SUCCESS_STREAK)
    assert "nobody runs plans now" in str(gate.summary)
    assert judged(executions=executions({0: {"finished_at": late + SECOND}})).retirable


def test_a_young_install_is_told_when_it_has_plans_enough():
    rows = executions(count=4, first_plan=plan_time(3), since=plan_time(300))
    gate = judged(executions=rows).gate(GateCode.SUCCESS_STREAK)
    assert not gate.passed
    assert gate.evidence["succeeded"] == 4
    assert gate.earliest == NEWEST + 8 * CADENCE + DELAY


def test_the_setting_says_how_long_the_streak_is():
    rows = executions({6: None})
    assert judged(executions=rows, streak=6).retirable
    assert not judged(executions=rows, streak=7).retirable


def test_only_our_own_runner_is_not_enough_unless_somebody_affirms_that_it_stays():
    own = {"own_runners": frozenset({"backend"})}
    gate = alone(judged(**own), GateCode.BACKEND_RUNNER)
    assert gate.earliest is None
    affirmed = judged(**own, affirmed_by="olga")
    assert affirmed.retirable
    assert "olga" in str(affirmed.gate(GateCode.BACKEND_RUNNER).summary)


def test_one_plan_won_by_another_runner_is_enough():
    rows = executions({11: {"runner_id": "theirs"}})
    own = frozenset({"backend"})
    assert judged(executions=rows, own_runners=own).retirable
    before_the_streak = executions({12: {"runner_id": "theirs"}})
    assert not judged(executions=before_the_streak, own_runners=own).retirable


def test_an_affirmation_does_not_stand_in_for_plans():
    checked = judged(executions=executions(count=0), affirmed_by="olga")
    assert not checked.gate(GateCode.BACKEND_RUNNER).passed


IDLE = {"watermark_before": NOW, "watermark_after": NOW}


def idle(*ages: int):
    """Plans that succeeded without moving the watermark."""
    return executions({age: {"watermark_after": plan_time(age) - CADENCE + SECOND} for age in ages})


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
        return watermark_advancing(
            GateFacts(
                jobid=17,
                role="retirer",
                candidate=candidate(),
                case=Case.of(all_facts),
                streak=self.streak,
                paused_at=self.paused_at,
            )
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


def test_a_critical_finding_within_the_streak_refuses_alone():
    """A watermark in the future: the plans succeed and have moved it, and now do nothing."""
    checked = judged(state=StateRow(watermark_at=NOW + timedelta(minutes=10)))
    gate = alone(checked, GateCode.NO_CRITICAL_FINDINGS)
    assert gate.evidence["findings"] == ["watermark_future"]
    assert gate.earliest is None


def test_a_critical_finding_from_before_the_streak_does_not_count():
    abandoned = replace(
        executions().rows[8], status="RUNNING", stale_after=NOW - timedelta(minutes=40)
    )
    known = replace(executions(), stale=(abandoned,))
    assert judged(executions=known, streak=6).retirable
    gate = alone(judged(executions=known, streak=12), GateCode.NO_CRITICAL_FINDINGS)
    assert gate.evidence["findings"] == ["running_stale"]
    assert gate.earliest == NOW + timedelta(minutes=23)  # 01:25, when 00:25 opens the streak


def test_a_run_in_flight_refuses_alone_and_names_its_process():
    gate = alone(judged(candidate(in_flight=(RUNNING,))), GateCode.NO_RUN_IN_FLIGHT)
    assert "4711" in str(gate.summary)


def test_what_cannot_be_read_is_refused_with_the_reason_and_the_way_out():
    away = Problem("The table is gone.", "Look for it.")
    checked = judged(executions=away)
    assert refusing(checked) == {
        "success_streak",
        "backend_runner",
        "watermark_advancing",
        "no_critical_findings",
    }
    gate = checked.gate(GateCode.SUCCESS_STREAK)
    assert "The table is gone." in str(gate.summary)
    assert str(gate.remedy) == "Look for it."
    assert checked.earliest is None


def test_runners_that_cannot_be_told_apart_refuse_only_the_gate_that_needs_them():
    away = Problem("Our tables are away.", "Start them.")
    alone(judged(own_runners=away), GateCode.BACKEND_RUNNER)


def test_an_inactive_job_can_be_removed_but_not_paused():
    checked = judged(candidate(job=replace(JOB, active=False)))
    assert checked.retirable
    assert not checked.trial


def test_the_earliest_moment_is_that_of_the_slowest_gate_or_unknown():
    rows = executions({5: None})
    assert judged(executions=rows).earliest is not None
    refused_for_rights = judged(candidate(rights=replace(RIGHTS, retire=False)), executions=rows)
    assert refused_for_rights.earliest is None


@pytest.mark.parametrize(
    ("backend", "runs"),
    [
        (RUNNING, True),
        (replace(RUNNING, query=JOB.command[:10]), True),
        (replace(RUNNING, query=None), True),
        (replace(RUNNING, query=""), True),
        (replace(RUNNING, query="SELECT 1"), False),
        (replace(RUNNING, user="other"), False),
        (replace(RUNNING, database="other"), False),
        (replace(RUNNING, jobid=17, query="anything"), True),
        (replace(RUNNING, jobid=18), False),
    ],
)
def test_a_backend_counts_as_a_run_unless_it_is_proved_to_be_another(backend, runs):
    assert backend.may_run(JOB) is runs


# --- What is said: once, and only of what there is ------------------------------------------------

AWAY = Problem("The database does not answer.", "See that PostgreSQL runs.")
SAID = {
    "healthy": {},
    "a gap": {"executions": executions({3: None})},
    "a failure": {"executions": executions({0: {"status": "FAILED", "attempt": 3}})},
    "a young install": {"executions": executions(count=4, first_plan=plan_time(3))},
    "nothing readable": {"executions": AWAY, "state": AWAY},
    "usage behind": {"state": StateRow(NOW - timedelta(hours=2), None)},
    "only ours": {"own_runners": frozenset({"backend"})},
}


@pytest.mark.parametrize("world", SAID)
def test_no_gate_says_a_sentence_twice(world):
    for gate in judged(**SAID[world]).gates:
        said = [str(gate.summary), str(gate.remedy or "")]
        if gate.earliest is not None and not gate.says_when:
            said.append("At the earliest 00:00 UTC.")
        sentences = [one.rstrip(".") for text in said for one in re.split(r"(?<=[.!?]) ", text)]
        begun = [re.sub(r"\d\d:\d\d", "", one) for one in sentences if one]
        assert len(set(begun)) == len(begun), begun


def test_a_trial_is_advised_only_where_there_can_be_one():
    idle = {"executions": executions(dict.fromkeys(range(12), IDLE))}
    pause = "Pause the job first"
    gate = alone(judged(**idle), GateCode.WATERMARK_ADVANCING)
    assert pause in str(gate.remedy)
    may_not = candidate(rights=replace(RIGHTS, deactivate=False))
    paused = candidate(job=replace(JOB, active=False))
    runs = candidate(in_flight=(RUNNING,))  # then the page has no form to pause it
    for seen in (may_not, paused, runs):
        checked = judged(seen, **idle)
        assert not checked.trial
        remedy = str(checked.gate(GateCode.WATERMARK_ADVANCING).remedy)
        assert pause not in remedy
        assert remedy != "None"


def test_an_affirmation_is_advised_only_where_it_would_count():
    own = {"own_runners": frozenset({"backend"})}
    assert "stays" in str(judged(**own).gate(GateCode.BACKEND_RUNNER).remedy)
    none = judged(executions=executions(count=0), **own)
    assert "stays" not in str(none.gate(GateCode.BACKEND_RUNNER).remedy)
