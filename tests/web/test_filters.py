"""What the query string asks for: understood whole, written in one way, or refused by name."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote_plus, urlencode
from uuid import UUID

import pytest
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from executions.pages.history.cursors import Cursor
from executions.pages.history.filters import (
    LONGEST,
    MOST_BYTES,
    NAMES,
    UNPAGED,
    BadFilter,
    Filters,
    parse,
    write_scope,
)
from executions.scheduler.spec import Scope
from executions.scheduler.states import ExecutionState

stored_text = st.text(
    st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40
)
times = st.datetimes(
    min_value=datetime(1970, 1, 2), max_value=datetime(9998, 1, 1), timezones=st.just(UTC)
)
filters = st.builds(
    Filters,
    job=stored_text,
    scope=st.none() | st.builds(Scope, kind=stored_text, id=stored_text),
    status=st.none() | st.sampled_from(ExecutionState),
    runner=stored_text,
    error=stored_text,
    since=st.none() | times,
    q=stored_text.map(str.strip),
    cursor=st.none()
    | st.builds(
        Cursor,
        segment=st.sampled_from(["scope", "ended"]),
        time=times,
        id=st.none() | st.uuids(),
        older=st.booleans(),
    ),
)


def raw(query: str) -> str:
    """The query string as WSGI hands it over."""
    return RequestFactory().get(f"/executions/?{query}").META["QUERY_STRING"]


def refusal(query: str) -> BadFilter | None:
    try:
        parse(raw(query))
    except BadFilter as refused:
        return refused
    return None


@given(filters)
def test_filters_are_written_in_one_way_that_reads_back_as_the_same(one):
    assert parse(raw(one.query_string())) == one
    assert parse(raw(one.query_string())).query_string() == one.query_string()


@given(st.sampled_from(NAMES), st.binary(max_size=60))
def test_any_bytes_are_understood_or_refused_by_name(name, value):
    query = f"{name}={quote_plus(value)}"
    refused = refusal(query)
    if refused:
        assert refused.name == name
        assert name in str(refused)
        return
    assert "\0" not in value.decode()  # what is no UTF-8 would raise here
    understood = parse(raw(query))
    assert understood == Filters() or dict(understood.parameters()).keys() == {name}


@given(st.text(max_size=80))
def test_a_whole_query_string_never_breaks_the_parser(query):
    refused = refusal(query)
    assert refused is None or str(refused)


@given(stored_text.filter(lambda text: text not in {"", *ExecutionState}))
def test_an_unknown_status_is_refused_with_those_that_exist(status):
    with pytest.raises(BadFilter, match="RUNNING, STALE, SUCCESS, RETRYING, FAILED") as refused:
        parse(urlencode({"status": status}))
    assert refused.value.name == "status"


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("since=yesterday", "since"),
        ("since=2026-13-01", "since"),
        ("until=2026-02-30T10:00", "until"),
        ("since=0001-01-01T00:00%2B23:59", "since"),
        ("until=0001-01-01", "until"),
        ("until=9999-12-31", "until"),
        ("since=2026-11-24&until=2026-11-24", "until"),
        ("since=2026-11-24T10:00Z&until=2026-11-24T09:00Z", "until"),
        ("since=20261124", "since"),
        ("since=%D9%A2%D9%A0%D9%A2%D9%A6-11-24", "since"),
        ("scope=global", "scope"),
        ("status=failed", "status"),
        ("job=%00", "job"),
        ("q=%ff%fe", "q"),
        ("runner=" + "x" * (LONGEST + 1), "runner"),
        ("runner=" + "界" * (MOST_BYTES // 3 + 1), "runner"),
        ("q=" + "x" * 201, "q"),
        ("cursor=older.ended.1.-.000000000000", "cursor"),
        ("cursor=1", "cursor"),
        ("job=a&job=b", "job"),
        ("job=&job=", "job"),
        ("page=2", "page"),
        ("&".join(f"x{n}=1" for n in range(50)), "?"),
    ],
)
def test_a_malformed_value_is_refused_by_name(query, name):
    with pytest.raises(BadFilter) as refused:
        parse(raw(query))
    assert refused.value.name == name


def test_an_altered_cursor_is_refused():
    written = str(Cursor("ended", datetime(2026, 11, 24, 9, tzinfo=UTC), UUID(int=7)))
    assert Cursor.read(written).segment == "ended"
    for altered in (
        written.replace("ended", "scope"),
        written[:-1],
        written.replace("older", "newer"),
    ):
        with pytest.raises(BadFilter, match="cursor"):
            parse(urlencode({"cursor": altered}))


def test_a_filter_that_is_empty_is_none():
    assert parse("&".join(f"{name}=" for name in NAMES)) == Filters()


def test_a_time_without_an_offset_is_utc_and_an_offset_is_taken_off():
    assert parse("since=2026-11-24T09:30").since == datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    assert parse("since=2026-11-24").since == datetime(2026, 11, 24, tzinfo=UTC)
    moved = parse(urlencode({"since": "2026-11-24T09:30:15+02:00"}))
    assert moved.query_string() == "since=2026-11-24T07%3A30%3A15Z"


def test_a_slash_in_a_scopes_kind_does_not_move_the_border():
    scope = Scope("a/b%", "c/d")
    assert write_scope(scope) == "a%2Fb%25/c/d"
    assert parse(urlencode({"scope": write_scope(scope)})).scope == scope


def test_a_page_without_pages_takes_no_cursor():
    with pytest.raises(BadFilter, match="none of this page's filters"):
        parse("cursor=x", names=UNPAGED)


def test_a_pages_own_choice_takes_its_words_only():
    choices = {"window": ("24h", "7d")}
    assert parse("window=7d", choices).choice("window", "24h") == "7d"
    assert parse("", choices).choice("window", "24h") == "24h"
    with pytest.raises(BadFilter, match="24h, 7d"):
        parse("window=1y", choices)


def test_one_filter_can_be_lifted_and_the_position_goes_with_it():
    cursor = Cursor("ended", datetime(2026, 11, 24, tzinfo=UTC))
    narrow = Filters(job="a", runner="b", cursor=cursor, extra=(("window", "7d"),))
    assert narrow.without("runner") == Filters(job="a", extra=(("window", "7d"),))
    assert narrow.without("window") == Filters(job="a", runner="b")
    assert not Filters(cursor=cursor, extra=(("window", "7d"),)).is_narrow


PAGES = (
    "/",
    "/executions/",
    f"/executions/{UUID(int=1)}/",
    "/executions/export.csv",
    "/executions/export.jsonl",
    "/runners/",
    "/errors/",
    "/jobs/",
    "/schedules/",
    "/audit/",
    "/audit/export.csv",
)
BAD = ("status=BOGUS", "since=soon", "scope=x", "q=%00", "cursor=abc", "job=a&job=b", "wat=1")


@pytest.mark.django_db(databases=["default", "multica"])
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("query", BAD)
def test_every_page_answers_400_with_the_name(viewer, page, query):
    answer = viewer.get(f"{page}?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.content.decode()
    refresh = viewer.get(f"{page}?{query}", headers={"HX-Request": "true"})
    assert refresh.status_code == 400


@pytest.mark.django_db(databases=["default", "multica"])
def test_a_hostile_value_is_shown_harmless_and_short_in_its_refusal(viewer):
    value = "<script>alert(1)</script>\u202e" + "x" * 400
    page = viewer.get("/executions/", {"status": value}).content.decode()
    assert "<script>alert" not in page
    assert "[U+202E]" in page
    assert "x" * 100 not in page
