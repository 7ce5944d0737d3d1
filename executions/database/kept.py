"""One question to the database, however many watch: what a live part showed a moment ago is kept.

Of each address the newest answer is kept for its own pace, in this process; whoever refreshes
within that time gets the same one. Of many who ask at once one reads; the others get the last
answer, or wait where there is none. A page that somebody opens is always read anew. The overview
has a keeper of its own.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

MOST_KEPT = 64


class Paced(Protocol):
    """What knows for how many seconds it may be shown again."""

    @property
    def live_seconds(self) -> int: ...


Answer = TypeVar("Answer", bound=Paced)


@dataclass
class _Place(Generic[Answer]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    answer: Answer | None = None
    read_at: float = 0.0


class Shared(Generic[Answer]):
    """The newest answers by address, at most ``MOST_KEPT`` of them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place[Answer]] = OrderedDict()

    def get(self, address: str, read: Callable[[], Answer], *, anew: bool) -> Answer:
        """The answer kept for an address, read where there is none, it is old, or ``anew``.

        Raises:
            Exception: whatever ``read`` raises; nothing is kept then.
        """
        place = self._place(address)
        held = None if anew else place.answer
        if held is not None and not place.lock.acquire(blocking=False):
            return held  # somebody is reading it just now
        if held is None:
            place.lock.acquire()
        try:
            return self._current(place, read, anew=anew)
        finally:
            place.lock.release()

    def _current(self, place: _Place[Answer], read: Callable[[], Answer], *, anew: bool) -> Answer:
        answer = place.answer
        age = self._clock() - place.read_at
        if answer is not None and not anew and age < answer.live_seconds:
            return answer
        try:
            answer = place.answer = read()
        except BaseException:
            place.answer = None
            raise
        place.read_at = self._clock()
        return answer

    def forget(self) -> None:
        """Have everything read anew."""
        with self._lock:
            self._places.clear()

    def _place(self, address: str) -> _Place[Answer]:
        with self._lock:
            place = self._places.setdefault(address, _Place())
            self._places.move_to_end(address)
            while len(self._places) > MOST_KEPT:
                self._places.popitem(last=False)
            return place
