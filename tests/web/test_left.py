"""The page of what a retirement leaves behind shows statements and changes nothing."""

from __future__ import annotations

import html
import re

import pytest
from django.urls import reverse

from executions.models.retirement import Retirement, RetirementState
from executions.pgcron import remains
from tests.retiring import acting_as, jobs, lay_plans, operator, pg_cron, retire, role, schedule
from tests.wizard import html_of, step, text

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def over(owner, pg_cron):
    """Removes a job of that owner and ends the watch. The job had some runs."""

    def end(owner_of_job="multica", runs=3):
        lay_plans(owner)
        jobid = schedule(pg_cron, owner=owner_of_job)
        retirement = retire(operator("paul"), jobid)
        pg_cron.execute(
            "INSERT INTO cron.job_run_details (jobid, runid, job_pid, database, username, command,"
            " status, start_time, end_time) SELECT %s, nextval('cron.runid_seq'), 1, 'multica',"
            " 'multica', 'SELECT 1', 'succeeded', now(), now() FROM generate_series(1, %s)",
            [jobid, runs],
        )
        Retirement.objects.filter(pk=retirement.pk).update(state=RetirementState.VERIFIED)
        retirement.refresh_from_db()
        return retirement

    return end


def left(client, retirement):
    return client.get(reverse("retire_left", args=[retirement.pk]))


def statements(answer):
    return re.findall(r'<pre id="statement-(\w+)"[^>]*>(.*?)</pre>', html_of(answer), re.DOTALL)


def test_run_details_and_an_extension_without_jobs_are_shown_with_statements(
    signed_in, over, pg_cron
):
    retirement = over()
    assert reverse("retire_left", args=[retirement.pk]) in html_of(
        signed_in.get(step("watch", retirement))
    )
    shown = left(signed_in, retirement)
    assert re.search(r"pg_cron keeps 3 run details of it \(\d+ bytes\)", text(shown))
    assert "pg_cron has no job left" in text(shown)
    assert statements(shown) == [
        ("details", f"DELETE FROM cron.job_run_details WHERE jobid = {retirement.jobid};"),
        ("extension", "DROP EXTENSION &quot;pg_cron&quot;;"),
    ]
    kept = pg_cron.execute("SELECT count(*) AS n FROM cron.job_run_details").fetchone()
    assert kept["n"] == 3


def test_pg_cron_stays_while_it_has_a_job_or_nobody_can_tell(signed_in, over, pg_cron, acting_as):
    retirement = over()
    schedule(pg_cron, name="vacuum", command="VACUUM task_usage", owner="postgres")
    assert "pg_cron still has 1 job, so it stays." in text(left(signed_in, retirement))
    acting_as("multica")
    shown = left(signed_in, retirement)
    assert "does not see every job, so nobody can tell" in text(shown)
    assert [key for key, _statement in statements(shown)] == ["details"]


def test_an_owner_that_is_for_nothing_else_is_named(signed_in, over, role, pg_cron):
    role('only "jobs"', "GRANT SELECT ON task_usage TO {role}")
    retirement = over('only "jobs"')
    shown = left(signed_in, retirement)
    assert "It owns nothing on this server" in text(shown)
    assert "databases first: multica." in text(shown)
    quoted = html.escape('"only ""jobs"""')
    assert statements(shown)[1] == ("owner", f"DROP OWNED BY {quoted};\nDROP ROLE {quoted};")


IN_USE = {
    "owns something": ("LOGIN", "CREATE TABLE its_own (); ALTER TABLE its_own OWNER TO {role}"),
    "has a member": ("LOGIN", "GRANT {role} TO multica_view"),
    "is powerful": ("LOGIN CREATEROLE", "SELECT 1"),
}


@pytest.mark.parametrize("case", IN_USE)
def test_an_owner_that_is_or_may_be_used_is_not(signed_in, over, role, pg_cron, case):
    options, statement = IN_USE[case]
    role("also_else", *statement.split("; "), options=options)
    assert "also_else" not in text(left(signed_in, over("also_else")))


def test_an_owner_that_this_installation_uses_is_not(signed_in, over, role, settings):
    role("ours_too")
    settings.ADMIN_CONNINFO = {**settings.ADMIN_CONNINFO, "user": "ours_too"}
    assert "ours_too" not in text(left(signed_in, over("ours_too")))


def test_many_run_details_are_counted_up_to_a_limit(signed_in, over, monkeypatch):
    monkeypatch.setattr(remains, "MOST_COUNTED", 2)
    assert "pg_cron keeps more than 2 run details of it" in text(left(signed_in, over()))


def test_a_job_without_run_details_leaves_no_statement_for_them(signed_in, over):
    shown = left(signed_in, over(runs=0))
    assert "pg_cron keeps no run details of this job." in text(shown)
    assert [key for key, _statement in statements(shown)] == ["extension"]


def test_before_the_end_there_is_no_such_page(signed_in, over, pg_cron):
    retirement = over()
    Retirement.objects.update(state=RetirementState.WATCHING)
    assert left(signed_in, retirement).headers["Location"] == step("watch", retirement)
    assert "retire_left" not in html_of(signed_in.get(step("watch", retirement)))
    assert jobs(pg_cron) == {}


def test_a_viewer_may_not_see_it(viewer, over):
    assert left(viewer, over()).status_code == 403
