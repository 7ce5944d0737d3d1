"""The overview with real rows: the verdict, every finding with its advice, and no dead end."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from html import unescape

import pytest
from django.core.management import call_command
from django.db import connections
from django.test.utils import CaptureQueriesContext

from executions.health import read, snapshots
from executions.health.explain import EXPLANATIONS
from executions.models import Runner
from executions.pages.overview.reader import read_overview
from tests import scenarios
from tests.overviews import page, squares, text
from tests.retiring import pg_cron
from tests.scenarios import CADENCE, DELAY, sound

pytestmark = [
    pytest.mark.django_db(databases=["default", "multica"], transaction=True),
    pytest.mark.usefixtures("one_snapshot"),
]


__all__ = ["pg_cron"]


# The snapshot asks a dozen questions at most; none of them is the page's own.
MOST_QUERIES = 12


def all_findings(findings):
    for finding in findings:
        yield finding
        yield from all_findings(
            finding["explains"] if isinstance(finding, dict) else finding.explains
        )


@pytest.mark.parametrize("world", scenarios.WORLDS)
def test_whatever_is_wrong_every_finding_is_there_with_its_sentence_evidence_and_advice(
    viewer, owner, world
):
    scenarios.WORLDS[world](owner)
    html = page(viewer)
    shown = text(html)
    verdict = snapshots.current().verdict
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
    snapshots.forget()
    scenarios.healthy(owner)
    html = page(viewer)
    assert "<title>Overview" in html
    assert not re.search(r'id="icon"[^>]*href="[^"]*icon-failing', html)


def test_the_finding_that_the_verdict_is_from_stands_with_it_and_not_once_more(viewer, owner):
    scenarios.stopped(owner)
    html = page(viewer)
    verdict = html[html.index('id="verdict-card"') :].partition("</section>")[0]
    lead = snapshots.current().verdict.findings[0]
    assert text(str(lead.advice)) in text(verdict)
    assert "Evidence" in text(verdict)
    assert f'id="finding-{lead.code}"' not in html


def commands_of(html):
    return re.findall(r'<pre id="([\w-]+)"[^>]*>([^<]*)</pre>', html)


def test_failing_says_what_to_type_first_and_leads_to_the_last_success_and_the_gap(viewer, owner):
    scenarios.stopped(owner)
    html = page(viewer)
    verdict = html[html.index('id="verdict-card"') :].partition("</section>")[0]
    overview = read_overview()
    first = EXPLANATIONS[overview.lead.code].steps[0]
    assert first.commands
    assert text(str(first.text)) in text(verdict)
    assert [unescape(shown) for _id, shown in commands_of(verdict)] == [*first.commands.values()]
    for name, _shown in commands_of(verdict):
        assert f'data-copy="{name}"' in verdict
    assert f'href="/executions/{overview.latest_success.id}/"' in verdict
    (gap,) = re.findall(r'href="#(gap-\w+)"', verdict)
    assert html.count(f'id="{gap}"') == 1
    assert f'href="/explain/{overview.lead.code}/"' in verdict


def test_a_first_step_that_is_a_statement_is_there_to_copy(viewer, owner):
    scenarios.exhausted(owner)
    html = page(viewer)
    verdict = html[html.index('id="verdict-card"') :].partition("</section>")[0]
    statement = EXPLANATIONS[read_overview().lead.code].steps[0].statement
    assert [unescape(shown) for _id, shown in commands_of(verdict)] == [statement.sql]


def test_a_healthy_verdict_has_nothing_to_type(viewer, owner):
    scenarios.healthy(owner)
    html = page(viewer)
    assert 'id="hands"' not in html
    assert "plan-open" not in html


def test_an_open_gap_is_one_link(viewer, owner):
    scenarios.stopped(owner)
    html = page(viewer)
    pieces = re.findall(r"<a [^>]*plan-open[^>]*>", html)
    assert html.count("plan-open") == len(pieces) + 1  # in the legend too
    assert len(pieces) > 1
    assert len({re.search('href="([^"]*)"', piece)[1] for piece in pieces}) == 1
    assert [piece for piece in pieces if "aria-hidden" not in piece] == pieces[-1:]


def test_the_figures_are_those_of_the_verdict(viewer, owner):
    world = sound(owner)
    world.change(range(288), duration_ms=450)
    world.change(12, exhausted=True)
    world.drop([20, 21])
    world.write()
    shown = text(page(viewer))
    figures = snapshots.current().figures
    assert figures.p95_ms == 450
    kept = figures.plans_expected_24h - 3
    assert f"{kept} of {figures.plans_expected_24h}" in shown
    assert "2 missing, 1 failed" in shown
    assert "95% of runs in 24 h took at most 450 ms" in shown
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
    tracks = "".join(re.findall(r'<svg class="lane-track".*?</svg>', lanes))
    assert len(re.findall("[mM][^a-z]+h", tracks)) in {287, 288}
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
        "executions.health.snapshots.time.monotonic", lambda: shown.snapshot.taken_at + 9
    )
    assert shown.now_there - shown.now == timedelta(seconds=9)


def test_a_plan_is_expected_only_once_its_time_has_come(viewer, owner):
    scenarios.healthy(owner)
    ledger = snapshots.current().ledger
    assert ledger.cells[-1].plan_time <= snapshots.current().checked_at - DELAY
    assert ledger.cells[-1].plan_time > snapshots.current().checked_at - DELAY - CADENCE


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
    snapshots.forget()
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
