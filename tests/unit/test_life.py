"""A stored result made readable: the space between its parts is all that changes."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from executions.pages.history.life import LONGEST_PRETTY, pretty

WHATEVER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(WHATEVER)
def test_it_is_indented_as_everybody_does_it(value):
    stored = json.dumps(value, ensure_ascii=False)
    assert pretty(stored) == json.dumps(value, ensure_ascii=False, indent=2)


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_is_never_written_anew(number):
    assert pretty(f'{{"n": [{number}]}}') == f'{{\n  "n": [\n    {number}\n  ]\n}}'


def test_what_would_be_buried_in_space_is_left_as_it_is():
    deep = "[" * 4_000 + "]" * 4_000
    assert pretty(deep) == deep
    long = json.dumps(["x" * LONGEST_PRETTY])
    assert pretty(long) == long
