"""A job that pg_cron really runs takes lock 4246 from every plan. The way past it is a trial.

pg_cron starts a job once in a minute, so one long run stands for many short runs that meet each
plan of five minutes. While it lasts, plans of a second and a half find the lock taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from executions.database.connections import Connection
from executions.models.retirement import Retirement, RetirementState
from executions.retirement import acts, wizard
from executions.retirement.acts import Order
from executions.retirement.gates.gate import Aim
from executions.retirement.refusals import Refused
from executions.retirement.rules import Rules
from tests.retiring import audited, jobs, operator, pg_cron, press, schedule
from tests.short_plans import LOOK, Backend, ticking
from tests.waiting import HANG, until

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

EVERY_MINUTE = "* * * * *"
A_MINUTE_AND_SOME = 60 + HANG
STREAK = 8
# The lock that keeps a run of pg_cron's in its middle. Only this test uses it.
HELD = 904246
SLOW_FOR_PG_CRON = f"""
CREATE FUNCTION slow_for_pg_cron() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('application_name') LIKE 'pg_cron%' THEN
        PERFORM pg_advisory_xact_lock_shared({HELD});
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slow_for_pg_cron BEFORE UPDATE ON task_usage_hourly_rollup_state
    FOR EACH ROW EXECUTE FUNCTION slow_for_pg_cron();
"""


@pytest.fixture
def long_runs(owner, connect) -> Iterator[Connection]:
    """pg_cron's runs of the rollup do their work and do not end while HELD is held."""
    owner.execute(SLOW_FOR_PG_CRON)
    yield connect("postgres")
    owner.execute("DROP FUNCTION slow_for_pg_cron() CASCADE")


@contextmanager
def held(connection: Connection) -> Iterator[None]:
    connection.execute("SELECT pg_advisory_lock(%s)", [HELD])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [HELD])


def pg_cron_has_the_lock(superuser: Connection) -> bool:
    query = (
        "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE locktype = 'advisory' AND granted AND (classid, objid, objsubid) = (0, 4246, 1)"
        " AND application_name LIKE 'pg_cron%'"
    )
    return superuser.execute(query).rowcount == 1


def newest(owner: Connection, count: int) -> list[dict[str, object]]:
    return owner.execute(
        "SELECT status, rows_affected, result FROM sys_cron_executions WHERE status <> 'RUNNING'"
        " ORDER BY plan_time DESC LIMIT %s",
        [count],
    ).fetchall()


def moved(row: dict[str, object]) -> bool:
    result = row["result"]
    assert isinstance(result, dict)
    return bool(result["watermark_after"] != result["watermark_before"])


def test_a_job_that_takes_the_lock_at_every_plan_is_retired_by_way_of_a_trial(
    cluster, owner, pg_cron, long_runs
):
    backend = Backend(cluster)
    rules = Rules(backend.spec, STREAK, look_every=LOOK, try_again_every=LOOK)
    who = operator()
    with backend.running(owner), ticking(rules):
        with held(long_runs):
            jobid = schedule(pg_cron, at=EVERY_MINUTE)
            until(lambda: pg_cron_has_the_lock(pg_cron), hang=A_MINUTE_AND_SOME)
            until(lambda: not any(moved(row) for row in newest(owner, STREAK)))
        assert {row["status"] for row in newest(owner, STREAK)} == {"SUCCESS"}
        until(lambda: pg_cron.execute(
            "SELECT FROM cron.job_run_details WHERE jobid = %s AND status = 'succeeded'", [jobid]
        ).rowcount)  # fmt: skip

        retirement = wizard.choose(who, jobid)
        judged = wizard.confirm(who, retirement, rules)
        assert judged.aim is Aim.EXACT
        assert [gate.code for gate in judged.refusals(judged.aim)] == ["watermark_advancing"]
        assert judged.trial
        with pytest.raises(Refused, match="moved the watermark"):
            acts.remove(Order(who, retirement, rules), **press(retirement))
        assert jobs(pg_cron)[jobid]["active"]

        acts.pause(Order(who, retirement, rules), **press(retirement))
        assert not jobs(pg_cron)[jobid]["active"]
        until(lambda: Retirement.objects.get(pk=retirement.pk).state != RetirementState.TRIAL)
        retirement.refresh_from_db()
        assert retirement.state == RetirementState.TRIAL_PASSED, retirement.reason
        acts.remove(Order(who, retirement, rules), **press(retirement))
        assert jobs(pg_cron) == {}
        until(lambda: Retirement.objects.get(pk=retirement.pk).state == RetirementState.VERIFIED)
    assert [line for line in audited(retirement) if line[0] in {"pause", "remove"}] == [
        ("remove", "intended"),
        ("remove", "refused"),
        ("pause", "intended"),
        ("pause", "done"),
        ("remove", "intended"),
        ("remove", "done"),
    ]
