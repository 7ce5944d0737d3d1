"""The gates over facts in memory: for each one a case in which it alone refuses, and why."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from executions.health.facts import StateRow
from executions.health.facts.pg_cron import Match, Visibility
from executions.pgcron.job import Inventory, JobProcess, PgCronServer
from executions.pgcron.match import Judgement
from executions.retirement.gates import Aim, GateCode
from executions.retirement.gates.gate import APPLIES, Gate
from executions.retirement.refusals import refused_by
from executions.retirement.report import REFUSED, UNKNOWN, Judged, RetirementReport
from executions.text.problem import Problem
from executions.text.sentences import quoted
from tests.gating import IDLE, JOB, RIGHTS, alone, candidate, judged, refusing
from tests.pictures import NOW, SECOND, executions, plan_time

SERVER = PgCronServer(
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


LEGACY = Judgement(Match.LEGACY, ("rollup_task_usage_daily",))


RUNNING = JobProcess(4711, NOW, "postgres", "multica", JOB.command)


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


@pytest.mark.parametrize(("before", "refused"), [(timedelta(), True), (SECOND, False)])
def test_the_streak_includes_the_moment_at_which_its_first_plan_is_planned(before, refused):
    first = executions().rows[5].plan_time
    abandoned = replace(executions().rows[8], status="RUNNING", stale_after=first - before)
    checked = judged(executions=replace(executions(), stale=(abandoned,)), streak=6)
    assert checked.gate(GateCode.NO_CRITICAL_FINDINGS).passed is not refused


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


HEADLINES = {
    "a gap": (
        {"executions": executions({3: None})},
        r"Not yet: 3 of the 12 [^.]+ gap \([\d:]+ UTC was missed\)\. At the earliest [\d:]+ UTC\.",
    ),
    "usage behind": (
        {"state": StateRow(NOW - timedelta(minutes=40), None)},
        r"Not yet: The watermark is 40 min behind; less than 20 min is needed\.",
    ),
    "two reasons": (
        {"executions": executions({3: None}), "own_runners": frozenset({"backend"})},
        r"Not yet: 3 of the 12 [^.]+\. 1 more condition does not hold\.",
    ),
}


@pytest.mark.parametrize("world", HEADLINES)
def test_the_headline_says_why_not_and_when_at_the_earliest(world):
    known, said = HEADLINES[world]
    assert re.fullmatch(said, str(judged(**known).headline(NOW)))


def test_there_is_no_headline_where_it_can_be_removed_or_nobody_can_tell():
    assert judged().headline(NOW) is None
    assert judged(executions=AWAY, state=AWAY).headline(NOW) is None


def test_a_refusal_says_a_reason_that_gates_share_only_once():
    away = quoted("Job 2 cannot be read.")
    gates = [Gate(code, passed=False, summary=away) for code in list(GateCode)[:3]]
    told = str(refused_by([*gates, replace(gates[0], summary=quoted("It runs now."))]))
    assert told == "Job 2 cannot be read. It runs now. Nothing was changed."
