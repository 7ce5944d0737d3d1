"""Pg_cron jobs, and the plans that are the evidence for retiring them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg import sql

from executions.accounts.roles import OPERATOR
from executions.database.connections import Connection
from executions.demo.stage import ROLLUP, schedule
from executions.models.retirement import AuditEvent, Retirement
from executions.retirement import acts, audit, wizard
from executions.retirement.acts import Order
from executions.retirement.rules import Rules, current
from executions.scheduler.plans import newest_due
from tests.people import make_user

THEIRS = "go-backend-1"
MINUTES = timedelta(minutes=1)


@pytest.fixture
def pg_cron(superuser: Connection) -> Iterator[Connection]:
    """A superuser on pg_cron's database; every job is removed when the test ends."""
    yield superuser
    if not superuser.closed:
        clean(superuser)


def clean(superuser: Connection) -> None:
    superuser.execute("DELETE FROM cron.job")
    superuser.execute("DELETE FROM cron.job_run_details")


def note_a_run(superuser: Connection) -> None:
    """Put an old run of another job into the run details, so that they cover all later times."""
    superuser.execute(
        """
        INSERT INTO cron.job_run_details
            (jobid, runid, job_pid, database, username, command, status, start_time, end_time)
        VALUES (4711, nextval('cron.runid_seq'), 1, 'multica', 'multica', 'VACUUM', 'succeeded',
                now() - interval '3 days', now() - interval '3 days')
        """
    )


@pytest.fixture
def role(superuser: Connection) -> Iterator[Callable[..., str]]:
    """Makes roles that are dropped, with all they were granted, when the test ends."""
    made: list[str] = []

    def make(name: str, *statements: str, options: str = "LOGIN") -> str:
        superuser.execute(
            sql.SQL("CREATE ROLE {} ").format(sql.Identifier(name)) + sql.SQL(options)
        )
        made.append(name)
        for statement in statements:
            superuser.execute(sql.SQL(statement).format(role=sql.Identifier(name)))
        return name

    yield make
    clean(superuser)
    for name in made:
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(name)))
        superuser.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))


def jobs(superuser: Connection) -> dict[int, dict[str, Any]]:
    return {row["jobid"]: row for row in superuser.execute("SELECT * FROM cron.job")}


def now(connection: Connection) -> datetime:
    (row,) = connection.execute("SELECT clock_timestamp() AS now")
    moment = row["now"]
    assert isinstance(moment, datetime)
    return moment


def lay_plans(
    owner: Connection,
    count: int = 14,
    *,
    runner: str | None = THEIRS,
    moved: Callable[[int], bool] = lambda _back: True,
    status: Callable[[int], str | None] = lambda _back: "SUCCESS",
    newest: datetime | None = None,
) -> datetime:
    """The newest ``count`` plans as a healthy backend leaves them. Return the newest plan_time.

    ``back`` counts from 0, the newest. A status of None leaves the plan out.
    """
    rules = current()
    moment = now(owner)
    newest = newest or newest_due(rules.spec, moment)
    watermark = newest - count * rules.spec.cadence
    for back in reversed(range(count)):
        plan = newest - back * rules.spec.cadence
        state = status(back)
        after = plan + timedelta(seconds=10) if moved(back) else watermark
        if state is not None:
            add_plan(owner, plan, state, watermark, after, runner=runner)
        if state == "SUCCESS":
            watermark = after
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = %s", [watermark])
    return newest


def add_plan(
    owner: Connection,
    plan: datetime,
    state: str = "SUCCESS",
    before: datetime | None = None,
    after: datetime | None = None,
    *,
    runner: str | None = THEIRS,
    started_at: datetime | None = None,
    attempt: int = 1,
) -> None:
    """One execution of the rollup, finished within two seconds of its due time or just now."""
    moment = now(owner)
    started = started_at or min(plan + timedelta(minutes=5, seconds=1), moment)
    finished = min(started + timedelta(seconds=1), max(moment, started))
    result = {"advisory_lock_id": 4246}
    if before is not None and after is not None and state == "SUCCESS":
        result |= {"watermark_before": before.isoformat(), "watermark_after": after.isoformat()}
    owner.execute(
        """
        INSERT INTO sys_cron_executions
            (job_name, plan_time, status, attempt, max_attempts, runner_id, lease_token,
             heartbeat_at, stale_after, started_at, finished_at, duration_ms, rows_affected,
             result, error_code, error_msg)
        VALUES ('rollup_task_usage_hourly', %(plan)s, %(state)s, %(attempt)s, 3, %(runner)s,
                gen_random_uuid(), %(started)s, %(started)s + interval '30 min', %(started)s,
                %(finished)s, %(duration)s, %(rows)s, %(result)s, %(code)s, %(said)s)
        """,
        {
            "plan": plan,
            "state": state,
            "attempt": attempt,
            "runner": runner,
            "started": started,
            "finished": None if state == "RUNNING" else finished,
            "duration": 900 if state == "SUCCESS" else None,
            "rows": 7 if state == "SUCCESS" else None,
            "result": json.dumps(result),
            "code": "handler_error" if state == "FAILED" else None,
            "said": "it broke" if state == "FAILED" else None,
        },
    )
    if after is not None and state == "SUCCESS":
        owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = %s", [after])


@pytest.fixture
def jobid(owner: Connection, pg_cron: Connection) -> int:
    """A redundant job, beside a backend that has long done the work."""
    lay_plans(owner)
    return schedule(pg_cron)


def operator(name: str = "olga") -> audit.Who:
    """A new user who may retire schedules."""
    return audit.Who.user(make_user(name, OPERATOR))


def confirmed(who: audit.Who, jobid: int, rules: Rules | None = None) -> Retirement:
    """A retirement of that job, up to its confirmation."""
    rules = rules or current()
    retirement = wizard.choose(who, jobid)
    wizard.confirm(who, retirement, rules)
    return retirement


def press(retirement: Retirement) -> dict[str, str]:
    """The fields of the confirmation form."""
    job = wizard.job_of(retirement)
    return {"typed": job.label, "fingerprint": job.fingerprint}


def retire(
    who: audit.Who, jobid: int, rules: Rules | None = None, *, accepted: bool = False
) -> Retirement:
    rules = rules or current()
    retirement = confirmed(who, jobid, rules)
    acts.remove(Order(who, retirement, rules), **press(retirement), accepted=accepted)
    return retirement


def audited(retirement: Retirement) -> list[tuple[str, str]]:
    """What the audit says about a retirement: actions and outcomes, oldest first."""
    events = AuditEvent.objects.filter(retirement_id=retirement.pk).order_by("pk")
    return list(events.values_list("action", "outcome"))


@pytest.fixture
def acting_as(settings: Any) -> Callable[[str], None]:
    """Make everything that reads pg_cron or acts on it connect as another role."""

    def become(name: str) -> None:
        settings.RETIRE_CONNINFO = {**settings.RETIRE_CONNINFO, "user": name}

    return become


__all__ = ["ROLLUP", "acting_as", "jobid", "pg_cron", "role", "schedule"]
