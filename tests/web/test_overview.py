"""The overview with real rows: the verdict, every finding with its advice, and no dead end."""

from __future__ import annotations

import json
import re
import zoneinfo
from dataclasses import replace
from datetime import datetime, timedelta
from html import unescape

import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from executions.accounts import middleware
from executions.health import read, snapshot
from executions.health.facts.pg_cron import PgCron, PgCronJob, Visibility
from executions.health.ledger import PlanOutcome, lay
from executions.models import Runner
from executions.pages.overview import week
from executions.pages.overview.reader import read_overview
from executions.pages.overview.strip import Captions, lay_week
from tests import scenarios
from tests.retiring import note_a_run, pg_cron
from tests.scenarios import CADENCE, DELAY, sound
from tests.time_limits import cut_off
from tests.waiting import let_a_near_plan_come_due

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

# The snapshot asks a dozen questions at most; none of them is the page's own.
MOST_QUERIES = 12


def page(viewer, query=""):
    answer = viewer.get(f"/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    """What a person reads: without tags, and with single spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", html)))


def squares(html):
    """Class, and the address or None, of every square of the plan strip."""
    strip = html[html.index('<ol class="plan-strip') :].partition("</ol>")[0]
    found = re.findall(
        r'<(?:a|span) class="plan plan-(\w+)" id="square-\d+"(?: href="([^"]*)")?', strip
    )
    return [(look, unescape(href) or None) for look, href in found]


def all_findings(findings):
    for finding in findings:
        yield finding
        yield from all_findings(
            finding["explains"] if isinstance(finding, dict) else finding.explains
        )


@pytest.fixture(autouse=True)
def one_snapshot(monkeypatch):
    """The snapshot that a page was made of is still the current one when the test looks at it."""
    monkeypatch.setattr(snapshot, "QUIET_SECONDS", 600)
    monkeypatch.setattr(snapshot, "BUSY_SECONDS", 600)


@pytest.mark.parametrize("world", scenarios.WORLDS)
def test_whatever_is_wrong_every_finding_is_there_with_its_sentence_evidence_and_advice(
    viewer, owner, world
):
    scenarios.WORLDS[world](owner)
    html = page(viewer)
    shown = text(html)
    verdict = snapshot.current().verdict
    assert text(str(verdict.summary)) in shown
    for finding in all_findings(verdict.findings):
        assert shown.count(text(str(finding.summary))) == 1, finding.code
        assert text(str(finding.advice)) in shown, finding.code
    assert f'data-verdict="{verdict.level}"' in html
    # Every name in the evidence has been put into words.
    labels = re.findall(r"<dt>([^<]*)</dt>|evidence-pair\">([^:<]*):", html)
    assert not [label for pair in labels for label in pair if label and not label[0].isupper()]


def test_a_healthy_overview_has_a_square_that_leads_on_for_each_of_288_plans(viewer, owner):
    scenarios.healthy(owner)
    html = page(viewer)
    found = squares(html)
    assert len(found) == 288
    leading = [href for look, href in found if look != "ahead"]
    assert len(leading) >= 287
    assert len(set(leading)) == len(leading)
    for href in (leading[0], leading[-1]):
        answer = viewer.get(href, follow=True)
        assert answer.status_code == 200
        ((there, _status),) = answer.redirect_chain
        assert re.fullmatch(r"/executions/[0-9a-f-]{36}/", there)


def test_a_missing_plan_leads_to_the_explanation_of_its_gap(viewer, owner):
    scenarios.gap(owner, ages=(3, 4, 5, 40))
    html = page(viewer)
    missing = [href for look, href in squares(html) if look == "missing"]
    assert len(missing) == 4
    assert len(set(missing)) == 2
    for href in missing:
        assert html.count(f'id="{href.removeprefix("#")}"') == 1
    shown = text(html)
    assert "Nobody began the 3 plans from" in shown
    assert "No runner ticked then" in shown
    around = re.search(r'href="(/executions/\?[^"]*)">The plans around it', html)
    assert around is not None
    assert viewer.get(unescape(around[1])).status_code == 200


def test_seven_days_show_the_worst_of_each_hour_and_lead_to_its_history(viewer, owner):
    world = sound(owner, plans=7 * 288)
    world.change(400, exhausted=True)
    world.drop(range(700, 703))
    world.write()
    html = page(viewer, "?window=7d")
    found = squares(html)
    assert len(found) in {168, 169}
    looks = [look for look, _href in found]
    assert looks.count("failed") == 1
    assert 1 <= looks.count("missing") <= 2
    failed = next(href for look, href in found if look == "failed")
    history = viewer.get(failed)
    assert history.status_code == 200
    assert "Failed" in history.content.decode()
    assert all(href.startswith("#gap-") for look, href in found if look == "missing")


def test_the_narrow_rows_of_a_week_tell_what_whole_ones_do_of_every_plan_and_gap(owner):
    world = sound(owner, plans=7 * 288)
    world.change(410, attempt=3)
    world.change(420, exhausted=True)
    world.change(430, running=True, stale_after=world.now + timedelta(hours=1))
    world.change(440, stale=True)
    world.change(range(450, 600), duration_ms=60_000)
    world.drop([*range(500, 503), 700, 900, 1100])
    world.lose_the_lock(699)
    world.change(899, exhausted=True)
    for age in (1100, 1300):
        world.add(plan_time=world.plan_time(age) + timedelta(minutes=2), runner_id="foreign")
    world.write()
    taken = snapshot.fresh()
    ground, spec = taken.facts.ground, taken.facts.spec
    whole = read.read_facts(window=week.WINDOW).executions
    expected = lay_week(lay(whole, ground.now, spec, week.WINDOW), ground.now, spec)
    laid = lay_week(week.read_week(taken), ground.now, spec)
    assert laid.ledger.grace == expected.ledger.grace
    assert {PlanOutcome.RUNNING, PlanOutcome.STALE} <= set(laid.ledger.counts)
    stories = [(str(gap.title), str(gap.story)) for gap in laid.gaps]
    assert stories == [(str(gap.title), str(gap.story)) for gap in expected.gaps]
    assert len([story for _title, story in stories if "took the watermark on" in story]) == 2
    assert len([story for _title, story in stories if "moved nothing" in story]) == 1
    assert [look_of(row) for row in laid.rows] == [look_of(row) for row in expected.rows]


def look_of(row):
    return [(square.look, Captions().of(square), square.has_rows) for square in row.squares]


def test_a_change_beyond_the_day_is_shown_once_the_week_is_read_anew(viewer, owner):
    let_a_near_plan_come_due(owner)
    world = sound(owner, plans=7 * 288)
    world.write()
    assert "2,016 kept" in text(page(viewer, "?window=7d"))
    version = read_overview("7d").version
    owner.execute(
        "UPDATE sys_cron_executions SET status = 'FAILED', attempt = 3 WHERE plan_time = %s",
        [world.plan_time(1_000)],
    )
    snapshot.forget()
    week.forget()
    assert "2,015 kept" in text(page(viewer, "?window=7d"))
    assert read_overview("7d").version != version


def test_a_week_that_could_not_be_read_is_tried_again_with_the_next_snapshot(viewer, owner):
    scenarios.healthy(owner)
    with cut_off("-- The executions of one job and scope from a plan_time on and before"):
        failed = page(viewer, "?window=7d")
    assert "stopped at its time limit" in text(failed)
    snapshot.forget()
    whole = page(viewer, "?window=7d")
    assert "stopped at its time limit" not in text(whole)
    assert version_in(failed) != version_in(whole)


def version_in(html):
    return re.search(r'data-version="([^"]+)"', html)[1]


def test_the_week_is_read_once_for_a_snapshot_however_many_look(viewer, owner):
    scenarios.healthy(owner)
    page(viewer, "?window=7d")
    with CaptureQueriesContext(connections["multica"]) as asked:
        page(viewer, "?window=7d")
    assert len(asked) == 0


def test_two_viewers_cost_one_reading(viewer, admin_client, owner):
    scenarios.healthy(owner)
    with CaptureQueriesContext(connections["multica"]) as asked:
        page(viewer)
        page(admin_client)
    assert 0 < len(asked) <= MOST_QUERIES


@pytest.mark.parametrize(
    "query", ["?window=8d", "?window=", "?windows=7d", "?window=7d&window=24h"]
)
def test_an_address_that_cannot_be_meant_is_refused_by_name(viewer, owner, query):
    answer = viewer.get(f"/{query}")
    if query == "?window=":
        assert answer.status_code == 200
        return
    assert answer.status_code == 400
    assert "window" in answer.content.decode()


def test_the_title_and_the_icon_say_it_when_the_verdict_is_failing(viewer, owner):
    scenarios.stopped(owner)
    html = page(viewer)
    assert "<title>Failing · Overview" in html
    assert re.search(r'id="icon"[^>]*href="[^"]*icon-failing', html)
    snapshot.forget()
    scenarios.healthy(owner)
    html = page(viewer)
    assert "<title>Overview" in html
    assert not re.search(r'id="icon"[^>]*href="[^"]*icon-failing', html)


def test_the_finding_that_the_verdict_is_from_stands_with_it_and_not_once_more(viewer, owner):
    scenarios.stopped(owner)
    html = page(viewer)
    verdict = html[html.index('id="verdict-card"') :].partition("</section>")[0]
    lead = snapshot.current().verdict.findings[0]
    assert text(str(lead.advice)) in text(verdict)
    assert "Evidence" in text(verdict)
    assert f'id="finding-{lead.code}"' not in html


def test_the_figures_are_those_of_the_verdict(viewer, owner):
    world = sound(owner)
    world.change(range(288), duration_ms=450)
    world.change(12, exhausted=True)
    world.drop([20, 21])
    world.write()
    shown = text(page(viewer))
    figures = snapshot.current().figures
    assert figures.p95_ms == 450
    kept = figures.plans_expected_24h - 3
    assert f"{kept} of {figures.plans_expected_24h}" in shown
    assert "2 missing, 1 failed" in shown
    assert "95% of runs took at most 450 ms" in shown
    assert shown.count("gap") >= 1


def test_every_runner_of_the_day_has_a_lane_and_ours_is_told_apart(viewer, owner):
    Runner.objects.create(runner_id="web-1:1:aa", kind="web", host="web-1", pid=1, version="0")
    world = sound(owner)
    world.change(range(40), runner_id="web-1:1:aa")
    world.write()
    html = page(viewer)
    lanes = html[html.index('<ul class="lanes">') :].partition("</ul>")[0]
    assert len(re.findall(r'<li class="lane"', lanes)) == 2
    assert re.search(r"web-1:1:aa.*?ours", text(lanes))
    assert len(re.findall("[mM][^a-z]+h", lanes)) in {287, 288}
    link = re.search(r'href="(/executions/\?[^"]*runner[^"]*)"', lanes)
    assert viewer.get(unescape(link[1])).status_code == 200


def test_the_charts_have_their_points_and_a_table_each(viewer, owner):
    scenarios.healthy(owner)
    html = page(viewer)
    assert html.count("data-chart-points=") == 2
    assert html.count("The same as a table, by the hour") == 2
    assert html.count('<tr id="hour-') >= 48


def test_the_newest_plans_say_which_of_them_is_being_retried(viewer, owner):
    world = scenarios.retrying(owner)
    newest = world.plan_time(0)
    html = page(viewer)
    row = html[html.index('<tr id="plan-') :].partition("</tr>")[0]
    assert f"{newest:%H:%M}" in row
    assert "Retrying" in row
    assert "canceling statement due to statement timeout" in text(row)


JOB = PgCronJob(
    jobid=17,
    jobname="rollup_task_usage_hourly",
    schedule="*/5 * * * *",
    command="SELECT rollup_task_usage_hourly()",
    database="multica",
    owner="postgres",
    active=True,
)


def test_a_pg_cron_job_that_repeats_the_work_has_a_card(viewer, owner, monkeypatch):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read.visible_jobs", lambda _fetch: jobs)
    shown = text(page(viewer))
    assert "A schedule repeats the work" in shown
    assert "pg_cron job 17, rollup_task_usage_hourly: every 5 minutes, owner postgres" in shown
    assert "Nothing breaks if you leave it." in shown


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("SELECT rollup_task_usage_daily()", "which this database does not have: every run of it"),
        ("SELECT 1; SELECT rollup_task_usage_hourly()", "and does other things beside it"),
    ],
)
def test_a_job_that_does_not_just_repeat_the_work_is_not_called_superfluous(
    viewer, owner, monkeypatch, command, said
):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (replace(JOB, command=command),))
    monkeypatch.setattr("executions.health.read.visible_jobs", lambda _fetch: jobs)
    shown = text(page(viewer))
    assert "A schedule calls the rollup too" in shown
    assert said in shown
    assert "can be removed" not in shown
    assert "only no longer needed" not in shown


