"""PURE: changes and blind stretches as one course: from when to when it was what.

A blind stretch cuts out of a verdict the time in which nobody saw it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


class Lasting(Protocol):
    """Something that began at ``since`` and lasted ``until``; None if it still does."""

    @property
    def since(self) -> datetime: ...
    @property
    def until(self) -> datetime | None: ...


@dataclass(frozen=True)
class Between:
    """A piece of time; ``until`` is None if it lasts."""

    since: datetime
    until: datetime | None


def seen_parts(whole: Lasting, blind: Iterable[Lasting]) -> list[Between]:
    """The parts of ``whole`` that no blind stretch covers, oldest first."""
    return list(_parts(whole, sorted(blind, key=lambda one: one.since)))


def _parts(whole: Lasting, blind: Sequence[Lasting]) -> Iterator[Between]:
    since = whole.since
    for one in blind:
        if whole.until is not None and one.since >= whole.until:
            break
        if since < one.since:
            yield Between(since, one.since)
        if one.until is None:
            return
        since = max(since, one.until)
    if whole.until is None or since < whole.until:
        yield Between(since, whole.until)
