"""What each kind of role sees of pg_cron, and whether there may be more."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from psycopg import errors

from executions.database.reading import fetch_on
from executions.health.facts.pg_cron import Match, Visibility
from executions.health.read import read_facts
from executions.models.retirement import Retirement
from executions.pgcron.inventory import read_inventory
from executions.pgcron.job import Job, Server
from executions.pgcron.servers import read_server
from executions.pgcron.sight import visible_jobs
from executions.retirement.facts import read_schedules
from executions.retirement.report import NOTHING, REFUSED, RETIRABLE, UNKNOWN
from tests.retiring import ROLLUP, acting_as, jobs, lay_plans, pg_cron, role, schedule
from tests.rights import let_read

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MAY_LOOK = "GRANT USAGE ON SCHEMA cron TO {role}"
SEES_ALL = "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)"


# --- Visibility -----------------------------------------------------------------------------------


def test_a_superuser_sees_everything_and_knows_it(pg_cron):
    mine = schedule(pg_cron)
    schedule(pg_cron, name="vacuum", command="VACUUM task_usage", owner="postgres")
    found = read_schedules()
    assert found.visibility is Visibility.FULL
    assert found.complete
    assert [one.job.jobid for one in found.candidates] == [mine]
    assert found.other_workloads == 1
    assert (found.database, found.version) == ("multica", "1.4-1")


def test_row_security_hides_other_owners_jobs_and_the_list_is_never_called_complete(
    pg_cron, acting_as
):
    acting_as("multica")
    mine = schedule(pg_cron, owner="multica")
    schedule(pg_cron, owner="postgres")
    found = read_schedules()
    assert found.visibility is Visibility.FILTERED
    assert not found.complete
    assert [one.job.jobid for one in found.candidates] == [mine]
    assert found.other_workloads is None


def test_a_role_that_happens_to_own_every_job_cannot_know_that_it_does(pg_cron, acting_as):
    acting_as("multica")
    schedule(pg_cron, owner="multica")
    assert read_schedules().visibility is Visibility.FILTERED


def test_an_estimate_above_what_is_seen_proves_hidden_jobs_and_one_below_proves_nothing(
    pg_cron, acting_as
):
    acting_as("multica")
    for number in range(3):
        schedule(pg_cron, name=f"hidden {number}", owner="postgres")
    assert statistics_show(pg_cron, 3)
    assert read_schedules().hidden == 3
    schedule(pg_cron, name="mine", owner="multica")
    pg_cron.execute("DELETE FROM cron.job WHERE username = 'postgres'")
    assert statistics_show(pg_cron, 1)
    assert read_schedules().hidden == 0
    assert read_schedules().visibility is Visibility.FILTERED


def statistics_show(pg_cron, live):
    """Let the server count what was just written, so that its estimate is what it should be."""
    pg_cron.execute("ANALYZE cron.job")
    (row,) = pg_cron.execute("SELECT pg_stat_get_live_tuples('cron.job'::regclass) AS live")
    return row["live"] == live


@pytest.mark.parametrize(
    ("options", "statements"),
    [("LOGIN BYPASSRLS", [MAY_LOOK]), ("LOGIN", [MAY_LOOK, SEES_ALL])],
)
def test_a_role_that_row_security_cannot_hide_jobs_from_sees_them_all(
    pg_cron, role, acting_as, options, statements
):
    role("sees_all_jobs", *statements, options=options)
    acting_as("sees_all_jobs")
    theirs = schedule(pg_cron, owner="postgres")
    found = read_schedules()
    assert found.visibility is Visibility.FULL
    assert [one.job.jobid for one in found.candidates] == [theirs]


def test_a_restrictive_policy_may_hide_jobs_all_the_same(pg_cron, role, acting_as):
    role("kept_short", MAY_LOOK, SEES_ALL)
    pg_cron.execute(
        "CREATE POLICY keeps_short ON cron.job AS RESTRICTIVE FOR SELECT TO kept_short"
        " USING (username <> 'postgres')"
    )
    acting_as("kept_short")
    schedule(pg_cron, owner="postgres")
    try:
        assert read_schedules().visibility is Visibility.FILTERED
    finally:
        pg_cron.execute("DROP POLICY keeps_short ON cron.job")


def test_without_usage_on_the_schema_nothing_is_seen_and_nothing_raised(pg_cron, acting_as):
    acting_as("multica_view")
    schedule(pg_cron)
    found = read_schedules()
    assert found.visibility is Visibility.NO_ACCESS
    assert (found.installed, found.database) == (True, "multica")
    assert (found.candidates, found.other_workloads, found.complete) == ((), None, False)


@pytest.mark.parametrize("name", ["postgres", "multica_view"])
def test_the_extension_in_another_database_is_found_to_be_elsewhere(connect, name):
    """Whether pg_cron's settings tell, or its launcher, which every role sees."""
    found = visible_jobs(fetch_on(connect(name, database="postgres")))
    assert (found.visibility, found.database) == (Visibility.ELSEWHERE, "multica")


