"""The audit page: every line, filtered by the address, page by page, and harmless."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from executions.accounts.ways.once import MADE_CODE, SIGNED_IN_ONCE
from executions.alarms import silences
from executions.models.retirement import Act, AuditEvent
from executions.pages.audit import export, lines
from executions.pages.audit import reader as selector
from executions.pages.history.cursors import Cursor
from executions.pages.rollup import once
from executions.retirement import by_hand, external, found, moved
from executions.retirement.audit import Who, record

Outcome = AuditEvent.Outcome
pytestmark = pytest.mark.django_db(databases=["default", "multica"])


def text(answer):
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())).strip()


def look(client, **filters):
    answer = client.get(f"/audit/?{urlencode(filters)}")
    assert answer.status_code == 200
    return answer


def subjects(answer):
    """The lines of a page, by what they are about."""
    heads = re.findall(r'<div class="audit-head">(.*?)</div>', answer.content.decode(), re.DOTALL)
    return [re.findall(r"<bdi[^>]*>(.*?)</bdi>", head)[1] for head in heads]


def add(count, at=None, **columns):
    """Lines named 1, 2, 3 …, the last one newest; all of one moment if ``at`` is given."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    AuditEvent.objects.bulk_create(
        AuditEvent(
            at=at or start + timedelta(minutes=number),
            **{"user_name": "olga", "action": "remove", "subject": str(number),
               "outcome": Outcome.DONE, **columns},
        )
        for number in range(1, count + 1)
    )  # fmt: skip


def test_a_line_tells_who_what_when_why_how_and_what_came_of_it(viewer):
    record(
        Who("olga", 1), "remove", Outcome.REFUSED, "pg_cron job 17",
        summary="Not yet.", statement="SELECT cron.unschedule(17);", evidence={"streak": 7},
    )  # fmt: skip
    page = text(look(viewer))
    for told in ("Refused", "remove", "pg_cron job 17", "olga", "Not yet.", "UTC"):
        assert told in page
    assert "SELECT cron.unschedule(17);" in page
    assert "&quot;streak&quot;: 7" in page


def test_there_are_two_ways_to_be_empty(viewer):
    assert "Nobody has changed anything yet" in text(look(viewer))
    add(1)
    page = text(look(viewer, q="nobody"))
    assert "Nothing matches these filters" in page
    assert "Nobody has changed anything yet" not in page


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"q": "PAUL"}, ["b"]),
        ({"q": "job_c"}, ["job_c"]),
        ({"q": "50%"}, ["d"]),
        ({"action": "pause"}, ["b"]),
        ({"outcome": "refused"}, ["job_c"]),
        ({"since": "2026-03-03"}, ["d", "job_c"]),
        ({"until": "2026-03-02"}, ["a"]),
        ({"since": "2026-03-02", "until": "2026-03-03", "outcome": "done"}, ["b"]),
        ({}, ["d", "job_c", "b", "a"]),
    ],
)
def test_each_filter_finds_its_own(viewer, filters, found):
    def day(number, subject, **columns):
        add(1, datetime(2026, 3, number, tzinfo=UTC), subject=subject, **columns)

    day(1, "a")
    day(2, "b", user_name="Paul", action="pause")
    day(3, "job_c", outcome=Outcome.REFUSED)
    day(4, "d", summary="50% done")
    assert subjects(look(viewer, **filters)) == found


@pytest.mark.parametrize("same_moment", [False, True])
def test_paging_shows_every_line_once_both_ways(viewer, monkeypatch, same_moment):
    monkeypatch.setattr(selector, "PAGE", 7)
    add(23, datetime(2026, 3, 1, tzinfo=UTC) if same_moment else None)
    wanted = [str(number) for number in range(23, 0, -1)]
    answer, pages = look(viewer, outcome="done"), []
    while True:
        pages.append(subjects(answer))
        older = re.search(r'rel="next" href="([^"]+)"', answer.content.decode())
        if older is None:
            break
        answer = viewer.get(older[1].replace("&amp;", "&"))
    assert [subject for page in pages for subject in page] == wanted
    back = [pages[-1]]
    while True:
        newer = re.search(r'rel="prev" href="([^"]+)"', answer.content.decode())
        if newer is None:
            break
        answer = viewer.get(newer[1].replace("&amp;", "&"))
        back.insert(0, subjects(answer))
    assert back[-3:] == pages[-3:]
    assert back[0] == wanted[: len(back[0])]


@pytest.mark.parametrize(
    "query",
    ["action=explode", "outcome=x", "since=yesterday", "cursor=older.1", "job=x", "q=a&q=b",
     "until=2026-01-01&since=2026-01-02"],
)  # fmt: skip
def test_a_value_that_cannot_be_meant_is_refused_by_name(viewer, query):
    answer = viewer.get(f"/audit/?{query}")
    assert answer.status_code == 400
    assert query.split("=", maxsplit=1)[0] in text(answer)


def test_a_position_in_another_list_is_refused(viewer):
    other = Cursor("plans", datetime(2026, 1, 1, tzinfo=UTC), None)
    assert viewer.get(f"/audit/?cursor={other}").status_code == 400


def test_hostile_lines_stay_text(viewer):
    nasty = "<img src=x onerror=alert(1)>\u202eevil\x07"
    record(
        Who(nasty), nasty, Outcome.FAILED, nasty,
        summary=nasty, statement=nasty, evidence={nasty: [nasty, {"deep": nasty}]},
    )  # fmt: skip
    page = look(viewer).content.decode()
    assert "<img src=x" not in page
    assert "\u202e" not in page
    assert "[U+202E]" in page
    assert "&lt;img" in page


def test_evidence_that_is_endless_is_cut(viewer):
    record(Who("olga"), "remove", Outcome.DONE, "x", evidence={"all": ["line"] * 20_000})
    assert len(look(viewer).content) < 200_000


