"""PURE: why something could not be done or read, in words for a person."""

import secrets
from dataclasses import dataclass, field
from typing import TypeVar

from django.utils.functional import Promise

from executions.text.sentences import Paragraph, Sentence, after_one_another, quoted, together

Words = str | Promise | Sentence


def _reference() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True)
class Problem:
    """What happened, and what to do about it, in whole sentences.

    One that is kept for many viewers has lazy texts, so that each of them reads their own language.
    ``code`` is stable and machine-readable, ``status`` an HTTP status. The ``reference`` finds the
    problem in the log, and is not part of its text.
    """

    what: Words
    todo: Words
    meaning: Words = ""
    code: str = ""
    title: Words = ""
    status: int = 503
    reference: str = field(default_factory=_reference, compare=False, repr=False)

    @property
    def reason(self) -> Paragraph:
        """Why something is not known."""
        return together(quoted(self.what), quoted(self.meaning) if self.meaning else None)

    def told(self) -> Paragraph:
        """Why something is not known, and what to do."""
        return together(*self.reason.sentences, quoted(self.todo))

    @property
    def brief(self) -> Paragraph:
        """What happened, and what to do about it."""
        return after_one_another(self.what, self.todo)

    def sentence(self) -> str:
        return str(self.brief)


Known = TypeVar("Known")


def known(fact: Known | Problem | None) -> Known | None:
    """The fact, or None if it could not be read."""
    return None if isinstance(fact, Problem) else fact
