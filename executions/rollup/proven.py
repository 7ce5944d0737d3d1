"""PURE: the window functions whose buckets our own statements give too.

A function is known by the SHA-256 of its source (`pg_proc.prosrc`). Hashes only: Multica's text is
not ours to carry. Each entry was proven equal on generated histories before it was added, with the
machine of `tests/database/test_backfill_equality.py`, which proves ours in every run.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Proven:
    """How a known window function works, and whose it is.

    A ``costed`` one writes the cost columns. For a ``widened`` one, as is ours, a queued key stands
    for all of its hour, agent, provider and model, and what it judged beside an open change stays
    queued.
    """

    whose: str
    costed: bool
    widened: bool


_OURS = Proven("Multica Admin (manage.py provision)", costed=True, widened=True)

PROVEN: Mapping[str, Proven] = {
    "297244c607dedd67160b136352fc5905065daa089edd25518bb0b0681b50ddb5": Proven(
        "Multica v0.3.5 to v0.4.9", costed=False, widened=False
    ),
    "303ae930cfd68111ffeab5900d9ec0437d942effb99d3cd0b8e7b9da86e31309": Proven(
        "Multica v0.4.10 and newer", costed=True, widened=False
    ),
    "ae407834c8d5ae30a92acb9700dd28219c66a0c5329fe0616c16f611ab88fdc1": _OURS,
    # The same with other comments.
    "6a882dce835f019b94617426212b97b8820d8cf48964b7104f7fadb7611499ab": _OURS,
}


@dataclass(frozen=True)
class WindowSource:
    """The hash of the installed window function; None if there is no such function.

    The proof also relies on two facts: `task_usage_hour_bucket` cuts at UTC hours (``hourly``),
    and a task has one usage row at most per provider and model (``once``).
    """

    sha256: str | None
    hourly: bool
    once: bool

    @property
    def known(self) -> Proven | None:
        """What is known of the function by its source, or None."""
        return PROVEN.get(self.sha256 or "")

    @property
    def proven(self) -> Proven | None:
        """What may be relied on here, or None."""
        return self.known if self.hourly and self.once else None
