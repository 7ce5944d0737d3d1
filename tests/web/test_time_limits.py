"""If a single read takes too long, its page still shows and says what it could not read."""

from itertools import count

import pytest

from tests.emptying import forget_all
from tests.scenarios import healthy
from tests.sizes import sized
from tests.time_limits import cut_off, cut_off_number

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

JOB = "job=rollup_task_usage_hourly"
PAGES = [
    "/",
    "/?window=7d",
    "/executions/",
    f"/executions/?{JOB}",
    f"/executions/?{JOB}&status=FAILED",
    "/executions/?job=nothing_like_it",
    "/executions/?status=STALE",
    "/executions/?runner=nobody",
    "/runners/",
    f"/runners/?{JOB}",
    "/runners/?job=nothing_like_it",
    "/errors/",
    f"/errors/?{JOB}",
    "/jobs/",
    f"/jobs/?{JOB}",
    "/rollup/",
    "/rollup/upgrade/",
    "/rollup/zero/",
    "/rollup/drift/?window=24h",
    "/schedules/",
    "/audit/",
]
LIVE = {"HX-Request": "true"}
TOO_LONG = ("took too long", "stopped at its time limit")
NOTHING_THERE = (
    "No plan has run yet",
    "No runner has won a plan yet",
    "No job has run yet",
    "The table has no execution of this job",
    "No older plan",
    "This is the newest plan",
)


@pytest.fixture
def world(owner):
    world = healthy(owner)
    world.change(2, exhausted=True)
    world.change(6, failed=True)
    return world.write()


def each_read_cut_off(viewer, address, **headers):
    """The answer of the page for each of its reads in turn, with the statement that was cut off."""
    for number in count():
        forget_all()
        with cut_off_number(number) as stopped:
            answer = viewer.get(address, headers=headers)
        if not stopped:
            return
        yield stopped[0], answer


both = pytest.mark.parametrize("headers", [{}, LIVE], ids=["whole", "live part"])


@both
def test_a_page_stands_whichever_of_its_reads_takes_too_long(viewer, world, headers):
    for address in sized(PAGES[::2], PAGES) if headers else PAGES:
        for statement, answer in each_read_cut_off(viewer, address, **headers):
            assert answer.status_code == 200, (address, statement)
            html = answer.content.decode()
            for claim in NOTHING_THERE:
                assert claim not in html, (address, claim, statement)


@both
def test_an_execution_stands_whichever_other_read_takes_too_long(viewer, owner, world, headers):
    """Without its own row there is nothing to show: then it is the page that took too long."""
    viewer.raise_request_exception = False
    rows = owner.execute("SELECT id FROM sys_cron_executions ORDER BY plan_time DESC OFFSET 3")
    address = f"/executions/{rows.fetchone()['id']}/"
    for statement, answer in each_read_cut_off(viewer, address, **headers):
        own_row = "newest_plan" in statement
        assert answer.status_code == (503 if own_row else 200), statement
        html = answer.content.decode()
        for claim in NOTHING_THERE:
            assert claim not in html, (claim, statement)


SAID = {
    "the scopes of a job": (f"/executions/?{JOB}", "-- The first scopes of one job", 1),
    "the jobs for the form": ("/executions/", "-- The first jobs of the table", 1),
    "whether anything is there": (
        "/executions/?job=nothing_like_it",
        "-- The first jobs of the table",
        2,
    ),
    "the jobs of the runners": ("/runners/", "-- The first jobs of the table", 1),
    "the scopes of the runners' job": ("/runners/", "-- The first scopes of one job", 1),
    "the jobs of the errors": ("/errors/", "-- The first jobs of the table", 1),
    "the messages": ("/errors/", '"error_msg" FROM', 1),
    "the jobs": ("/jobs/", "-- The first jobs of the table", 1),
}


@pytest.mark.parametrize("part", SAID)
def test_what_took_too_long_is_said_in_its_place(viewer, world, part):
    address, statement, times = SAID[part]
    with cut_off(statement) as stopped:
        answer = viewer.get(address)
    assert len(stopped) == times
    assert answer.status_code == 200
    assert any(words in answer.content.decode() for words in TOO_LONG)


def test_without_the_statistics_the_clock_is_asked_alone(viewer, world):
    with cut_off("reltuples") as stopped:
        html = viewer.get("/executions/").content.decode()
    assert stopped
    assert html.count('id="execution-') == 50
    assert "about" not in html.partition("All executions")[2].partition("</p>")[0]


def test_which_failed_ones_are_being_retried_is_said_to_be_unknown(viewer, world):
    with cut_off("-- The newest plans of each") as stopped:
        html = viewer.get("/executions/").content.decode()
    assert stopped
    assert html.count('id="execution-') == 50
    assert "not known which of the failed ones are still being tried again" in html


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_says_that_it_was_cut_short_whichever_read_did_it(viewer, world, ending):
    with cut_off("-- The newest plans of each") as stopped:
        answer = viewer.get(f"/executions/export.{ending}")
        lines = answer.getvalue().decode().splitlines()
    assert stopped
    assert "Cut here: A read was stopped at its time limit." in lines[-1]


def test_the_neighbours_of_an_execution_are_said_to_be_unknown(viewer, owner, world):
    row = owner.execute("SELECT id FROM sys_cron_executions ORDER BY plan_time LIMIT 1").fetchone()
    with cut_off('ORDER BY "sys_cron_executions"."plan_time" ASC') as stopped:
        html = viewer.get(f"/executions/{row['id']}/").content.decode()
    assert stopped
    assert "The database took too long" in html
    assert "Its life" in html
