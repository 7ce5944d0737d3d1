"""How runners are named: short, the same everywhere, and told apart by a mark."""

from __future__ import annotations

import re
from uuid import UUID

import pytest

from executions.pages.history.tags import runner
from executions.text.runner_names import HUES, LETTERS, SHAPES, mark_of, short_name

MULTICAS = "17fa00b0-d668-47c6-831b-7018e3f1a2b4"


@pytest.mark.parametrize(
    ("runner_id", "name"),
    [
        (MULTICAS, "17fa00b0"),
        (MULTICAS.upper(), "17FA00B0"),
        ("web-1:1:aa", "web-1:1:aa"),
        ("vm-19271-3b837c", "vm-19271-3b837c"),
        ("multica-admin-6d5f7c9b8-x2x4z-1-3b837c", "multica-…3b837c"),
        ("", ""),
        ("\u202e" * 30, "\u202e" * 8 + "…" + "\u202e" * 6),
    ],
)
def test_a_uuid_is_its_first_eight_characters_and_a_long_name_its_two_ends(runner_id, name):
    assert short_name(runner_id) == name


def test_a_runner_has_the_same_mark_in_every_process_and_release():
    mark = mark_of(MULTICAS)
    assert (mark.letter, mark.shape, mark.hue) == ("J", 1, 4)


def test_marks_use_every_letter_shape_and_hue_about_equally():
    marks = [mark_of(str(UUID(int=n))) for n in range(5_000)]
    for kind, names in (("letter", LETTERS), ("shape", range(len(SHAPES))), ("hue", range(HUES))):
        seen = [getattr(mark, kind) for mark in marks]
        share = len(marks) / len(names)
        assert all(0.7 * share < seen.count(name) < 1.3 * share for name in names)


def test_a_runner_on_a_page_has_its_mark_its_short_name_and_the_whole_id_by_hover():
    html = runner(MULTICAS, ours=False)
    assert f'title="{MULTICAS}"' in html
    assert f"runner={MULTICAS}" in html
    assert "<bdi>17fa00b0</bdi>" in html
    assert re.search(r'<svg class="runner-mark hue-4"[^>]*aria-hidden="true"', html)
    assert "ours" not in html
    assert "ours" in runner(MULTICAS, ours=True)


def test_a_hostile_id_stays_harmless_in_a_name():
    html = runner("<img src=x onerror=alert(1)>\u202e", ours=False)
    assert "<img" not in html
    assert "\u202e" not in html


def test_nobody_is_a_dash():
    assert runner(None, ours=False) == "—"