def test_a_role_that_may_not_know_whether_the_library_is_loaded_says_that_it_cannot_tell(connect):
    fetch = fetch_on(connect("multica_view", database="postgres"))

    def without_the_launcher(statement, parameters):
        rows = fetch(statement, parameters)
        return [row | {"launcher_database": None} for row in rows]

    assert visible_jobs(without_the_launcher).visibility is Visibility.UNKNOWN


@pytest.mark.parametrize(
    ("libraries", "configured", "visibility"),
    [
        ("", None, Visibility.ABSENT),
        ("", "multica", Visibility.ABSENT),
        ("pg_cron", "multica", Visibility.ELSEWHERE),
        ("pg_cron,other", "postgres", Visibility.ABSENT),
    ],
)
def test_settings_that_can_be_read_decide_where_no_launcher_runs(
    connect, libraries, configured, visibility
):
    fetch = fetch_on(connect("postgres", database="postgres"))
    settings = {
        "launcher_database": None,
        "libraries": libraries,
        "configured_database": configured,
    }

    def told(statement, parameters):
        return [row | settings for row in fetch(statement, parameters)]

    assert visible_jobs(told).visibility is visibility


# --- Candidates -----------------------------------------------------------------------------------


def test_every_way_to_hide_is_found_and_judged(owner, pg_cron):
    owner.execute(
        "CREATE FUNCTION nightly_usage() RETURNS bigint LANGUAGE plpgsql"
        " AS $$ BEGIN RETURN rollup_task_usage_hourly(); END $$"
    )
    commands = {
        "SELECT nightly_usage()": Match.WRAPPED,
        "DO $$ BEGIN PERFORM nightly_usage(); END $$": Match.WRAPPED,
        "select Public.Rollup_Task_Usage_Hourly ( )": Match.EXACT,
        f"{ROLLUP}; SELECT 1": Match.MULTIPLE,
        "SELECT rollup_task_usage_hourly_window(now(), now())": Match.WINDOW,
        "SELECT rollup_task_usage_daily()": Match.LEGACY,
        "SELEC rollup_task_usage_hourly()": Match.WRAPPED,
        "SELECT 'rollup_task_usage_hourly'": None,
        "SELECT now()": None,
    }
    try:
        for name, command in enumerate(commands):
            schedule(pg_cron, name=f"job {name}", command=command, active=name % 2 == 0)
        found = read_schedules()
    finally:
        owner.execute("DROP FUNCTION nightly_usage()")
    judged = {one.job.command: one.match for one in found.candidates}
    assert judged == {command: match for command, match in commands.items() if match}
    assert found.other_workloads == 2


def test_a_function_of_the_same_name_in_another_schema_is_not_the_rollup(pg_cron):
    pg_cron.execute("CREATE SCHEMA decoy")
    pg_cron.execute(
        "CREATE FUNCTION decoy.rollup_task_usage_hourly() RETURNS int LANGUAGE sql AS 'SELECT 1'"
    )
    try:
        schedule(pg_cron, command="SELECT decoy.rollup_task_usage_hourly()")
        assert read_schedules().candidates == ()
    finally:
        pg_cron.execute("DROP SCHEMA decoy CASCADE")


DECOY = (
    "CREATE FUNCTION {schema}.rollup_task_usage_hourly({parameter}) RETURNS text LANGUAGE sql"
    " AS $$ SELECT '{schema}' $$"
)


