"""Deep calls stay fast wherever the chunks of the interpreter's stack end."""

from __future__ import annotations

import resource

from multica_admin.stack import with_room

STEPS = 500


def leaf(_depth: int) -> None:
    pass


def step(number: int) -> None:
    leaf(number)


def faults(depth: int) -> int:
    """The page faults of a loop of calls at this depth of frames."""
    if depth:
        return faults(depth - 1)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for number in range(STEPS):
        step(number)
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def test_no_depth_makes_a_loop_ask_for_memory_at_every_step():
    roomy = with_room(faults)
    assert max(roomy(depth) for depth in range(300)) < STEPS / 10


def test_what_it_returns_takes_and_raises_is_the_functions_own():
    assert with_room(lambda one, *, two: (one, two))(1, two=2) == (1, 2)
