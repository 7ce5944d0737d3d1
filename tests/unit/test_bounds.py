"""What fits into a row: messages and results, in bytes and without what PostgreSQL refuses."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.scheduler.bounds import (
    ERROR_BYTES,
    RESULT_BYTES,
    Unstorable,
    error_text,
    result_json,
    row_count,
)

texts = st.text(st.characters(exclude_categories=()), max_size=50).map(lambda text: text * 90)


def test_a_message_is_cut_at_the_end_of_a_character():
    text = error_text("x" + "é" * ERROR_BYTES)
    assert len(text.encode()) == ERROR_BYTES - 1
    assert text.endswith("é")


def test_a_message_loses_its_nul():
    assert error_text("a\0b") == "ab"


@given(texts)
def test_any_message_is_storable_and_in_bounds(text):
    encoded = error_text(text).encode()
    assert len(encoded) <= ERROR_BYTES
    assert b"\0" not in encoded


def test_a_result_is_compact_json_without_nul():
    assert result_json({"a\0": ["ü\0", {"b": (1, None)}]}) == '{"a":["ü",{"b":[1,null]}]}'


def test_a_result_of_the_full_size_is_kept_and_a_byte_more_is_refused():
    frame = len('{"a":""}')
    assert len(result_json({"a": "x" * (RESULT_BYTES - frame)}).encode()) == RESULT_BYTES
    with pytest.raises(Unstorable, match=r"16,385 bytes; at most 16,384"):
        result_json({"a": "x" * (RESULT_BYTES - frame + 1)})


def test_a_results_size_is_counted_in_bytes():
    with pytest.raises(Unstorable):
        result_json({"a": "é" * (RESULT_BYTES // 2)})


@pytest.mark.parametrize("result", [None, [], "text", {"a": object()}, {"a": float("nan")}])
def test_what_is_no_json_object_is_refused(result):
    with pytest.raises(Unstorable):
        result_json(result)


def test_a_result_that_contains_itself_is_refused():
    result: dict[str, object] = {}
    result["self"] = result
    with pytest.raises(Unstorable):
        result_json(result)


@given(st.dictionaries(texts, st.integers() | texts | st.lists(texts), max_size=2))
def test_any_result_becomes_storable_json_or_is_refused(result):
    try:
        text = result_json(result)
    except Unstorable:
        return
    assert isinstance(json.loads(text), dict)
    assert "\\u0000" not in text.replace("\\\\", "")


@pytest.mark.parametrize("rows", [None, 0, 2**63 - 1])
def test_a_whole_number_of_rows_is_kept(rows):
    assert row_count(rows) == rows


@pytest.mark.parametrize("rows", [True, 1.5, "1", 2**63])
def test_anything_else_as_rows_is_refused(rows):
    with pytest.raises(Unstorable):
        row_count(rows)