@pytest.fixture
def decoys(pg_cron, role):
    """Two owners of jobs; in the schemas "Reporting" and decoy a function of the rollup's name."""
    role("Reporting")
    role("other_owner")
    pg_cron.execute('CREATE SCHEMA decoy; GRANT USAGE ON SCHEMA decoy TO "Reporting"')
    pg_cron.execute(DECOY.format(schema="decoy", parameter="days int DEFAULT 1"))
    yield pg_cron
    for whose in ("DATABASE multica", "ROLE ALL", "ROLE multica_view"):
        pg_cron.execute(f"ALTER {whose} RESET search_path")
    pg_cron.execute('DROP SCHEMA decoy CASCADE; DROP SCHEMA IF EXISTS "Reporting" CASCADE')


def called_by(connection):
    """The schema whose function PostgreSQL itself calls by the bare name; Multica's is refused."""
    try:
        return connection.execute(ROLLUP).fetchone()["rollup_task_usage_hourly"]
    except errors.InsufficientPrivilege:
        return "public"
    except errors.UndefinedFunction:
        return ""


OWN_SCHEMA = 'CREATE SCHEMA "Reporting" AUTHORIZATION "Reporting"; ' + DECOY.format(
    schema='"Reporting"', parameter=""
)
# For the dashboard's own role, which else would take the decoy for Multica's.
OURS_STAYS = "ALTER ROLE multica_view SET search_path = public"
TO_DECOY, HARMLESS = "SET search_path = decoy, public", "SET search_path = public, decoy"
IN_MULTICA = 'ALTER ROLE "Reporting" IN DATABASE multica'


@pytest.mark.parametrize(
    ("statements", "namesake"),
    [
        ([OWN_SCHEMA], '"Reporting"'),
        ([f'ALTER ROLE "Reporting" {TO_DECOY}'], "decoy"),
        ([f"{IN_MULTICA} {TO_DECOY}", f'ALTER ROLE "Reporting" {HARMLESS}'], "decoy"),
        ([OURS_STAYS, f"ALTER DATABASE multica {TO_DECOY}"], "decoy"),
        ([OURS_STAYS, f"ALTER ROLE ALL {TO_DECOY}", OWN_SCHEMA], "decoy"),
        (["ALTER ROLE \"Reporting\" SET search_path = 'no such', \"$user\", public", OWN_SCHEMA],
         '"Reporting"'),
        (["ALTER ROLE \"Reporting\" SET search_path = ''"], ""),
        ([], None),
        ([f"{IN_MULTICA} {HARMLESS}", f'ALTER ROLE "Reporting" {TO_DECOY}'], None),
        ([OURS_STAYS, f'ALTER ROLE "Reporting" {HARMLESS}', f"ALTER DATABASE multica {TO_DECOY}"],
         None),
        ([f"ALTER DATABASE multica {HARMLESS}", OWN_SCHEMA], None),
        ([f'ALTER ROLE "Reporting" IN DATABASE postgres {TO_DECOY}'], None),
        ([f"ALTER ROLE other_owner {TO_DECOY}"], None),
        ([OWN_SCHEMA, 'REVOKE USAGE ON SCHEMA "Reporting" FROM "Reporting"'], None),
        ([f'ALTER ROLE "Reporting" {TO_DECOY}', 'REVOKE USAGE ON SCHEMA decoy FROM "Reporting"'],
         None),
    ],
)  # fmt: skip
def test_a_bare_name_is_resolved_as_it_is_for_the_jobs_owner(decoys, connect, statements, namesake):
    for statement in statements:
        decoys.execute(statement)
    jobid = schedule(decoys, owner="Reporting")
    kept = schedule(decoys, name="with its schema", owner="Reporting",
                    command="SELECT public.rollup_task_usage_hourly()")  # fmt: skip
    assert called_by(connect("Reporting")) == ("public" if namesake is None else namesake)
    found = read_schedules()
    judged = {one.job.jobid: one.judgement for one in found.candidates}
    assert judged[kept].match is Match.EXACT
    assert judged[jobid].match is (Match.EXACT if namesake is None else Match.MULTIPLE)
    plain = namesake and f"{namesake.replace(chr(34), '')}.rollup_task_usage_hourly"
    assert judged[jobid].namesake == plain
    told = [call.job.jobid for call in read_facts().pg_cron.calls]
    assert told == ([jobid, kept] if namesake is None else [kept])


