"""Why something was not done. Each refusal is a sentence for the operator, with its evidence.

Code that raises a refusal has changed nothing. `Unknown` is the exception: nobody can tell yet.
"""

from collections.abc import Iterable, Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _

from executions.health.assessment import plain
from executions.models.retirement import Act
from executions.pgcron.job import Job, part_in_words
from executions.retirement.gates.gate import Check, Gate
from executions.text.sentences import apart, say, told_once


class Refused(Exception):
    """It was not done and nothing was changed. ``str()`` is the sentence.

    ``differences`` has what changed since the confirmation (field: then, now), ``gates`` those that
    refuse. Either may be empty.
    """

    def __init__(
        self,
        sentence: str | Promise,
        *,
        differences: Mapping[str, tuple[object, object]] | None = None,
        gates: Iterable[Gate] = (),
    ) -> None:
        super().__init__(str(sentence))
        self.differences = dict(differences or {})
        self.gates = tuple(gates)

    @property
    def evidence(self) -> dict[str, object]:
        """The evidence for the record, in JSON's own types."""
        return {
            "differences": {name: list(pair) for name, pair in self.differences.items()},
            "gates": [gate_as_json(gate) for gate in self.gates],
        }


class WrongName(Refused):
    """The operator typed a name that is not the job's."""


class NotPermitted(Refused):
    """The account may not act, or no longer. Only the log records it, not the audit."""


class SomebodyElse(Refused):
    """Another operator is doing it, or has done it. ``who`` is that operator's name."""

    def __init__(self, who: str, sentence: str | Promise) -> None:
        super().__init__(sentence)
        self.who = who


def being_done(act: Act) -> SomebodyElse:
    """An act on the same retirement is open: it is under way, or a crash is not settled yet."""
    return SomebodyElse(
        act.user_name,
        _("%(who)s is doing this at the moment (%(what)s). Nothing was changed by you.")
        % {"who": act.user_name, "what": act.get_kind_display()},
    )


class Failed(Refused):
    """The database did not do it, and nothing was changed there."""


class Unknown(Exception):
    """The connection was lost during the act. `recover` will find out the outcome."""


def changed(before: Job, now: Job | None) -> Refused:
    """The job is no longer the confirmed one."""
    if now is None:
        return Refused(
            _("%(job)s is gone, or this role may no longer see it. Nothing was changed.")
            % {"job": before.label},
            differences={"jobid": (before.jobid, None)},
        )
    differences = before.differences(now)
    told = apart(
        say(
            "%(part)s: %(then)s → %(now)s", part=part_in_words(name), then=str(then), now=str(later)
        )
        for name, (then, later) in differences.items()
    )
    return Refused(
        _("%(job)s is not the job that was confirmed any more (%(told)s). Nothing was changed.")
        % {"job": before.label, "told": told},
        differences=differences,
    )


def refused_by(gates: Iterable[Gate]) -> Refused:
    refusing = tuple(gates)
    reasons = (gate.summary for gate in refusing)
    told = told_once(*reasons, _("Nothing was changed."))
    return Refused(str(told), gates=refusing)


def nothing_done(why: str) -> str:
    """The sentence for a failed attempt, with the reason in the database's words."""
    return _("Nothing was changed: %(why)s.") % {"why": why}


def gate_as_json(gate: Gate) -> dict[str, object]:
    """The gate as in docs/interfaces.md, ``checkretirement --json``."""
    return {
        "code": gate.code.value,
        "passed": gate.passed,
        "summary": str(gate.summary),
        "evidence": plain(gate.evidence),
    }


def check_as_json(check: Check) -> dict[str, object]:
    """The state of every gate, kept with an intent."""
    return {
        "retirable": check.retirable,
        "trial": check.trial,
        "earliest": plain(check.earliest),
        "gates": [gate_as_json(gate) for gate in check.gates],
    }
