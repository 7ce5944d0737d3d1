"""What the browser loads of Tabler and Inter, made from the whole ones in this folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from frontend import classes, reduce, typeface

ROOT = classes.ROOT
WHOLE_SHEET = ROOT / "frontend/tabler-1.6.1/tabler.min.css"
WHOLE_TYPEFACE = ROOT / "frontend/inter-5.3.0/inter-latin-wght-normal.woff2"


def style_sheet() -> bytes:
    """The part of Tabler that the pages use."""
    ours = [
        path.read_text("utf-8")
        for path in sorted((ROOT / "static").rglob("*.*"))
        if path.suffix in {".css", ".js"} and "vendor" not in path.parts
    ]
    whole = WHOLE_SHEET.read_text("utf-8")
    return reduce.reduced(whole, classes.used_classes().has, "\n".join(ours)).encode()


def inter() -> bytes:
    """The part of Inter that the pages use."""
    return typeface.reduced(WHOLE_TYPEFACE)


MADE: Mapping[Path, Callable[[], bytes]] = {
    ROOT / "static/vendor/tabler-1.6.1/tabler.reduced.css": style_sheet,
    ROOT / "static/vendor/inter-5.3.0/inter.reduced.woff2": inter,
}
