"""The guides: both languages say the same, every link leads somewhere, every command is real."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from urllib.parse import unquote

import pytest
import yaml
from django.urls import Resolver404, resolve
from django.utils.translation import gettext, override
from pglast import parse_sql

from frontend import screenshots
from tests.markdown_pages import GUIDES, ROOT, MarkdownPage, all_pages, guides, translated
from tests.punctuation import mixed
from tests.waiting import HANG

LANGUAGES = [page for one in translated() for page in (one, one.translation)]
# What an operator meets first comes first.
ORDER = [
    "rollup", "compatibility", "retiring", "by-hand", "upgrading", "advanced", "usage-shows-zero",
    "alarms", "signing-in", "permissions", "deploying", "poolers", "troubleshooting",
    "older-multica", "glossary", "faq",
]  # fmt: skip
# A line above a block says on which machine it is typed. The tests do not have that machine.
ELSEWHERE = re.compile(r"\*(On|Needs|Not run by our tests|在|需要|我们的测试不运行)")


def of_a_page(page):
    return str(page)


@pytest.mark.parametrize("english", translated(), ids=of_a_page)
def test_a_page_says_the_same_in_both_languages(english):
    chinese = english.translation
    assert chinese.path.exists()
    assert chinese.levels == english.levels
    assert [(one.kind, one.text) for one in chinese.fences] == [
        (one.kind, one.text) for one in english.fences
    ]
    assert len(chinese.strong) == len(english.strong)
    of_both = [
        [re.sub(r"\.zh(?=\.md)|-zh(?=-.*png$)", "", link).split("#")[0] for link in page.links]
        for page in (english, chinese)
    ]
    assert of_both[0] == of_both[1]


@pytest.mark.parametrize("english", translated(), ids=of_a_page)
def test_a_chinese_page_has_the_punctuation_of_its_language(english):
    assert mixed(english.translation.html) == []


def test_the_readme_has_one_picture_for_light_and_for_dark():
    for name, shown in (("README.md", "overview-…"), ("README.zh.md", "overview-zh-…")):
        page = MarkdownPage(ROOT / name)
        pictures = [link for link in page.links if link.endswith(".png")]
        assert page.text.count("<picture>") == 1
        assert [re.sub("light|dark", "…", one) for one in pictures] == [
            f"docs/screenshots/{shown}-1440.png"
        ] * 2
        assert '<source media="(prefers-color-scheme: dark)"' in page.text


@pytest.mark.parametrize("guide", [one for one in guides() if not one.is_made], ids=of_a_page)
def test_pages_and_buttons_are_called_in_a_guide_as_in_the_interface(guide):
    """Nothing else stands in bold there."""
    with override("zh-hans"):
        named = [gettext(name) for name in guide.strong]
    assert named == guide.translation.strong
    assert not set(named) & set(guide.strong)


def test_every_page_that_is_shown_has_its_pictures_and_no_other_has():
    expected = {file for view in screenshots.ALL for file in screenshots.files(view)}
    assert {path.name for path in screenshots.FOLDER.glob("*.png")} == expected
    assert set(json.loads(screenshots.SHOWN.read_text("utf-8"))) == set(screenshots.shown())


def test_a_changed_style_makes_the_pictures_of_its_page_older(tmp_path, monkeypatch):
    before = screenshots.shown()
    for name in ("templates", "static"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.setattr(screenshots, "ROOT", tmp_path)
    assert screenshots.shown() == before
    style = tmp_path / "static" / "retire.css"
    style.write_text(style.read_text("utf-8") + "/* changed */")
    changed = {name for name, now in screenshots.shown().items() if now != before[name]}
    assert "retire-check" in changed
    assert "overview" not in changed


@pytest.mark.parametrize("page", LANGUAGES, ids=of_a_page)
def test_every_mark_of_bold_and_italics_is_one(page):
    """In Chinese, one that follows a full stop and stands before a letter is shown as it is."""
    assert "*" not in page.sentences


def test_no_guide_is_in_chinese_only():
    chinese = {path.name.removesuffix(".zh.md") for path in GUIDES.glob("*.zh.md")}
    assert chinese == {guide.path.stem for guide in guides()}


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_index_leads_to_every_guide_in_the_order_of_an_operators_life(name):
    index = MarkdownPage(GUIDES / name)
    ending = name.removeprefix("README")
    leads_to = [link for link in index.links if "/" not in link and not link.startswith("README")]
    assert leads_to == [f"{one}{ending}" for one in ORDER]
    assert set(ORDER) == {guide.path.stem for guide in guides()} - {"README"}


@pytest.mark.parametrize("page", all_pages(), ids=of_a_page)
def test_a_link_leads_to_a_file_and_a_heading_that_exist(page):
    for link in page.links:
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = MarkdownPage((page.path.parent / name).resolve() if name else page.path)
        assert target.path.exists(), link
        if anchor:
            assert unquote(anchor) in target.anchors, link


@pytest.mark.parametrize("page", LANGUAGES, ids=of_a_page)
def test_an_address_of_the_product_is_one_of_its_addresses(page):
    for code in page.code:
        if re.fullmatch(r"/[a-z/]*/|/", code):
            try:
                resolve(code)
            except Resolver404:
                pytest.fail(f"{code} is no address of the product")


@pytest.mark.parametrize("page", LANGUAGES, ids=of_a_page)
def test_a_table_of_commands_is_marked(page):
    for head in re.finditer(r"\n\n\| (with \| command|方式 \| 命令) ", page.text):
        assert ELSEWHERE.search(page.text[: head.start()].rpartition("\n\n")[2])


@pytest.mark.parametrize("page", LANGUAGES, ids=of_a_page)
def test_a_block_is_run_by_a_test_or_is_marked_and_can_be_read(page):
    """`tests/database/test_guide_statements.py` runs ``sh`` and ``sql``.

    `tests/unit/test_explanations.py` reads the commands of what is made by `manage.py explain`.
    """
    for fence in page.fences:
        if page.is_made and not fence.kind:
            continue
        assert fence.kind in {"sh", "console", "sql", "yaml", "text"}, fence
        if fence.kind in {"sh", "console"}:
            read = subprocess.run(
                ["sh", "-n"], input=fence.text, text=True, capture_output=True,
                check=False, timeout=HANG,
            )  # fmt: skip
            assert read.stderr == ""
        if fence.kind in {"console", "yaml"}:
            assert ELSEWHERE.search(fence.before), fence
        if fence.kind == "sql":
            assert parse_sql(fence.text)
        if fence.kind == "yaml":
            assert yaml.safe_load(fence.text)


@pytest.mark.parametrize(("name", "heading"), [("upgrading", 1), ("upgrading", 2), ("rollup", 1)])
@pytest.mark.parametrize("ending", [".md", ".zh.md"])
def test_each_callout_about_v0_3_4_leads_to_the_advanced_guide(name, heading, ending):
    """Those of Compose, of Helm and of the rollup."""
    text = (GUIDES / f"{name}{ending}").read_text("utf-8")
    callouts = re.findall(r"(?m)^> .*(?:\n>.*)*", text)
    about = [one for one in callouts if "v0.3.4" in one]
    assert len(about) >= heading
    assert f"](advanced{ending}#usage-dashboard-rollup)" in about[heading - 1]
    assert "usage-dashboard-rollup" in MarkdownPage(GUIDES / f"advanced{ending}").anchors


def test_nothing_points_to_an_option_of_an_older_documentation():
    """Multica's documentation once had three ways to call the rollup, one of them to choose."""
    texts = [page.path for page in all_pages()]
    texts += [
        path
        for folder in ("executions", "templates", "deploy", "locale")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".html", ".po", ".yaml"}
    ]
    assert not [path for path in texts if re.search(r"Option [ABC]\b", path.read_text("utf-8"))]