def test_a_look_at_it_is_no_line_and_an_unchanged_one_costs_a_204(viewer):
    add(1)
    version = re.search(
        r'id="audit" data-live data-live-seconds="\d+" data-version="(\w+)"',
        look(viewer).content.decode(),
    )[1]
    live = {"HX-Request": "true", "X-Data-Version": version}
    assert viewer.get("/audit/", headers=live).status_code == 204
    assert AuditEvent.objects.count() == 1
    add(1, datetime(2026, 4, 1, tzinfo=UTC))
    look(viewer)
    answer = viewer.get("/audit/", headers=live)
    assert answer.status_code == 200
    assert "<html" not in answer.content.decode()


def test_only_get_is_answered(viewer):
    assert viewer.post("/audit/").status_code == 405


def test_what_was_done_is_in_words_and_the_filters_too(viewer):
    add(1, action="put_back")
    shown = look(viewer, action="put_back", outcome="done")
    assert "put_back" not in text(shown)
    assert "put back" in text(shown)
    assert re.search(r'<option value="put_back" selected>put back</option>', shown.content.decode())
    assert re.search(r'<option value="done" selected>Done</option>', shown.content.decode())


def test_every_action_has_words_and_a_filter():
    used = {*Act.Kind.values, "choose", "affirm", "confirm", "close", "trial", "watch"}
    used |= {by_hand.REMOVED_BY_HAND, by_hand.PUT_BACK_BY_HAND, external.REMOVED, external.PUT_BACK}
    used |= {
        external.CONFIRMED_GONE,
        found.UPLOADED,
        found.LOOKED_AGAIN,
        moved.MOVED,
        once.RUN_ONCE,
    }
    used |= {silences.SILENCED, silences.ENDED, MADE_CODE, SIGNED_IN_ONCE}
    assert used == set(lines.ACTIONS)


OLD, NEW = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC)
STATEMENT = "SELECT cron.unschedule(17);"
# The columns that tie the end of an act to its intent, by how the act is made.
TIES = {
    "by the wizard": {"act_id": 5, "action": "remove"},
    "by hand": {"retirement_id": 7, "action": "remove by hand"},
    "a run": {"action": "run once", "evidence": {"run": "abc"}},
}


def an_act(tie, outcome=Outcome.DONE):
    same = {**TIES[tie], "statement": STATEMENT}
    add(1, OLD, outcome=Outcome.INTENDED, user_name="paul", subject="intent", **same)
    if outcome:
        add(1, NEW, outcome=outcome, subject="end", **same)


@pytest.mark.parametrize("tie", TIES)
def test_intended_and_done_of_one_act_are_one_line_with_its_statement_once(viewer, tie):
    an_act(tie)
    shown = look(viewer)
    assert subjects(shown) == ["end"]
    assert text(shown).count(STATEMENT) == 1
    assert "intended 2026-03-01 00:00:00 UTC by paul" in text(shown)


@pytest.mark.parametrize("tie", TIES)
@pytest.mark.parametrize(
    "filters", [{"outcome": "intended"}, {"until": "2026-03-02"}, {"q": "paul"}]
)
def test_an_intent_whose_end_the_filters_leave_out_is_not_lost(viewer, tie, filters):
    an_act(tie)
    assert subjects(look(viewer, **filters)) == ["intent"]


@pytest.mark.parametrize("tie", TIES)
def test_an_act_whose_end_nobody_knows_yet_is_an_intended_line(viewer, tie):
    an_act(tie, outcome=None)
    assert subjects(look(viewer)) == ["intent"]
    add(1, NEW, subject="another", **{**TIES[tie], "act_id": 6, "evidence": {"run": "x"}})
    assert subjects(look(viewer)) == ["another", "intent"]


def test_what_was_refused_by_hand_ends_no_intent(viewer):
    an_act("by hand", Outcome.REFUSED)
    assert subjects(look(viewer)) == ["end", "intent"]


def test_a_summary_that_only_repeats_the_statement_is_left_out(viewer):
    add(1, statement=STATEMENT, role="postgres", summary=f"{STATEMENT} was run as postgres.")
    assert text(look(viewer)).count(STATEMENT) == 1
    assert "as the role postgres" in text(look(viewer))


def test_the_page_says_how_old_it_is(viewer):
    add(1)
    assert re.search(r"data-checked>[^<]*<time[^>]*data-relative", look(viewer).content.decode())


def exported(viewer, **filters):
    answer = viewer.get(f"/audit/export.csv?{urlencode(filters)}")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_the_filtered_acts_are_a_file_for_a_spreadsheet(viewer):
    an_act("by the wizard")
    add(1, datetime(2026, 3, 3, tzinfo=UTC), action="close", why="=1+1", subject="other")
    other, act = exported(viewer)
    assert (act["at"], act["intended_at"]) == ("2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z")
    assert (act["user_name"], act["intended_by"], act["outcome"]) == ("olga", "paul", "done")
    assert act["statement"] == STATEMENT
    assert (other["why"], other["intended_at"]) == ("'=1+1", "")
    assert [row["subject"] for row in exported(viewer, action="remove")] == ["end"]
    link = re.search(r'href="(/audit/export.csv[^"]*)"', look(viewer, q="ol").content.decode())[1]
    assert link == "/audit/export.csv?q=ol"


def test_the_file_has_every_line_and_refuses_what_the_page_refuses(viewer, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 3)
    add(8)
    assert [row["subject"] for row in exported(viewer)] == list("87654321")
    monkeypatch.setattr(export, "MOST_ROWS", 4)
    assert len(exported(viewer)) == 5  # the last line says that it was cut
    assert viewer.get("/audit/export.csv?action=explode").status_code == 400
