"""Every table: Multica's, which this project only reads through models, and our own."""

from executions.models.alarms import Alarm, AlarmDelivery, AlarmReceiver, TellingState
from executions.models.multica import (
    Execution,
    MulticaModel,
    ReadOnly,
    ReadOnlyQuerySet,
    RollupState,
    Status,
)
from executions.models.ours import Runner
from executions.models.retirement import Act, AuditEvent, CallersReport, Retirement
from executions.models.sign_in import AccountSession, GuessCount, LastSeen
from executions.models.silences import Silence
from executions.models.verdicts import BlindStretch, VerdictChange, Watch

__all__ = [
    "AccountSession",
    "Act",
    "Alarm",
    "AlarmDelivery",
    "AlarmReceiver",
    "AuditEvent",
    "BlindStretch",
    "CallersReport",
    "Execution",
    "GuessCount",
    "LastSeen",
    "MulticaModel",
    "ReadOnly",
    "ReadOnlyQuerySet",
    "Retirement",
    "RollupState",
    "Runner",
    "Silence",
    "Status",
    "TellingState",
    "VerdictChange",
    "Watch",
]
