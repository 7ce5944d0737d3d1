"""The glossary has one source, and each page explains a word once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import call_command

from executions.text.glossary import ENTRIES, GLOSSARY

ROOT = Path(__file__).parents[2]
TEMPLATES = {path: path.read_text("utf-8") for path in (ROOT / "templates").rglob("*.html")}


def test_the_glossary_in_docs_is_what_the_command_prints(capsys):
    call_command("explain", "--glossary")
    assert (ROOT / "docs/glossary.md").read_text("utf-8") == capsys.readouterr().out, (
        "run .venv/bin/python manage.py explain --glossary > docs/glossary.md"
    )


def test_no_word_has_two_meanings():
    words = [word for entry in GLOSSARY for word in entry.meanings]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("word", ["plan", "watermark", "runner", "lease", "scope", "kept"])
def test_a_page_explains_the_word(word):
    assert word in ENTRIES
    assert any(f'{{% term "{word}"' in text for text in TEMPLATES.values())


def test_every_word_that_a_template_explains_begins_an_entry():
    used = {word for text in TEMPLATES.values() for word in re.findall(r'{% term "([^"]+)"', text)}
    assert used <= set(ENTRIES)
