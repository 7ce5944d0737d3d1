"""Room on the interpreter's stack for a whole request at once.

CPython keeps frames in pieces of 16 KiB and gives a piece back when its first frame ends. Where the
loop of a template happens to lie across such a border, each of its steps asks the system for memory
and returns it: measured, 10 to 20 ms of a page's 40.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

# Slots of 8 bytes. A frame larger than a piece gets one of the next power of two, here 512 KiB, and
# what it calls lies behind it in the same. Nothing of it is touched before it is needed.
SLOTS = 40_000


def with_room(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, called from a frame that brings room for all that it calls."""

    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return function(*args, **kwargs)

    call.__code__ = call.__code__.replace(co_stacksize=SLOTS)
    return call
