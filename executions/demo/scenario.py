"""The parts of a scenario of the demo. `gallery.py` has their list."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from django.utils.functional import Promise

from executions.database.connections import Connection
from executions.demo import worlds
from executions.demo.servers import Arrange
from executions.demo.stage import Setting, nothing
from executions.demo.worlds import DayOfPlans
from executions.health.diagnosis.look import CauseCode
from executions.health.findings.base import FindingCode
from executions.retirement.gates.gate import GateCode

Lay = Callable[[Connection], DayOfPlans]
Shown = FindingCode | CauseCode | GateCode


@dataclass(frozen=True)
class Scenario:
    """A state of the demo.

    ``around`` is made once and held, ``lay`` is written anew with each plan that comes due, so that
    the state stays as the sentence says. ``retirer`` looks at pg_cron in place of a superuser.
    ``arrange`` changes the scenario's servers before the dashboard serves. ``cause`` is what
    ``/rollup/zero/`` names beside the finding that the scenario is about.
    """

    name: str
    sentence: Promise
    shows: Shown
    lay: Lay = worlds.healthy
    around: Setting = nothing
    retirer: str | None = None
    arrange: Arrange | None = None
    cause: CauseCode | None = None

    @property
    def command(self) -> str:
        return f"bin/run --scenario {self.name}"

    @property
    def codes(self) -> tuple[Shown | None, ...]:
        """Everything that the scenario shows."""
        return self.shows, self.cause

    @property
    def reads_standby(self) -> bool:
        return self.shows is FindingCode.STANDBY

    @property
    def needs_pg_cron(self) -> bool:
        return isinstance(self.shows, GateCode)
