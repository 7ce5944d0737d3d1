"""What a role may see of pg_cron, and how complete that is."""

from __future__ import annotations

import pytest

from executions.database.reading import fetch_on
from executions.health.facts.pg_cron import Visibility
from executions.pgcron.sight import visible_jobs
from executions.retirement.facts import read_schedules
from tests.inventories import MAY_LOOK, SEES_ALL
from tests.retiring import acting_as, pg_cron, role, schedule

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


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
