"""Invisible characters are made visible, and all others stay as they are."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.text.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a[U+001B][31mb"),
        ("\u202egnp.exe", "[U+202E]gnp.exe"),
        ("a\u200bb\ufeff", "a[U+200B]b[U+FEFF]"),
        ("line\u2028line\x85", "line[U+2028]line[U+0085]"),
        ("\x7f\x00", "[U+007F][U+0000]"),
        ("tab\tand\nline", "tab\tand\nline"),
        ("שלום, é, 😀 <b>", "שלום, é, 😀 <b>"),
    ],
)
def test_what_does_not_show_is_named(text, shown):
    assert visible(text) == shown


@given(st.text())
def test_no_control_character_is_left_and_nothing_else_changes(text):
    shown = visible(text)
    assert all(one in "\t\n" or unicodedata.category(one) != "Cc" for one in shown)
    if all(unicodedata.category(one) not in {"Cc", "Cf", "Zl", "Zp"} for one in text):
        assert shown == text
