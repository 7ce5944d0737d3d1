"""Answers that are kept for some seconds, so that many viewers cost the database one query.

One thread of this process asks at a time. The module neither knows what is asked nor decides
anything.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_KEPT = 64
# How soon a live part asks again: while something is under way, and otherwise.
BUSY_SECONDS = 5
QUIET_SECONDS = 15

Answer = TypeVar("Answer")


@dataclass
class _Place(Generic[Answer]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    newest: tuple[Answer, float] | None = None
    failed: bool = False


class Kept(Generic[Answer]):
    """The newest answers by question, at most ``most`` of them.

    ``seconds`` is how long an answer is good. While a thread asks anew, other threads get the last
    answer. They wait if there is no last answer. If ``serves`` is false they always wait.
    """

    def __init__(
        self,
        seconds: Callable[[Answer], float],
        clock: Callable[[], float] = time.monotonic,
        *,
        most: int = MOST_KEPT,
        serves: bool = True,
    ) -> None:
        self._seconds, self._clock, self._most, self._serves = seconds, clock, most, serves
        self._lock = threading.Lock()
        self._places: OrderedDict[str, _Place[Answer]] = OrderedDict()

    def get(self, asked: str, ask: Callable[[], Answer], *, anew: bool = False) -> Answer:
        """The kept answer. Ask anew if no answer is kept, if it is old, or with ``anew``.

        With ``anew`` the question is asked after this call began.

        Raises:
            Exception: whatever ``ask`` raises. The next caller asks again; until one succeeds,
                only `newest` gives the last answer.
        """
        place = self._place(asked)
        held = place.newest if self._serves and not anew and not place.failed else None
        if not place.lock.acquire(blocking=held is None) and held is not None:
            return held[0]
        try:
            newest = place.newest
            asks = anew or place.failed or newest is None
            if newest and not asks and self._clock() - newest[1] < self._seconds(newest[0]):
                return newest[0]
            try:
                answer = ask()
            except BaseException:
                place.failed = True
                raise
            place.newest, place.failed = (answer, self._clock()), False
            return answer
        finally:
            place.lock.release()

    def newest(self, asked: str, within: float = float("inf")) -> Answer | None:
        """The last answer, without asking or waiting; None if older than ``within`` seconds."""
        newest = self._place(asked).newest
        return newest[0] if newest and self._clock() - newest[1] < within else None

    def forget(self) -> None:
        with self._lock:
            self._places.clear()

    def _place(self, asked: str) -> _Place[Answer]:
        with self._lock:
            place = self._places.setdefault(asked, _Place())
            self._places.move_to_end(asked)
            self._give_way()
            return place

    def _give_way(self) -> None:
        """Drop the places asked for longest ago, but none that a thread is reading for."""
        for asked in list(self._places)[: -self._most]:
            if not self._places[asked].lock.locked():
                del self._places[asked]
