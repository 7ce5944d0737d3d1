"""A position in a list of executions, as an address carries it.

A cursor is a place between rows, not a row. So it stays exact when its row is gone or many rows
share a time. PURE, except for the installation's key: the cursor is signed, so that a mistyped or
altered one is refused instead of leading elsewhere.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self
from uuid import UUID

from django.utils.crypto import constant_time_compare, salted_hmac

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHAPE = re.compile(
    r"(?P<way>older|newer)\.(?P<segment>[a-z]{1,10})\.(?P<time>-?\d{1,18})"
    r"\.(?P<id>[0-9a-f]{32}|-)\.(?P<seal>[0-9a-f]{12})",
    re.ASCII,
)


@dataclass(frozen=True)
class Cursor:
    """The place to continue: ``older`` or ``newer``, in which segment, past which time and id.

    Without an id the place is before every row of its time, so all of them are still to come.
    """

    segment: str
    time: datetime
    id: UUID | None = None
    older: bool = True

    def __str__(self) -> str:
        body = self._body()
        return f"{body}.{_seal(body)}"

    def _body(self) -> str:
        way = "older" if self.older else "newer"
        microseconds = (self.time - _EPOCH) // _MICROSECOND
        return f"{way}.{self.segment}.{microseconds}.{self.id.hex if self.id else '-'}"

    @classmethod
    def read(cls, text: str) -> Self:
        """Read the cursor in ``text``.

        Raises:
            ValueError: it is malformed, altered, or signed by another installation.
        """
        match = _SHAPE.fullmatch(text)
        if not match:
            raise ValueError("not the shape of a cursor")
        body, _, seal = text.rpartition(".")
        if not constant_time_compare(seal, _seal(body)):
            raise ValueError("not sealed by this installation")
        return cls(
            segment=match["segment"],
            time=_EPOCH + int(match["time"]) * _MICROSECOND,
            id=None if match["id"] == "-" else UUID(match["id"]),
            older=match["way"] == "older",
        )


def _seal(body: str) -> str:
    return salted_hmac("executions.cursor", body).hexdigest()[:12]
