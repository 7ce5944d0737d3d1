"""The Chinese catalog: every text of the source is in it, translated, and the .mo is its .po."""

from __future__ import annotations

import ast
import gettext
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings

from tests.punctuation import mixed
from tests.waiting import HANG

ROOT = Path(settings.BASE_DIR)
CATALOG = Path("locale/zh_Hans/LC_MESSAGES/django.po")
# The functions that take a text, and where it stands.
CALLS = {
    **dict.fromkeys(("_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "say"), 0),
    **dict.fromkeys(("gettext_noop", "later"), 0),
    **dict.fromkeys(("pgettext", "pgettext_lazy", "say_counted"), 1),
}
RENEW = (
    "The texts have changed. Run\n"
    "    .venv/bin/python manage.py makemessages -l zh_Hans\n"
    f"translate what has an empty msgstr in {CATALOG}\n"
    "(docs/guide/glossary.zh.md has the words), run\n"
    "    .venv/bin/python manage.py compilemessages -l zh_Hans\n"
    "and commit the .po and the .mo file."
)
PLACEHOLDER = re.compile(r"%\(\w+\)[sdr]")
# What a translation has as it is: tags, entities, and code in Markdown.
KEPT = re.compile(r"</?\w+|&\w+;|`[^`]+`")


def run(*command, folder):
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=HANG, check=True
    )


def without_date(text):
    return re.sub(r'"POT-Creation-Date: .*\n', "", text)


@pytest.fixture(scope="module")
def gettexts_tools():
    if shutil.which("msgfmt") is None:
        pytest.fail("GNU gettext is needed (on Debian: apt install gettext): run bin/test.")


def test_the_catalog_has_every_text_of_the_source(gettexts_tools, tmp_path):
    for part in ("executions", "multica_admin", "templates", "locale"):
        shutil.copytree(ROOT / part, tmp_path / part)
    shutil.copy(ROOT / "manage.py", tmp_path)
    run(sys.executable, "manage.py", "makemessages", "-l", "zh_Hans", folder=tmp_path)
    collected, committed = (without_date((one / CATALOG).read_text()) for one in (tmp_path, ROOT))
    missing = [line for line in collected.splitlines() if line not in committed]
    assert collected == committed, "\n".join([RENEW, *missing[:40]])


def test_every_text_is_translated_with_its_placeholders(gettexts_tools, tmp_path):
    checked = run(
        "msgfmt", "-c", "--statistics", "-o", "x.mo", str(ROOT / CATALOG), folder=tmp_path
    )
    assert "untranslated" not in checked.stderr, RENEW
    assert "fuzzy" not in checked.stderr, RENEW


def catalog(path):
    with path.open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


def texts_in_calls():
    """Each text that Python gives to gettext, with its place; xgettext reads no f-string."""
    for part in ("executions", "multica_admin"):
        for path in (ROOT / part).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.Call(func=ast.Name(name), args=arguments) if name in CALLS:
                        text = arguments[CALLS[name]]
                        if isinstance(text, ast.Constant) and isinstance(text.value, str):
                            yield f"{path}:{node.lineno}", text.value


def test_no_text_of_python_is_left_out():
    translations = catalog((ROOT / CATALOG).with_suffix(".mo"))
    keys = (key if isinstance(key, str) else key[0] for key in translations)
    known = {key.rpartition("\x04")[2] for key in keys}
    left_out = [place for place, text in texts_in_calls() if text not in known]
    assert left_out == [], "These texts are in no catalog. No f-string may have a text in it."


def test_the_compiled_catalog_is_that_of_its_source(gettexts_tools, tmp_path):
    run("msgfmt", "-o", "x.mo", str(ROOT / CATALOG), folder=tmp_path)
    fresh, committed = catalog(tmp_path / "x.mo"), catalog((ROOT / CATALOG).with_suffix(".mo"))
    assert fresh == committed, RENEW


def test_a_translation_has_the_tags_and_the_code_of_its_text():
    texts = catalog((ROOT / CATALOG).with_suffix(".mo"))
    differing = [
        text
        for text, said in texts.items()
        if isinstance(text, str) and sorted(KEPT.findall(text)) != sorted(KEPT.findall(said))
    ]
    assert differing == []


def test_a_translation_has_the_punctuation_of_its_language():
    texts = catalog((ROOT / CATALOG).with_suffix(".mo"))
    lines = [line for key, said in texts.items() if key for line in said.splitlines()]
    assert [line for line in lines if mixed(PLACEHOLDER.sub("x", line))] == []
