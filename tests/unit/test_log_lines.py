"""Text from outside never breaks out of its line of the log."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from multica_admin.logging import JsonFormatter, TextFormatter

FORGED = "2026-01-01T00:00:00.000Z info Signed in [user=admin]"
# Each of these moves a terminal's cursor, ends a line for some reader, or turns text around.
CONTROLS = ["\n", "\r", "\x0b", "\x1b[2K", "\x7f", "\x85", "\x9b1A", "\u2028", "\u202e", "\ud800"]


def record(message, *arguments, **extra):
    made = logging.LogRecord("django.request", logging.WARNING, "", 0, message, arguments, None)
    vars(made).update(extra)
    return made


def one_line(text):
    return len(text.splitlines()) == 1 and all(char.isprintable() for char in text)


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
@pytest.mark.parametrize("control", CONTROLS)
def test_control_characters_are_escaped_in_the_message_and_in_every_field(formatter, control):
    line = formatter.format(
        record("Not Found: %s", f"/a{control}{FORGED}", path=f"/b{control}{FORGED}")
    )
    assert one_line(line), line


def test_json_keeps_the_exact_text():
    sent = "/ä\n\x85\u2028\u202e"
    assert json.loads(JsonFormatter().format(record("%s", sent)))["message"] == sent


def test_letters_of_any_language_stay_readable():
    for formatter in (TextFormatter(), JsonFormatter()):
        assert "用量 – größer" in formatter.format(record("用量 – größer"))


@pytest.mark.parametrize("value", ["a b=c", "a] [user=admin", 'say "so"', "", "back\\slash"])
def test_a_field_of_text_cannot_pass_for_another_field(value):
    line = TextFormatter().format(record("Refused", user_name=value, code="csrf"))
    assert line.endswith(f"Refused [user_name={json.dumps(value)} code=csrf]")


@pytest.mark.parametrize("extra", [{}, {"code": "not_found"}])
def test_a_message_cannot_pass_for_fields(extra):
    line = TextFormatter().format(record("Not Found: %s", "/a [1] [user=admin code=ok]", **extra))
    assert "/a [1] \\u005buser=admin code=ok]" in line
    assert line.count("[") == 1 + len(extra)


def test_a_plain_field_has_no_quotation_marks():
    line = TextFormatter().format(record("Claimed", job="rollup_hourly", attempt=1))
    assert line.endswith("[job=rollup_hourly attempt=1]")


@pytest.mark.parametrize("text", [f"bad\n{FORGED}", f"bad\r{FORGED}"])
def test_the_lines_of_a_traceback_are_indented_so_that_none_passes_for_a_record(text):
    made = record("unexpected error")
    try:
        raise ValueError(text)
    except ValueError:
        made.exc_info = sys.exc_info()
    first, *rest = TextFormatter().format(made).splitlines()
    assert first.endswith("unexpected error")
    assert len(rest) > 2
    assert all(line.startswith("    ") for line in rest)
