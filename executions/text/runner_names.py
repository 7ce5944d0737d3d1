"""PURE: how people tell runners apart: a short name, and a mark of stable letter, shape and hue.

A runner's id is random and long. The mark depends on nothing but the id, so a runner looks the same
on every page, in every process and after every restart of the dashboard. Two runners may share a
mark, so it never stands without the name.
"""

import re
from dataclasses import dataclass

from executions.text.digest import digest

# I and O look like digits.
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"
# The paths of the shapes within 16 by 16 units: circle, square, diamond, hexagon.
SHAPES = (
    "M8 .5a7.5 7.5 0 1 1 0 15a7.5 7.5 0 1 1 0-15z",
    "M3 1h10a2 2 0 0 1 2 2v10a2 2 0 0 1-2 2H3a2 2 0 0 1-2-2V3a2 2 0 0 1 2-2z",
    "M8 0l8 8-8 8-8-8z",
    "M4 1h8l4 7-4 7H4L0 8z",
)
# frame.css has a colour for each: hue-0, hue-1 …
HUES = 6

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
# As long as the ids that this project makes on a host with a short name.
LONGEST = 20


@dataclass(frozen=True)
class Mark:
    """``shape`` is an index into `SHAPES`."""

    letter: str
    shape: int
    hue: int


def mark_of(runner_id: str) -> Mark:
    number = int(digest(runner_id), base=16)
    number, letter = divmod(number, len(LETTERS))
    number, shape = divmod(number, len(SHAPES))
    return Mark(LETTERS[letter], shape, number % HUES)


def short_name(runner_id: str) -> str:
    """The first eight characters of a UUID, as Multica's runners have; a long name's two ends.

    The ids of this project begin with the host, so the end is what differs.
    """
    if _UUID.fullmatch(runner_id):
        return runner_id[:8]
    return runner_id if len(runner_id) <= LONGEST else f"{runner_id[:8]}…{runner_id[-6:]}"
