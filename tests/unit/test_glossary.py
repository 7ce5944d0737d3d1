"""The glossary has one source, and each page explains a word once."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.management import call_command
from django.utils.translation import override

from executions.text.glossary import ENTRIES, GLOSSARY
from tests.markdown_pages import GUIDES

ROOT = Path(__file__).parents[2]
TEMPLATES = {path: path.read_text("utf-8") for path in (ROOT / "templates").rglob("*.html")}


@pytest.mark.parametrize(
    ("language", "lang", "name"),
    [("en", "en_US.UTF-8", "glossary.md"), ("zh-hans", "zh_CN.UTF-8", "glossary.zh.md")],
)
def test_the_glossary_in_docs_is_what_the_command_prints(capsys, language, lang, name):
    with override(language):
        call_command("explain", "--glossary")
    assert (GUIDES / name).read_text("utf-8") == capsys.readouterr().out, (
        f"run LANG={lang} .venv/bin/python manage.py explain --glossary > docs/guide/{name}"
    )


def test_every_term_has_a_name_in_the_other_language():
    with override("zh-hans"):
        assert not [one.name for entry in GLOSSARY for one in entry.terms if one.label == one.name]


def test_no_word_has_two_meanings():
    words = [term.name for entry in GLOSSARY for term in entry.terms]
    assert len(words) == len(set(words))


@pytest.mark.parametrize("word", ["plan", "watermark", "runner", "lease", "scope", "kept"])
def test_a_page_explains_the_word(word):
    assert word in ENTRIES
    assert any(f'{{% term "{word}"' in text for text in TEMPLATES.values())


def test_every_word_that_a_template_explains_begins_an_entry():
    used = {word for text in TEMPLATES.values() for word in re.findall(r'{% term "([^"]+)"', text)}
    assert used <= set(ENTRIES)
