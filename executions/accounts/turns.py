"""Whose password is checked next: one at a time in each process, and each address in its turn.

A check takes a processor for a quarter of a second. An address may send many at once, so it waits
behind itself and not before others. It knows no password, no account and no limit on guessing.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Ticket:
    """One request's place in the line. ``whose`` is the address that it came from."""

    whose: str


class Line:
    """Who is in the line and whose turn it is. Pure: it knows neither threads nor a clock.

    An address may have half as many places as are free, and one as long as any is. So an address
    that sends many leaves room for others, and several such addresses leave it too.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._inside: dict[str, int] = {}
        # Addresses in the order of their next turns, each with its places that wait.
        self._waiting: dict[str, deque[Ticket]] = {}
        self._present: Ticket | None = None

    def enter(self, whose: str) -> Ticket | None:
        """Give a place that does not wait for its turn yet; None if there are too many."""
        if self._inside.get(whose, 0) >= self._free / 2:
            return None
        self._free -= 1
        self._inside[whose] = self._inside.get(whose, 0) + 1
        return Ticket(whose)

    def ask(self, place: Ticket) -> None:
        """Let a place wait for its turn."""
        self._waiting.setdefault(place.whose, deque()).append(place)
        self._go_on()

    def has_turn(self, place: Ticket) -> bool:
        return self._present is place

    def leave(self, place: Ticket) -> None:
        """Give a place back, with or without its turn."""
        self._free += 1
        self._inside[place.whose] -= 1
        if not self._inside[place.whose]:
            del self._inside[place.whose]
        if self._present is place:
            self._present = None
            # Whoever came meanwhile is before the address that has just had its turn.
            rest = self._waiting.pop(place.whose, None)
            if rest:
                self._waiting[place.whose] = rest
            self._go_on()

    def _go_on(self) -> None:
        if self._present is None and self._waiting:
            whose, places = next(iter(self._waiting.items()))
            self._present = places.popleft()
            if not places:
                del self._waiting[whose]


class Turns:
    """The line of a process, for its threads. No thread waits before it asks for its turn."""

    def __init__(self, places: int) -> None:
        self._line = Line(places)
        self._changed = threading.Condition()

    @contextmanager
    def place(self, whose: str) -> Iterator[Ticket | None]:
        """Hold a place meanwhile; None if the address, or everybody, has too many."""
        with self._changed:
            place = self._line.enter(whose)
        try:
            yield place
        finally:
            if place is not None:
                with self._changed:
                    self._line.leave(place)
                    self._changed.notify_all()

    def take(self, place: Ticket) -> None:
        """Wait for the turn of a place. It lasts until the place is given back."""
        with self._changed:
            self._line.ask(place)
            self._changed.wait_for(lambda: self._line.has_turn(place))