def test_to_a_session_with_a_path_of_its_own_the_servers_is_unknown_and_postgresqls_is_tried(
    decoys, connect
):
    schedule(decoys, owner="Reporting")
    multica = fetch_on(connect("multica_view", options="-c search_path=public"))
    assert [one.match for one in read_inventory(fetch_on(decoys), multica).candidates] == [
        Match.EXACT
    ]
    decoys.execute(OWN_SCHEMA)
    assert [one.match for one in read_inventory(fetch_on(decoys), multica).candidates] == [
        Match.MULTIPLE
    ]


def test_a_job_that_calls_a_namesake_is_refused_and_not_said_to_lead_to_the_rollup(decoys, capsys):
    decoys.execute(f'ALTER ROLE "Reporting" {TO_DECOY}')
    schedule(decoys, owner="Reporting")
    status, said = run(capsys)
    assert status == REFUSED
    assert said.startswith(
        "No job leads to the rollup. 1 job calls another function by its name.\n"
    )
    assert "To Reporting, who runs it, the name without a schema means decoy." in said


def test_a_job_that_nobody_can_read_is_shown_and_not_counted_among_the_others(pg_cron, capsys):
    put_together = "DO $$ BEGIN EXECUTE 'SELECT rollup_' || 'task_usage_hourly()'; END $$"
    overflowing = "SELECT 1 UNION " * 20_000 + "SELECT 1"
    unread = {schedule(pg_cron, name="a", command=put_together)}
    unread.add(schedule(pg_cron, name="b", command=overflowing))
    schedule(pg_cron, name="vacuum", command="VACUUM task_usage")
    found = read_schedules()
    assert {one.job.jobid for one in found.candidates} == unread
    assert {one.match for one in found.candidates} == {Match.WRAPPED}
    assert found.other_workloads == 1
    status, said = run(capsys)
    assert status == UNKNOWN
    assert said.startswith("No job leads to the rollup. 2 jobs may: nobody can read what they run.")
    schedule(pg_cron)
    assert run(capsys)[0] == REFUSED


@pytest.mark.parametrize(
    ("names", "told"),
    [(["one"], "1 job leads to the rollup."), (["one", "two"], "2 jobs lead to the rollup.")],
)
def test_checkretirement_counts_the_jobs_in_grammar(pg_cron, capsys, names, told):
    for name in names:
        schedule(pg_cron, name=name)
    assert run(capsys)[1].startswith(told)


def test_a_candidate_comes_with_its_last_runs_newest_first(pg_cron):
    jobid = schedule(pg_cron)
    for number in range(8):
        pg_cron.execute(
            "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status, return_message,"
            " start_time, end_time) VALUES (%s, %s, %s, 'succeeded', '1 row',"
            " now() - %s * interval '5 min', now())",
            [jobid, 100 + number, 200 + number, 10 - number],
        )
    (candidate,) = read_schedules().candidates
    assert [run.pid for run in candidate.runs] == [207, 206, 205, 204, 203]
    assert candidate.runs[0].status == "succeeded"


def test_a_run_whose_status_was_left_over_by_a_restart_is_not_in_flight(pg_cron):
    jobid = schedule(pg_cron)
    pg_cron.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status, start_time)"
        " VALUES (%s, 1, 999999, 'running', now() - interval '1 day')",
        [jobid],
    )
    (candidate,) = read_schedules().candidates
    assert candidate.in_flight == ()


def test_a_process_that_the_run_details_give_to_another_job_is_not_a_run_of_this_one(
    pg_cron, connect
):
    mine, theirs = schedule(pg_cron), schedule(pg_cron, name="the same command")
    backend = connect("multica")
    backend.execute("SET application_name = 'pg_cron'")
    backend.execute(ROLLUP)
    pid = backend.info.backend_pid
    assert {one.job.jobid: [run.pid for run in one.in_flight] for one in look()} == {
        mine: [pid],
        theirs: [pid],
    }
    pg_cron.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status, start_time)"
        " VALUES (%s, 2, %s, 'running', clock_timestamp())",
        [theirs, pid],
    )
    assert [one.job.jobid for one in look() if one.in_flight] == [theirs]


