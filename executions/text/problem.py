"""PURE: why something could not be done or read, in words for a person."""

import secrets
from dataclasses import dataclass, field
from typing import TypeVar


def _reference() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Problem:
    """What happened, and what to do about it, in whole sentences.

    ``code`` is stable and machine-readable, ``status`` an HTTP status. The ``reference`` finds the
    problem in the log, and is not part of its text.
    """

    what: str
    todo: str
    meaning: str = ""
    code: str = ""
    title: str = ""
    status: int = 503
    reference: str = field(default_factory=_reference, compare=False, repr=False)

    @property
    def reason(self) -> str:
        """Why something is not known."""
        return f"{self.what} {self.meaning}".rstrip()

    def sentence(self) -> str:
        return f"{self.what} {self.todo}"


Known = TypeVar("Known")


def known(fact: Known | Problem | None) -> Known | None:
    """The fact, or None if it could not be read."""
    return None if isinstance(fact, Problem) else fact
