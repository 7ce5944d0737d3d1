"""A long command says what it does before ten seconds pass."""

from __future__ import annotations

import threading
from io import StringIO

from executions.management.progress import Slices, StillThere
from tests.waiting import HANG


def test_what_is_being_done_is_said_again_and_again():
    said: list[str] = []
    twice = threading.Event()

    def say(line: str) -> None:
        said.append(line)
        if len(said) == 2:
            twice.set()

    with StillThere(say, "waiting for lock 4246", every=0.01):
        assert twice.wait(HANG)
    assert all(line.startswith("Still waiting for lock 4246, for ") for line in said)


def test_without_a_terminal_each_slice_is_a_line_and_a_long_one_is_repeated():
    out = StringIO()
    with Slices(out, 2, every=0.01) as slices:
        slices.begin("2026-01")
        deadline = threading.Event()
        while "Still summing 2026-01, month 1 of 2" not in out.getvalue():
            deadline.wait(0.01)
        slices.end("2026-01: 3 buckets changed in 0.1 s")
    assert "2026-01: 3 buckets changed in 0.1 s\n" in out.getvalue()
