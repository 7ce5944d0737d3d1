"""Reduces the typeface to the characters, weights and features that the pages use."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

# Our own texts, and names and messages of people who write in Latin letters. A browser takes any
# other character from a typeface of the system.
CHARACTERS = frozenset(
    [*range(0x20, 0x7F), *range(0xA0, 0xAD), *range(0xAE, 0x100), *map(ord, "–—‘’“”…‹›−•")]
)
WEIGHTS = (400, 650)
# Pairs of letters, figures of one width, and what these need.
FEATURES = ["kern", "tnum", "mark", "mkmk"]


def reduced(whole: Path) -> bytes:
    """The typeface as WOFF2. The same file always gives the same bytes."""
    font = TTFont(whole, recalcTimestamp=False)
    options = Options(layout_features=FEATURES, hinting=False)
    subsetter = Subsetter(options)
    subsetter.populate(unicodes=CHARACTERS)
    subsetter.subset(font)
    font = instancer.instantiateVariableFont(font, {"wght": WEIGHTS})
    font.flavor = "woff2"
    made = BytesIO()
    font.save(made)
    return made.getvalue()