@pytest.mark.parametrize(
    ("noted", "attributed"), [("5 milliseconds", True), ("0", True), ("1 minute", False)]
)
def test_a_run_may_be_noted_a_moment_before_its_process_begins_and_no_sooner(
    pg_cron, connect, noted, attributed
):
    """As with background workers. What is older is of another process that had the number."""
    mine, theirs = schedule(pg_cron), schedule(pg_cron, name="the same command")
    backend = connect("multica")
    backend.execute("SET application_name = 'pg_cron'")
    backend.execute(ROLLUP)
    pg_cron.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status, start_time)"
        " SELECT %s, 1, pid, 'running', backend_start - %s::interval"
        " FROM pg_stat_activity WHERE pid = %s",
        [theirs, noted, backend.info.backend_pid],
    )
    running = {one.job.jobid for one in look() if one.in_flight}
    assert running == ({theirs} if attributed else {mine, theirs})


def look():
    return read_schedules().candidates


def test_a_process_whose_query_is_hidden_counts_as_a_run(pg_cron, connect, role, acting_as):
    role("sees_no_query", MAY_LOOK, SEES_ALL)
    acting_as("sees_no_query")
    schedule(pg_cron)
    backend = connect("multica")
    backend.execute("SET application_name = 'pg_cron'")
    backend.execute("SELECT 1")
    (candidate,) = look()
    assert [(run.pid, run.query) for run in candidate.in_flight] == [
        (backend.info.backend_pid, None)
    ]


@pytest.mark.parametrize(
    ("name", "grants", "expected"),
    [
        ("postgres", [], (True, True, True)),
        ("multica", [], (False, False, False)),
        ("with_delete", [MAY_LOOK, SEES_ALL, "GRANT DELETE ON cron.job TO {role}"],
         (True, False, False)),
        ("with_alter", [MAY_LOOK, SEES_ALL,
         "GRANT EXECUTE ON FUNCTION cron.alter_job(bigint,text,text,text,text,boolean) TO {role}"],
         (False, False, False)),
    ],
)  # fmt: skip
def test_what_a_role_may_do_to_another_owners_job(pg_cron, role, acting_as, name, grants, expected):
    if grants:
        role(name, *grants)
    schedule(pg_cron, owner="postgres" if name == "multica" else "multica")
    if name == "multica":
        pg_cron.execute("CREATE POLICY shows ON cron.job FOR SELECT TO multica USING (true)")
    acting_as(name)
    try:
        (candidate,) = look()
    finally:
        pg_cron.execute("DROP POLICY IF EXISTS shows ON cron.job")
    rights = candidate.rights
    assert (rights.retire, rights.deactivate, rights.put_back) == expected


def test_the_owner_may_remove_and_put_back_and_may_pause_once_granted(pg_cron, acting_as):
    acting_as("multica")
    schedule(pg_cron, owner="multica")
    (candidate,) = look()
    assert (candidate.rights.retire, candidate.rights.deactivate) == (True, False)
    assert candidate.rights.put_back
    signature = "cron.alter_job(bigint,text,text,text,text,boolean)"
    pg_cron.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO multica")
    try:
        (candidate,) = look()
    finally:
        pg_cron.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM multica")
    assert candidate.rights.deactivate


def test_pg_cron_in_another_database_than_multicas_tells_which_jobs_are_multicas(pg_cron, connect):
    """As with RETIRE_DATABASE_URL: the job names Multica's database, pg_cron is elsewhere."""
    schedule(pg_cron, database="postgres")
    fetch = fetch_on(connect("postgres"))
    multica = fetch_on(connect("postgres", database="postgres"))
    (candidate,) = read_inventory(fetch, multica).candidates
    assert candidate.same_database is True
    (candidate,) = read_inventory(fetch, fetch).candidates
    assert candidate.same_database is False


