"""A refresh of a live part costs little, and many viewers cost as much as one."""

from __future__ import annotations

import gc
import gzip
import re
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.template import Engine
from django.template.base import Template
from django.test import Client
from django.urls import reverse

from executions.accounts.roles import OPERATOR
from executions.health import snapshots
from executions.health.facts.pg_cron import PgCron, Visibility
from executions.pages import live
from executions.pages.overview import reader as overview
from tests import scenarios
from tests.people import make_user
from tests.sizes import sized
from tests.waiting import let_a_near_plan_come_due
from tests.web.test_overview_schedules import JOB

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

PAGES = ("overview", "plans", "runners", "errors", "jobs")


def refresh(client, path="/", version=""):
    headers = {"HX-Request": "true", "HX-Target": "overview"}
    if version:
        headers["X-Data-Version"] = version
    return client.get(path, headers=headers)


def test_a_refresh_is_the_part_alone_with_its_version_and_pace(viewer, owner):
    scenarios.healthy(owner)
    answer = refresh(viewer)
    html = answer.content.decode()
    assert answer.status_code == 200
    assert "<html" not in html
    assert 'data-verdict="healthy"' in html
    assert answer["X-Live-Seconds"] == "15"
    whole = viewer.get("/").content.decode()
    assert f'data-version="{answer["X-Data-Version"]}"' in whole
    assert 'id="overview" data-live data-live-seconds="15"' in whole


def test_what_a_view_says_hides_what_is_said_on_every_page(rf, monkeypatch):
    request = rf.get("/")
    request.user = AnonymousUser()
    monkeypatch.setattr(Engine, "get_template", Engine.from_string)
    shown = live._render(request, "{{ version }}", {"version": "of the view"})
    assert shown.content == b"of the view"


@pytest.mark.parametrize("part", [False, True], ids=["page", "part"])
def test_what_a_page_showed_is_gone_with_it_before_any_collection(viewer, owner, monkeypatch, part):
    scenarios.healthy(owner)
    monkeypatch.setattr(overview, "_kept", {})
    environ = viewer._base_environ(PATH_INFO="/", QUERY_STRING="") | (
        {"HTTP_HX_REQUEST": "true"} if part else {}
    )
    serve = get_wsgi_application()  # Django's client keeps the contexts of what it was answered
    gc.collect()
    gc.disable()
    try:
        answer = serve(environ, lambda status, headers: None)
        shown = weakref.ref(overview.read_overview())
        assert answer.status_code == 200
        answer.close()
        del answer
        overview._kept.clear()
        assert shown() is None
    finally:
        gc.enable()


@pytest.fixture
def rendered(monkeypatch, one_snapshot):
    """The templates that were rendered since, in a second that does not pass."""
    monkeypatch.setattr(live._parts, "_clock", lambda: 0.0)
    names = []
    render = Template.render

    def counting(template, context):
        names.append(template.name)
        return render(template, context)

    monkeypatch.setattr(Template, "render", counting)
    return names


OVERVIEW_PART = "executions/overview/_overview.html"


