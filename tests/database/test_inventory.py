"""Which pg_cron jobs lead to the rollup, and what a role may do to them."""

from __future__ import annotations

import pytest
from psycopg import errors

from executions.database.reading import fetch_on
from executions.health.facts.pg_cron import Match
from executions.health.read import read_facts
from executions.pgcron.inventory import read_inventory
from executions.pgcron.job import Job, PgCronServer
from executions.pgcron.servers import read_server
from executions.retirement.facts import read_schedules
from executions.retirement.report import REFUSED, UNKNOWN
from tests.inventories import MAY_LOOK, SEES_ALL, run
from tests.retiring import ROLLUP, acting_as, pg_cron, role, schedule

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


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
    server = PgCronServer(
        known.identifier, known.started_at, "multica", 5432, "10.0.0.5", "db.internal", workers,
        "postgres", known.now,
    )  # fmt: skip
    job = Job(1, None, "* * * * *", ROLLUP, "multica", "postgres", True, nodename, nodeport)
    assert server.holds(job) is here