def test_when_multicas_database_cannot_be_asked_nobody_can_tell(pg_cron, connect):
    schedule(pg_cron)
    gone = connect("postgres")
    gone.close()
    (candidate,) = read_inventory(fetch_on(connect("postgres")), fetch_on(gone)).candidates
    assert candidate.same_database is None


@pytest.mark.parametrize(
    ("nodename", "nodeport", "workers", "here"),
    [
        ("localhost", 5432, False, True),
        ("127.0.0.1", 5432, False, True),
        ("/var/run/postgresql", 5432, False, True),
        ("", 5432, False, True),
        ("db.internal", 5432, False, True),
        ("10.0.0.5", 5432, None, True),
        ("elsewhere", 5432, False, None),
        ("elsewhere", 5432, None, None),
        ("localhost", 6543, False, None),
        ("elsewhere", 5432, True, True),
    ],
)
def test_the_node_decides_which_server_a_job_runs_on(connect, nodename, nodeport, workers, here):
    known = read_server(fetch_on(connect("postgres")))
    server = Server(
        known.identifier, known.started_at, "multica", 5432, "10.0.0.5", "db.internal", workers,
        "postgres", known.now,
    )  # fmt: skip
    job = Job(1, None, "* * * * *", ROLLUP, "multica", "postgres", True, nodename, nodeport)
    assert server.holds(job) is here


# --- manage.py checkretirement --------------------------------------------------------------------


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        call_command("checkretirement", *arguments)
    return ended.value.code, capsys.readouterr().out


GATES = {
    "visible", "privileged", "may_deactivate", "loaded", "same_database", "command_matches",
    "success_streak", "backend_runner", "watermark_advancing", "no_critical_findings",
    "no_run_in_flight",
}  # fmt: skip


def test_checkretirement_gives_the_object_of_the_interface(owner, pg_cron, capsys):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    status, said = run(capsys, "--json")
    told = json.loads(said)
    assert status == RETIRABLE
    [candidate] = told.pop("candidates")
    assert told == {
        "retirable": True,
        "visibility": "full",
        "extension": {
            "installed": True,
            "version": "1.4-1",
            "database": "multica",
            "launcher": "running",
        },
        "other_workloads": 0,
    }
    gates = candidate.pop("gates")
    assert candidate == {
        "jobid": jobid,
        "jobname": "rollup_task_usage_hourly",
        "owner": "multica",
        "database": "multica",
        "schedule": "1 1 1 1 *",
        "command": ROLLUP,
        "active": True,
        "match": "exact",
        "retirable": True,
        "trial": True,
        "by_hand": False,
        "earliest": None,
    }
    assert {gate["code"] for gate in gates} == GATES
    assert all(set(gate) == {"code", "passed", "summary", "evidence"} for gate in gates)
    assert set(jobs(pg_cron)) == {jobid}


def test_checkretirement_says_that_it_is_refused_and_when_it_can_pass(owner, pg_cron, capsys):
    lay_plans(owner, status=lambda back: None if back == 4 else "SUCCESS")
    schedule(pg_cron)
    status, said = run(capsys, "--json")
    [candidate] = json.loads(said)["candidates"]
    assert status == REFUSED
    assert candidate["earliest"].endswith("Z")
    assert not candidate["retirable"]


def test_checkretirement_says_that_there_is_nothing_only_where_it_sees_all(
    pg_cron, capsys, acting_as
):
    assert run(capsys)[0] == NOTHING
    for name, said in (("multica", "may not see other owners"), ("multica_view", "not the same")):
        acting_as(name)
        status, text = run(capsys)
        assert status == UNKNOWN
        assert said in text


def test_checkretirement_can_be_asked_about_one_job(owner, pg_cron, capsys):
    lay_plans(owner)
    one, other = schedule(pg_cron), schedule(pg_cron, name="two", command=f"{ROLLUP}; SELECT 1")
    assert run(capsys, "--jobid", str(one))[0] == RETIRABLE
    status, text = run(capsys, "--jobid", str(other))
    assert status == REFUSED
    assert f"SELECT cron.unschedule({other});" in text
    assert run(capsys, "--jobid", "4711")[0] == NOTHING


