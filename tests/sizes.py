"""How much the long tests do: a little in `bin/test`, everything in `bin/audit`.

`bin/audit` sets FULL_SIZE. A smaller size leaves out more cases of a kind, never a mechanism.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

AT_FULL_SIZE = os.environ.get("FULL_SIZE") == "on"

Size = TypeVar("Size")
Case = TypeVar("Case")


def sized(usual: Size, full: Size) -> Size:
    """The size for `bin/test`, or for `bin/audit`."""
    return full if AT_FULL_SIZE else usual


def few(cases: Sequence[Case], count: int) -> Sequence[Case]:
    """The first ``count`` cases of one kind for `bin/test`, or all of them for `bin/audit`."""
    return sized(cases[:count], cases)
