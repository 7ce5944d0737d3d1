"""The Markdown pages of the project, as their readers see them: headings, links and commands."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
GUIDES = ROOT / "docs" / "guide"
_PARSER = MarkdownIt("commonmark").enable("table")
_ANCHOR = re.compile(r'<a id="([\w-]+)"></a>')
_SOURCES = re.compile(r'(?:srcset|src|href)="([^"]+)"')


@dataclass(frozen=True)
class Fence:
    """A block of code: its kind, such as ``sh``, its text, and the paragraph before it."""

    kind: str
    text: str
    before: str


@dataclass(frozen=True)
class MarkdownPage:
    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        return self.path.read_text("utf-8")

    @cached_property
    def _tokens(self) -> list[Token]:
        return _PARSER.parse(self.text)

    @property
    def html(self) -> str:
        return str(_PARSER.render(self.text))

    def _inline(self) -> Iterator[Token]:
        for token in self._tokens:
            yield from token.children or []

    @property
    def levels(self) -> list[str]:
        """The level of each heading: h1, h2 and so on."""
        return [token.tag for token in self._tokens if token.type == "heading_open"]

    @property
    def headings(self) -> list[str]:
        return [
            "".join(child.content for child in self._tokens[at + 1].children or [])
            for at, token in enumerate(self._tokens)
            if token.type == "heading_open"
        ]

    @property
    def anchors(self) -> set[str]:
        """What a link may name after its #, as GitHub makes it of headings, and as written."""
        made: Counter[str] = Counter()
        anchors = set(_ANCHOR.findall(self.text))
        for heading in self.headings:
            slug = re.sub(r"[^\w -]", "", heading.strip().lower()).replace(" ", "-")
            anchors.add(f"{slug}-{made[slug]}" if made[slug] else slug)
            made[slug] += 1
        return anchors

    @property
    def links(self) -> list[str]:
        """Where links and pictures lead, in their order."""
        found = []
        for token in [*self._tokens, *self._inline()]:
            if token.type in {"link_open", "image"}:
                found.append(str(token.attrGet("href") or token.attrGet("src")))
            elif token.type in {"html_block", "html_inline"}:
                found += _SOURCES.findall(token.content)
        return found

    @property
    def fences(self) -> list[Fence]:
        found, before = [], ""
        for token in self._tokens:
            if token.type == "inline":
                before = token.content
            elif token.type == "fence":
                found.append(Fence(token.info.strip(), token.content, before))
        return found

    @property
    def code(self) -> list[str]:
        """The code within sentences."""
        return [token.content for token in self._inline() if token.type == "code_inline"]

    @property
    def strong(self) -> list[str]:
        """What stands in bold: in a guide, the names of pages, buttons and fields."""
        found, inside = [], False
        for token in self._inline():
            if token.type == "strong_open":
                found.append("")
            inside = token.type == "strong_open" or (inside and token.type != "strong_close")
            if inside and found:
                found[-1] += " " if token.type == "softbreak" else token.content
        return found

    @property
    def sentences(self) -> str:
        """The text without its code."""
        return " ".join(token.content for token in self._inline() if token.type == "text")

    @property
    def is_made(self) -> bool:
        """Whether `manage.py explain` prints it."""
        return self.path.name.partition(".")[0] in {"troubleshooting", "glossary"}

    @property
    def translation(self) -> MarkdownPage:
        return MarkdownPage(self.path.with_suffix(".zh.md"))


def all_pages() -> list[MarkdownPage]:
    """Every page that people read, wherever it is."""
    folders = [ROOT / name for name in ("docs", "skills", "deploy", "static/vendor")]
    paths = [*ROOT.glob("*.md"), *(path for one in folders for path in one.rglob("*.md"))]
    return [MarkdownPage(path) for path in sorted(paths)]


def guides() -> list[MarkdownPage]:
    """The guides in English; each has its ``translation``."""
    return [
        MarkdownPage(path) for path in sorted(GUIDES.glob("*.md")) if ".zh" not in path.suffixes
    ]


def translated() -> list[MarkdownPage]:
    """Every page that is in both languages: the guides and the README."""
    return [MarkdownPage(ROOT / "README.md"), *guides()]