def test_checkretirement_cannot_tell_when_the_database_is_away(pg_cron, capsys, settings):
    settings.RETIRE_CONNINFO = {"host": "/nowhere", "dbname": "multica"}
    status, said = run(capsys, "--json")
    told = json.loads(said)
    assert status == UNKNOWN
    assert (told["visibility"], told["candidates"]) == ("unknown", [])
    assert told["other_workloads"] is None
    status, text = run(capsys)
    assert "We cannot tell" in text


@pytest.fixture
def unreadable(owner):
    """The dashboard's role may not read the plans while the test runs."""
    owner.execute("REVOKE SELECT ON sys_cron_executions FROM multica_view")
    yield
    let_read(owner)


@pytest.mark.usefixtures("unreadable")
def test_checkretirement_cannot_tell_where_the_plans_cannot_be_read(pg_cron, capsys):
    first, second = schedule(pg_cron), schedule(pg_cron, name="two")
    status, text = run(capsys)
    assert status == UNKNOWN
    for jobid in (first, second):
        assert re.search(rf"\({jobid}, .*\): nobody can tell whether it can be retired", text)
    assert text.count("This cannot be judged.") == 1
    assert text.count("Let an administrator run the statements") == 1
    status, said = run(capsys, "--json")
    assert status == UNKNOWN
    for candidate in json.loads(said)["candidates"]:
        assert {gate["code"] for gate in candidate["gates"]} == GATES
        assert not candidate["retirable"]


@pytest.mark.usefixtures("unreadable")
def test_checkretirement_refuses_what_another_gate_refuses_without_the_plans(pg_cron, capsys):
    schedule(pg_cron, command=f"{ROLLUP}; SELECT 1")
    status, text = run(capsys)
    assert status == REFUSED
    assert "cannot be retired now" in text


@pytest.mark.usefixtures("unreadable")
def test_checkretirement_does_not_refuse_a_removal_for_the_trial_alone(
    pg_cron, capsys, role, acting_as
):
    """A role that may remove another owner's job need not be one that may pause it."""
    rights = (
        "GRANT SELECT, DELETE ON cron.job TO {role}",
        "GRANT SELECT ON cron.job_run_details TO {role}",
    )
    removes_all = "CREATE POLICY removes_all ON cron.job FOR DELETE TO {role} USING (true)"
    schedule(pg_cron)
    acting_as(role("remover", MAY_LOOK, SEES_ALL, removes_all, *rights))
    status, text = run(capsys)
    assert "- may_deactivate" in text
    assert status == UNKNOWN


def test_checkretirement_names_the_database_that_has_the_extension(capsys, settings):
    settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "dbname": "postgres"}
    status, text = run(capsys)
    assert status == UNKNOWN
    assert "multica: set RETIRE_DATABASE_URL" in text


def test_checkretirement_without_our_own_tables_cannot_tell_and_says_so_in_a_sentence(
    owner, pg_cron, capsys, monkeypatch
):
    schedule(pg_cron)
    monkeypatch.setattr(Retirement._meta, "db_table", "no_such_table")
    status, text = run(capsys)
    assert status == UNKNOWN
    assert "no_such_table" in text


@pytest.mark.parametrize("how", [(), ("--json",)])
@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (("--jobid", "abc"), {}, "--jobid"),
        ((), {"RETIREMENT_STREAK": "abc"}, "RETIREMENT_STREAK"),
        ((), {"RETIRE_DATABASE_URL": "nonsense://"}, "RETIRE_DATABASE_URL"),
    ],
)
def test_checkretirement_says_nothing_on_stdout_of_what_it_was_given_wrongly(
    how, arguments, variables, named
):
    """It exits 2 as for nothing to retire; an empty stdout is how a monitor tells them apart."""
    done = subprocess.run(
        [sys.executable, "manage.py", "checkretirement", *how, *arguments],
        cwd=Path(__file__).parents[2],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (NOTHING, "")
    assert named in done.stderr


def test_checkretirement_says_on_stdout_that_there_is_nothing(pg_cron, capsys):
    status, said = run(capsys)
    assert (status, said) == (NOTHING, "No job leads to the rollup.\n")
    status, said = run(capsys, "--json")
    assert (status, json.loads(said)["candidates"]) == (NOTHING, [])
