"""What may happen to an execution, compared with everything that did: docs/contract.md section 3.

A trigger of the tests records every change of the table. `broken_rules` names the changes that no
correct set of runners makes, whatever crashes, stalls or is cut off. A writer with a named
connection must be the lease's owner.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from executions.database.connections import Connection

_SETUP = Path(__file__).with_suffix(".sql").read_text("utf-8")

# Each rule is a condition under which a change breaks it. A heartbeat keeps the token.
_RULES = {
    "a plan begins as RUNNING, attempt 1, with a lease": """
        (before).id IS NULL AND ((after).status <> 'RUNNING' OR (after).attempt <> 1
                                 OR (after).stale_after <= moment)""",
    "no execution disappears": "(after).id IS NULL",
    "id, job, scope and plan_time never change": """
        (before).id IS NOT NULL AND after IS NOT NULL
        AND ((before).id, (before).job_name, (before).scope_kind, (before).scope_id,
             (before).plan_time, (before).max_attempts)
            IS DISTINCT FROM ((after).id, (after).job_name, (after).scope_kind, (after).scope_id,
                              (after).plan_time, (after).max_attempts)""",
    "a finished plan never changes": """
        (before).status = 'SUCCESS'
        OR (before).status = 'FAILED' AND (before).attempt = (before).max_attempts""",
    "an attempt is one more or the same, and within its limit": """
        (before).id IS NOT NULL
        AND ((after).attempt - (before).attempt NOT IN (0, 1)
             OR (after).attempt > (after).max_attempts)""",
    "a new attempt has a new token and a lease, and an old one keeps its own": """
        (before).id IS NOT NULL
        AND ((after).attempt > (before).attempt)
            <> ((after).lease_token <> (before).lease_token)""",
    "a new attempt is RUNNING": """
        (after).attempt > (before).attempt AND (after).status <> 'RUNNING'""",
    "a live lease is never taken over": """
        (before).status = 'RUNNING' AND (after).attempt > (before).attempt
        AND (before).stale_after >= moment""",
    "a failed plan is not retried before its time": """
        (before).status = 'FAILED' AND (before).next_retry_at > moment""",
    "a failed plan is left only for a new attempt": """
        (before).status = 'FAILED' AND (after).attempt = (before).attempt""",
    "only what is stale is swept": """
        (after).error_code = 'stale_timeout' AND (before).status = 'RUNNING'
        AND (before).stale_after >= moment""",
    "a runner keeps its attempt": """
        (after).attempt = (before).attempt
        AND (after).runner_id IS DISTINCT FROM (before).runner_id""",
    "only its owner extends or finishes a lease": """
        (after).attempt = (before).attempt AND writer LIKE 'runner-%%'
        AND (after).error_code IS DISTINCT FROM 'stale_timeout'
        AND writer <> (before).runner_id""",
    "what ended has an end, and only that": """
        ((after).status = 'RUNNING') <> ((after).finished_at IS NULL)""",
}

_BROKEN = " UNION ALL ".join(
    f"SELECT '{rule}' AS rule, before::text, after::text FROM recent WHERE {condition}"
    for rule, condition in _RULES.items()
)
_BROKEN = f"WITH recent AS (SELECT * FROM history WHERE number > %(since)s) {_BROKEN}"


@contextmanager
def kept(connection: Connection) -> Iterator[None]:
    """Keep every change of the table while inside."""
    connection.execute(_SETUP)
    try:
        yield
    finally:
        connection.execute("DROP TRIGGER write_history ON sys_cron_executions")
        connection.execute("DROP FUNCTION write_history()")
        connection.execute("DROP TABLE history")


def broken_rules(connection: Connection, since: int = 0) -> list[str]:
    """The rules that a change with a number above ``since`` broke, each with the change."""
    rows = connection.execute(_BROKEN, {"since": since}).fetchall()
    return [f"{row['rule']}: {row['before']} -> {row['after']}" for row in rows]
