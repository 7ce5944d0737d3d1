"""One finding of a case in memory."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from executions.health.facts import Ground
from executions.health.facts.sessions import DatabaseSession
from executions.health.findings import RULES, Case, Finding, FindingCode, Severity
from tests.pictures import NOW, facts

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


DAY = timedelta(days=1)
FAILED = {"status": "FAILED", "error_code": "handler_error", "error_msg": "boom"}


LOST = {"rows_affected": 0, "watermark_before": NOW, "watermark_after": NOW}


def ground(**columns) -> Ground:
    known = facts().ground
    assert isinstance(known, Ground)
    return replace(known, **columns)


def judged(code: FindingCode, **known) -> Finding | None:
    case = Case.of(facts(**known))
    assert case is not None
    return RULES[code](case)


def severity(code: FindingCode, **known) -> Severity | None:
    found = judged(code, **known)
    return found.severity if found else None


IDLE = DatabaseSession(99, None, "multica", "idle", NOW - HOUR, idle=True)
