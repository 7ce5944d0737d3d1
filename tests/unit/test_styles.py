"""Our style sheets say each thing once: a selector that stands twice hides what really holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

SHEETS = sorted((Path(__file__).parents[2] / "static").glob("*.css"))


def selectors(text):
    """The selectors of the rules that stand outside @media and @container, as they are written."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    depth, start = 0, 0
    for index, char in enumerate(text):
        if char == "{":
            if depth == 0:
                yield " ".join(text[start:index].split())
            depth += 1
        elif char == "}":
            depth -= 1
            start = index + 1
        assert depth >= 0


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_no_selector_stands_twice_in_a_style_sheet(sheet):
    found = [one for one in selectors(sheet.read_text()) if not one.startswith("@")]
    assert sorted({one for one in found if found.count(one) > 1}) == []