def test_whoever_arrives_in_the_same_second_gets_the_same_part(viewer, owner, rendered):
    scenarios.healthy(owner)
    operator = Client()
    operator.force_login(make_user("olga", OPERATOR))
    for client in (viewer, operator, viewer):
        page = client.get("/").content.decode()
        part = refresh(client).content.decode()
        packed = client.get("/", headers={"HX-Request": "true", "Accept-Encoding": "gzip"})
        assert part in page
        assert packed["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.content).decode() == part
        assert {"Accept-Encoding", "Cookie", "HX-Request"} <= set(packed["Vary"].split(", "))
    assert rendered.count(OVERVIEW_PART) == 1


def test_what_differs_between_viewers_is_never_shared(viewer, owner, rendered, monkeypatch):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read_pg_cron.visible_jobs", lambda _fetch: jobs)
    operator = Client()
    operator.force_login(make_user("olga", OPERATOR))
    parts = [refresh(client).content.decode() for client in (operator, viewer)]
    assert [reverse("retire") in part for part in parts] == [True, False]
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = "Pacific/Auckland"
    there = refresh(viewer).content.decode()
    assert there != parts[1]
    assert rendered.count(OVERVIEW_PART) == 3


@pytest.mark.parametrize("name", PAGES)
def test_what_is_unchanged_costs_a_204_and_nothing_is_sent(viewer, owner, name):
    scenarios.healthy(owner)
    path = reverse(name)
    version = refresh(viewer, path)["X-Data-Version"]
    answer = refresh(viewer, path, version)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer["X-Data-Version"] == version
    assert answer["X-Live-Seconds"]


@pytest.mark.parametrize("name", PAGES)
def test_a_cache_keeps_the_page_and_its_part_apart(viewer, owner, name):
    for answer in (viewer.get(reverse(name)), refresh(viewer, reverse(name))):
        assert "HX-Request" in answer["Vary"]


@pytest.mark.parametrize(
    "world", [scenarios.healthy, scenarios.catching_up, scenarios.ahead_of_time]
)
def test_the_passing_of_time_alone_is_no_new_version(viewer, owner, world):
    let_a_near_plan_come_due(owner)
    world(owner)
    version = refresh(viewer)["X-Data-Version"]
    snapshots.forget()
    assert refresh(viewer, version=version).status_code == 204


def test_an_unchanged_part_learns_when_it_was_really_looked_at(viewer, owner):
    scenarios.healthy(owner)
    version = refresh(viewer)["X-Data-Version"]
    answer = refresh(viewer, version=version)
    assert answer.status_code == 204
    assert answer["X-Checked-At"] == snapshots.current().checked_at.isoformat()


def test_a_new_execution_is_a_new_version(viewer, owner):
    world = scenarios.healthy(owner)
    version = refresh(viewer)["X-Data-Version"]
    world.change(0, exhausted=True)
    world.write()
    snapshots.forget()
    answer = refresh(viewer, version=version)
    assert answer.status_code == 200
    assert answer["X-Data-Version"] != version
    assert "plan-failed" in answer.content.decode()


def test_the_long_strip_and_the_short_one_are_not_taken_for_each_other(viewer, owner):
    scenarios.healthy(owner)
    day = refresh(viewer, "/")["X-Data-Version"]
    assert refresh(viewer, "/?window=7d", day).status_code == 200


def test_while_something_runs_the_part_asks_every_five_seconds(viewer, owner):
    world = scenarios.healthy(owner)
    world.change(0, running=True, heartbeat_at=world.now)
    world.write()
    assert refresh(viewer)["X-Live-Seconds"] == "5"


@pytest.mark.parametrize("name", PAGES)
def test_who_is_signed_out_gets_401_and_learns_nothing(client, owner, name):
    answer = refresh(client, reverse(name))
    assert answer.status_code == 401
    assert answer.content == b"Sign in first.\n"


# --- A crowd ------------------------------------------------------------------------------------

# In one process and at a quick pace; tests/faults/crowd.py is a minute of the real thing.
VIEWERS = sized(40, 200)
SECONDS = 3.0
PACE = 0.5


@pytest.fixture
def questions(superuser, cluster):
    """Counts the statements of the dashboard's role in the server's own log, from a call on."""
    superuser.execute("ALTER ROLE multica_view SET log_statement = 'all'")
    connections["multica"].close_pool()

    def count(since):
        with cluster.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(since)
            return len(
                re.findall(r"LOG:  (?:statement|execute [^:]*): (?!BEGIN|COMMIT|SET)", log.read())
            )

    yield lambda: cluster.log.stat().st_size, count
    superuser.execute("ALTER ROLE multica_view RESET log_statement")
    connections["multica"].close_pool()


def watch(clients, version, seconds):
    """Every client has the page open, and refreshes until the time is up; how often they asked."""
    until = time.monotonic() + seconds
    asked = [0] * len(clients)
    crowd = 4  # as many threads as a web process has
    start = threading.Barrier(crowd)

    def some(first):
        start.wait()
        while time.monotonic() < until:
            began = time.monotonic()
            for index in range(first, len(clients), crowd):
                assert refresh(clients[index], version=version).status_code in {200, 204}
                connections.close_all()  # which the test's client leaves out at a request's end
                asked[index] += 1
            time.sleep(max(0.0, PACE - (time.monotonic() - began)))

    with ThreadPoolExecutor(crowd) as threads:
        for done in [threads.submit(some, first) for first in range(crowd)]:
            done.result()
    return asked


def test_a_crowd_of_viewers_asks_the_database_what_one_asks(owner, questions, monkeypatch):
    monkeypatch.setattr(snapshots, "QUIET_SECONDS", PACE)
    monkeypatch.setattr(snapshots, "BUSY_SECONDS", PACE)
    scenarios.healthy(owner)
    user = make_user("crowd")
    clients = [Client() for _ in range(VIEWERS)]
    for client in clients:
        client.force_login(user)
    position, count = questions

    snapshots.forget()
    here = position()
    snapshots.take()
    one_reading = count(here)
    assert one_reading > 0

    version = refresh(clients[0])["X-Data-Version"]
    connections.close_all()
    here = position()
    began = time.monotonic()
    asked = watch(clients, version, SECONDS)
    # One at each interval, as a single viewer has it, and the one that was begun at the start.
    readings = (time.monotonic() - began) / PACE + 1
    assert min(asked) >= 1
    assert one_reading <= count(here) <= one_reading * readings
