"""The export: every row of the filter once, as a spreadsheet or a program can take it."""

from __future__ import annotations

import csv
import io
import json
import tracemalloc
from datetime import timedelta

import pytest
from django.db import OperationalError
from psycopg import OperationalError as DriverError

from executions.pages.history import rows_of_export as export
from executions.pages.history import walks
from executions.pages.history.export import csv_lines
from executions.pages.history.filters import Filters
from executions.pages.history.rows_of_export import COLUMNS, start_export
from tests.factories import ExecutionFactory, insert_many

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


def plan(owner, now, age=10, **columns):
    return ExecutionFactory(connection=owner, plan_time=now - age * MINUTE, **columns)


def fill(owner, now, count):
    rows = [ExecutionFactory.build(plan_time=now - n * MINUTE) for n in range(count)]
    insert_many(owner, "sys_cron_executions", rows)
    return rows


def get(viewer, ending, query=""):
    answer = viewer.get(f"/executions/export.{ending}{query}")
    assert answer.status_code == 200
    return answer, b"".join(answer.streaming_content).decode()


def as_csv(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def as_json(text):
    return [json.loads(line) for line in text.splitlines()]


def test_the_rows_of_the_filter_and_no_others_newest_first(viewer, owner, now):
    rows = [plan(owner, now, age) for age in (5, 10, 15)]
    plan(owner, now, 20, runner_id="other")
    _answer, text = get(viewer, "csv", f"?runner={rows[0]['runner_id']}")
    assert [row["id"] for row in as_csv(text)] == [str(row["id"]) for row in rows]
    _answer, text = get(viewer, "jsonl", f"?runner={rows[0]['runner_id']}")
    assert [row["id"] for row in as_json(text)] == [str(row["id"]) for row in rows]


def test_a_row_has_every_column_and_its_state(viewer, owner, now):
    plan(owner, now, 5, failed=True, error_msg='line one\nline "two"')
    (row,) = as_csv(get(viewer, "csv")[1])
    assert tuple(row) == COLUMNS
    assert (row["status"], row["state"], row["attempt"]) == ("FAILED", "RETRYING", "1")
    assert row["plan_time"] == f"{now - 5 * MINUTE:%Y-%m-%dT%H:%M:%SZ}"
    assert row["error_msg"] == 'line one\nline "two"'
    assert row["rows_affected"] == ""
    (row,) = as_json(get(viewer, "jsonl")[1])
    assert tuple(row) == COLUMNS
    assert row["rows_affected"] is None
    assert row["result"] == {}


def test_the_lease_token_stays_here(viewer, owner, now):
    row = plan(owner, now)
    for ending in ("csv", "jsonl"):
        assert str(row["lease_token"]) not in get(viewer, ending)[1]


# Spreadsheets and their import dialogs trim what does not show before they look for a formula.
UNSEEN = [" ", "   ", "\t", " \t ", "\n", "\x0b", "\u00a0", "\u2003", "\u202f", "\u3000", "\u2028",
          "\ufeff", "\u200b", "\u2060", "\u200e", "\x1f"]  # fmt: skip
SIGNS = ["=", "+", "-", "@", "＝", "＋", "－", "＠", "\ufe62"]


STARTS = [
    *SIGNS,
    "\t",
    "\r",
    *(f"{unseen}=" for unseen in UNSEEN),
    *(f"\u00a0{sign}" for sign in SIGNS),
]


def test_no_cell_begins_like_a_formula(viewer, owner, now):
    for age, start in enumerate(STARTS):
        plan(owner, now, age, runner_id=f"{start}cmd|' /C calc'!A0", error_msg=f"{start}1")
    rows = as_csv(get(viewer, "csv")[1])
    assert [row["runner_id"] for row in rows] == [f"'{one}cmd|' /C calc'!A0" for one in STARTS]
    assert [row["error_msg"] for row in rows] == [f"'{one}1" for one in STARTS]
    rows = as_json(get(viewer, "jsonl")[1])
    assert [row["runner_id"] for row in rows] == [f"{one}cmd|' /C calc'!A0" for one in STARTS]


def test_what_is_no_formula_is_written_as_it_is(viewer, owner, now):
    texts = [" plain", "\u00a0a = b", "a-b", "1 + 1", "  ", "\u200bx@y"]
    for age, text in enumerate(texts):
        plan(owner, now, age, error_msg=text)
    assert [row["error_msg"] for row in as_csv(get(viewer, "csv")[1])] == texts


def test_each_json_line_is_one_line_to_every_reader(viewer, owner, now):
    odd = 'a\u2028b\x85c\x0bd\n"é😀'
    plan(owner, now, runner_id=odd, result={odd: [odd]})
    _answer, text = get(viewer, "jsonl")
    (row,) = as_json(text)
    assert (row["runner_id"], row["result"]) == (odd, {odd: [odd]})


def test_a_result_nested_deeper_than_a_parser_goes_is_passed_on_as_it_is(viewer, owner, now):
    plan(owner, now)
    deep = "[" * 4_000 + "]" * 4_000
    owner.execute("UPDATE sys_cron_executions SET result = %s", [deep])
    assert deep in get(viewer, "jsonl")[1]
    assert deep in get(viewer, "csv")[1]


def test_the_file_has_a_name_with_the_day_and_is_not_kept(viewer, owner, now):
    plan(owner, now)
    answer, _text = get(viewer, "csv")
    assert answer.headers["Content-Disposition"] == (
        f'attachment; filename="executions-{now:%Y-%m-%d}.csv"'
    )
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Cache-Control"] == "no-store"
    answer, _text = get(viewer, "jsonl")
    assert answer.headers["Content-Disposition"].endswith('.jsonl"')


def test_an_empty_filter_gives_a_header_and_nothing(viewer, owner):
    assert get(viewer, "csv")[1] == ",".join(COLUMNS) + "\r\n"
    assert get(viewer, "jsonl")[1] == ""


def test_it_goes_through_all_pages_once_wherever_the_page_stands(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 7)
    monkeypatch.setattr(walks, "WINDOW", 20)
    rows = fill(owner, now, 60)
    page = viewer.get("/executions/").content.decode()
    cursor = page.partition("cursor=")[2].partition('"')[0]
    found = as_csv(get(viewer, "csv", f"?cursor={cursor}")[1])
    assert [row["id"] for row in found] == [str(row["id"]) for row in rows]


def test_it_is_cut_at_the_most_rows_and_says_so_in_the_last_line(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 4)
    monkeypatch.setattr(export, "MOST_ROWS", 10)
    fill(owner, now, 10)
    assert "Cut" not in get(viewer, "csv")[1]
    fill(owner, now - 60 * MINUTE, 5)
    *rows, last = as_csv(get(viewer, "csv")[1])
    assert len(rows) == 10
    assert last["id"].startswith("# Cut after 10 rows")
    *rows, last = as_json(get(viewer, "jsonl")[1])
    assert len(rows) == 10
    assert last["cut"].startswith("Cut after 10 rows")


def test_it_gives_up_looking_for_few_rows_and_says_so(viewer, owner, now, monkeypatch):
    monkeypatch.setattr(export, "MOST_PAGES", 3)
    monkeypatch.setattr(walks, "WINDOW", 5)
    fill(owner, now, 60)
    assert "looking further takes too long" in get(viewer, "csv", "?runner=nobody")[1]


def test_a_database_that_goes_away_in_the_middle_is_told_in_the_last_line(owner, now, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 4)
    fill(owner, now, 10)
    started = start_export(Filters())
    lines = csv_lines(started)
    next(lines), next(lines)

    def away(*_arguments):
        raise OperationalError from DriverError("server closed the connection unexpectedly")

    monkeypatch.setattr(started.reader, "page", away)
    assert (
        "Cut here: The connection to the database broke: server closed the connection"
        in "".join(lines)
    )


def test_a_row_that_ends_while_it_is_written_comes_once(owner, now, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 2)
    running = plan(owner, now, 1, running=True)
    fill(owner, now - 5 * MINUTE, 6)
    started = start_export(Filters())
    pages = started.pages()
    written = [record["id"] for record in next(pages)]
    owner.execute(
        "UPDATE sys_cron_executions SET status = 'SUCCESS', finished_at = %s WHERE id = %s",
        [now - 8 * MINUTE, running["id"]],
    )
    written += [record["id"] for page in pages for record in page]
    assert written.count(running["id"]) == 1
    assert len(written) == 7


def test_memory_does_not_grow_with_the_rows(owner, now, monkeypatch):
    monkeypatch.setattr(export, "PAGE_ROWS", 40)
    fill(owner, now, 1_400)

    def peak_after(pages):
        lines = csv_lines(start_export(Filters()))
        tracemalloc.reset_peak()
        for _number in range(pages):
            next(lines, None)
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak_after(2)  # what is loaded once
        # Other allocations meanwhile only add to a peak.
        few, many = (min(peak_after(pages) for _try in range(3)) for pages in (4, 32))
    finally:
        tracemalloc.stop()
    assert many < few * 1.25


def test_nobody_exports_without_signing_in(client):
    assert client.get("/executions/export.csv").status_code == 302
