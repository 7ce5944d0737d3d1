"""The reduced style sheet and typeface: nothing that a page uses is missing from them."""

from __future__ import annotations

from io import BytesIO

import pytest
from fontTools.ttLib import TTFont

from frontend import classes, typeface
from frontend.made import MADE, ROOT, WHOLE_SHEET, style_sheet
from frontend.reduce import classes_of, reduced

HOW = "run bin/vendor and commit what it writes"
SHEET, TYPEFACE = MADE


def test_no_class_in_use_is_missing():
    used = classes.used_classes()
    styled = {name for name in classes_of(WHOLE_SHEET.read_text("utf-8")) if used.has(name)}
    assert {"card", "btn-primary", "form-control", "visually-hidden"} <= styled
    assert styled - classes_of(SHEET.read_text("utf-8")) == set(), HOW


def test_the_style_sheet_is_the_one_that_the_script_makes():
    assert SHEET.read_bytes() == style_sheet(), HOW


def test_the_typeface_is_the_one_that_the_script_makes():
    assert TYPEFACE.read_bytes() == MADE[TYPEFACE](), HOW


def test_the_typeface_has_every_letter_of_our_own_texts():
    texts = [
        *(ROOT / "templates").rglob("*.html"),
        *(ROOT / "executions").rglob("*.py"),
        *(ROOT / "static").glob("*.js"),
    ]
    letters = {
        letter for path in texts for letter in path.read_text("utf-8") if letter.isprintable()
    }
    known = set(TTFont(BytesIO(TYPEFACE.read_bytes())).getBestCmap())
    assert known >= typeface.CHARACTERS
    # Signs that Inter does not have either.
    assert {letter for letter in letters if ord(letter) not in known} <= set("→")


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ('<p class="one two">', {"one", "two"}),
        (
            '<p class="one{% if x == "y" %} two{% else %} three{% endif %}">',
            {"one", "two", "three"},
        ),
        ('{% include "a.html" with css="btn-danger" %}', set()),
        ("<p class='one'>", {"one"}),
        ("<p>card</p>", set()),
    ],
)
def test_it_finds_the_classes_of_a_template_on_every_branch(template, found):
    assert set(classes.in_template(template)) == found


def test_it_finds_the_classes_that_python_and_scripts_give():
    python = """css = "form-check-input" if check else "form-select"; css += " is-invalid"
html = format_html('<p class="status tone-{}">a card</p>', word)
html = f'<p class="badge plan-{look} wide">'"""
    found = set(classes.in_python(python))
    assert {"form-check-input", "form-select", "is-invalid", "status", "badge", "wide"} <= found
    assert "card" not in found
    assert any(name.startswith("tone-") and name != "tone-" for name in found)
    script = 'a.classList.add("js", "open"); b.className = "notice"; c("u-legend x")'
    assert {"js", "open", "notice", "u-legend", "x"} <= set(classes.in_script(script))


SHEET_OF_ALL = """
:root{--a:1px;--b:var(--a);--c:2px;--d:3px}
.card,.modal{color:red}.modal .card{color:blue}.card:not(.modal){margin:var(--b)}
.card:is(.modal,.sheet){color:green}[data-bs-theme-base=slate]{color:grey}
@keyframes turn{to{rotate:1turn}}@keyframes fade{to{opacity:0}}.card{animation:fade 1s}
@media print{.modal{display:none}}@media screen{.card{display:block}}.modal{}
"""


def test_what_no_page_can_use_is_dropped():
    made = reduced(SHEET_OF_ALL, {"card"}.__contains__, "p { width: var(--d) }")
    assert made.splitlines() == [
        ":root{--a:1px;--b:var(--a);--d:3px}",
        ".card{color:red}",
        ".card:not(.modal){margin:var(--b)}",
        "@keyframes fade{to{opacity:0}}",
        ".card{animation:fade 1s}",
        "@media screen{.card{display:block}}",
    ]