@pytest.mark.parametrize("command", ["VACUUM", "SELECT 1 -- instead of rollup_task_usage_hourly()"])
def test_a_job_that_only_names_the_rollup_has_no_card(viewer, owner, monkeypatch, command):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (replace(JOB, command=command),))
    monkeypatch.setattr("executions.health.read.visible_jobs", lambda _fetch: jobs)
    assert 'id="redundant"' not in page(viewer)


def test_the_way_to_the_wizard_is_shown_to_who_may_go_it(viewer, admin_client, owner, monkeypatch):
    scenarios.healthy(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read.visible_jobs", lambda _fetch: jobs)
    assert 'href="/retire/"' in page(admin_client)
    assert 'href="/retire/"' not in page(viewer)


def test_a_schedule_is_not_called_superfluous_while_the_verdict_is_failing(
    viewer, owner, monkeypatch
):
    scenarios.stopped(owner)
    jobs = PgCron(Visibility.FULL, "1.4", "multica", (JOB,))
    monkeypatch.setattr("executions.health.read.visible_jobs", lambda _fetch: jobs)
    shown = text(page(viewer))
    assert "Leave it for now" in shown
    assert "only no longer needed" not in shown
    assert "See whether it can be retired" not in shown


def test_a_schedule_that_only_shows_in_the_watermark_has_the_card_too(viewer, owner, pg_cron):
    note_a_run(pg_cron)
    scenarios.other_writer(owner)
    assert "Something outside the database moves the watermark too" in text(page(viewer))


def test_where_jobs_may_be_hidden_the_card_does_not_say_that_the_caller_is_outside(
    viewer, owner, settings
):
    settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
    scenarios.other_writer(owner)
    shown = text(page(viewer))
    assert "a pg_cron job that this role may not see, or cron" in shown
    assert "may be a pg_cron job that this role may not see" in shown


def test_without_a_schedule_there_is_no_such_card(viewer, owner):
    scenarios.healthy(owner)
    assert "A schedule repeats the work" not in text(page(viewer))


def test_before_the_first_plan_the_page_says_how_it_starts(viewer, owner):
    scenarios.fresh(owner)
    html = page(viewer)
    assert "No plan has run yet" in html
    assert "manage.py runrollup" in html
    assert "plan-strip" not in html


def test_after_more_than_a_day_of_silence_the_strip_is_all_missing(viewer, owner):
    world = sound(owner, plans=400)
    world.drop(range(320))
    world.write()
    html = page(viewer)
    assert {look for look, _href in squares(html)} <= {"missing", "ahead"}
    assert "No runner has begun a plan in these 24 hours." in html


@pytest.fixture
def revoke(superuser):
    """Take a right from the dashboard's role until the test ends."""
    taken = []

    def take(table):
        superuser.execute(f"REVOKE SELECT ON {table} FROM multica_view")
        taken.append(table)

    yield take
    for table in taken:
        superuser.execute(f"GRANT SELECT ON {table} TO multica_view")


def test_a_fact_that_cannot_be_read_says_so_in_its_place_while_the_rest_stands(
    viewer, owner, revoke
):
    scenarios.healthy(owner)
    revoke("task_usage_hourly_rollup_state")
    html = page(viewer)
    assert 'data-verdict="unknown"' in html
    verdict = html[html.index('id="verdict-card"') :].partition("</section>")[0]
    assert "Let an administrator run the statements" in text(verdict)
    lag = html[html.index('id="figure-lag"') :].partition("</section>")[0]
    assert "Could not be looked at:" in lag
    assert "task_usage_hourly_rollup_state" in text(lag)
    assert len(squares(html)) == 288
    assert re.search(r"28[78] of 28[78]", text(html))


def test_executions_that_cannot_be_read_leave_the_watermark_standing(viewer, owner, revoke):
    scenarios.healthy(owner)
    revoke("sys_cron_executions")
    html = page(viewer)
    assert 'data-verdict="unknown"' in html
    assert html.count("This could not be looked at.") >= 2
    assert "Usage is counted up to" in html
    assert "Traceback" not in html


def test_a_week_that_cannot_be_read_says_so_in_its_place(viewer, owner, revoke, monkeypatch):
    scenarios.healthy(owner)
    page(viewer)
    revoke("sys_cron_executions")
    html = page(viewer, "?window=7d")
    strip = html[html.index('id="plan-strip"') :].partition("</section>")[0]
    assert "This could not be looked at." in strip
    assert 'data-verdict="healthy"' in html


def test_hostile_texts_are_shown_whole_and_harmless(viewer, owner):
    world = sound(owner)
    nasty = '"><script>alert(1)</script>\u202e{{ 7 }}\x07'
    world.change(range(3), exhausted=True, runner_id=nasty, error_msg=nasty, error_code=nasty)
    world.write()
    html = page(viewer)
    assert "<script>alert" not in html
    assert "\u202e" not in html
    assert "\x07" not in html
    assert "[U+202E]" in html


def test_times_are_in_the_zone_that_the_viewer_chose(viewer, owner):
    world = scenarios.healthy(owner)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = "Asia%2FKolkata"
    html = page(viewer)
    newest = world.plan_time(0) + timedelta(hours=5, minutes=30)
    assert f"{newest:%H:%M} UTC+5:30" in html
    assert timezone.get_current_timezone_name() == "UTC"


@pytest.fixture
def machine_without_zones():
    """A machine whose system has no zones of its own, as slim images and Windows are."""
    zoneinfo.reset_tzpath(())
    zoneinfo.ZoneInfo.clear_cache()
    middleware._known_zones.cache_clear()
    yield
    zoneinfo.reset_tzpath()
    zoneinfo.ZoneInfo.clear_cache()
    middleware._known_zones.cache_clear()


@pytest.mark.usefixtures("machine_without_zones")
@pytest.mark.parametrize("name", ["Asia/Calcutta", "Asia/Kolkata"])
def test_a_browser_may_call_a_zone_by_its_old_name(viewer, owner, name):
    scenarios.healthy(owner)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = name.replace("/", "%2F")
    assert "UTC+5:30" in page(viewer)


@pytest.mark.parametrize(
    ("choice", "name"),
    [
        ("utc", "Asia%2FKolkata"),
        ("local", "Nowhere%2FAtAll"),
        ("local", "..%2F..%2Fetc%2Fpasswd"),
        ("local", "%00" * 400),
        ("local", ""),
    ],
)
def test_a_zone_that_was_not_chosen_or_is_none_leaves_utc(viewer, owner, choice, name):
    scenarios.healthy(owner)
    viewer.cookies["time_zone"] = choice
    viewer.cookies["time_zone_name"] = name
    html = page(viewer)
    assert "UTC+" not in html


def test_an_error_does_not_leave_its_viewers_zone_to_the_next(viewer, owner, monkeypatch):
    def fail(*_arguments, **_how):
        raise RuntimeError("on purpose")

    monkeypatch.setattr("executions.pages.overview.view.read_overview", fail)
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = "Asia/Kolkata"
    with pytest.raises(RuntimeError):
        viewer.get("/")
    assert timezone.get_current_timezone_name() == "UTC"


def test_the_page_and_checkrollup_say_the_same(viewer, owner, capsys):
    scenarios.stopped(owner)
    shown = text(page(viewer))
    with pytest.raises(SystemExit):
        call_command("checkrollup", "--json")
    told = json.loads(capsys.readouterr().out)
    assert "Failing" in shown
    assert told["verdict"] == "failing"
    for finding in all_findings(told["findings"]):
        # An age may have gone on by a minute in between.
        sentence = re.escape(finding["summary"])
        assert re.search(re.sub(r"\d+(\\?.)min", r"\\d+\1min", sentence), shown), sentence


def test_ages_count_from_the_databases_clock_and_not_from_when_the_snapshot_was_taken(
    owner, monkeypatch
):
    scenarios.healthy(owner)
    shown = read_overview()
    monkeypatch.setattr(
        "executions.health.snapshot.time.monotonic", lambda: shown.snapshot.taken_at + 9
    )
    assert shown.now_there - shown.now == timedelta(seconds=9)


def test_a_plan_is_expected_only_once_its_time_has_come(viewer, owner):
    scenarios.healthy(owner)
    ledger = snapshot.current().ledger
    assert ledger.cells[-1].plan_time <= snapshot.current().checked_at - DELAY
    assert ledger.cells[-1].plan_time > snapshot.current().checked_at - DELAY - CADENCE


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
@pytest.mark.parametrize("mark", ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_a_watermark_at_an_end_of_the_calendar_takes_down_no_page(viewer, owner, mark, zone):
    world = sound(owner)
    world.state = {"watermark_at": datetime.fromisoformat(mark)}
    world.write()
    viewer.cookies["time_zone"] = "local"
    viewer.cookies["time_zone_name"] = zone
    for address in ("/", "/jobs/", "/schedules/"):
        assert viewer.get(address).status_code == 200


def test_a_page_says_how_far_back_was_looked_where_there_are_too_many_rows(
    viewer, owner, monkeypatch
):
    scenarios.healthy(owner)
    assert "were looked at" not in text(page(viewer))
    monkeypatch.setattr(read, "MOST_ROWS", 50)
    snapshot.forget()
    assert "were looked at: there are too many to go further back." in text(page(viewer))


def test_in_a_silence_the_first_screen_says_how_far_usage_is_once(viewer, owner):
    """What the silence explains is folded, and the verdict's sentence has told the watermark."""
    world = scenarios.stopped(owner)
    html = viewer.get("/").content.decode()
    card = html[html.index('id="verdict-card"') :].split("</section>")[0]
    first, folded = card.split('<details class="explains"')
    first = first.split("<details")[0]
    assert first.count(f"{world.state['watermark_at']:%H:%M} UTC<") == 1
    assert "counted up to" not in first
    assert "stands still while no run succeeds" in folded
    assert "stands still" not in first


def test_who_holds_the_lock_is_shown_with_its_process(viewer, owner, connect):
    scenarios.losing_the_lock(owner)
    holder = connect("multica")
    holder.execute("SELECT pg_advisory_lock(4246)")
    html = viewer.get("/").content.decode()
    card = text(html[html.index('id="verdict-card"') :].split("</section>")[0])
    assert f"A session (pid {holder.info.backend_pid}, test multica) holds it now" in card
    assert f"Process of the server: {holder.info.backend_pid}" in card
