"""A runner writes the outcome of a run, and tries again if that fails."""

from __future__ import annotations

from time import monotonic

import psycopg
import pytest

from executions.scheduler import finishing, leases
from executions.scheduler.leases import ClaimOutcome, Success
from executions.scheduler.spec import HandlerError
from tests.running import DAY, HOUR, one_tick, ours, ticking
from tests.scheduling import execution, executions
from tests.short_jobs import Held, job, seconds
from tests.waiting import HANG, until


def test_a_finish_that_could_not_be_written_is_tried_again_while_the_lease_lives(
    owner, reach, monkeypatch, caplog
):
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.01)
    held = Held()
    with ticking(ours(reach, job(handler=held))) as done:
        held.began.wait(HANG)
        reach.lose()
        held.release.set()
        until(lambda: not (caplog.text.count("A finish could not be written") < 3))
        assert execution(owner)["status"] == "RUNNING"
        reach.away.clear()
        (report,) = done.result(HANG)
    assert report.status == "SUCCESS"
    assert execution(owner)["status"] == "SUCCESS"


def test_a_finish_is_tried_less_and_less_often_but_soon_by_a_cancelled_runner(
    owner, reach, monkeypatch
):
    pauses = []
    away = ours(reach, job(handler=lambda _context: reach.lose()))

    def note(pause, _own, _cancelled):
        pauses.append(pause)
        if len(pauses) == 8:
            away.cancel()
        return len(pauses) == 10

    monkeypatch.setattr(finishing, "_given_up_after", note)
    with away:
        away.tick()
    assert pauses == [0, 0.5, 1, 2, 4, 8, 8, 8, 0.5, 0.5]


def test_a_finish_is_given_up_when_the_lease_has_ended(owner, reach, monkeypatch):
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.01)

    def lose(_context):
        reach.lose()
        return 1, {}

    spec = job(
        handler=lose,
        run_timeout=seconds(0.3),
        stale_timeout=seconds(0.4),
        heartbeat_interval=seconds(0.1),
    )
    began = monotonic()
    (report,) = one_tick(reach, spec)
    assert monotonic() - began > 0.3
    assert report.status is None
    assert execution(owner)["status"] == "RUNNING"


@pytest.mark.parametrize(
    "error", [UnicodeEncodeError("latin-1", "–", 0, 1, "no such letter"), psycopg.DataError("no –")]
)
def test_an_end_that_cannot_be_stored_is_stored_as_a_failure(owner, reach, monkeypatch, error):
    finish = leases.finish

    def refuse(connection, lease, outcome, duration_ms):
        if isinstance(outcome, Success):
            raise error
        return finish(connection, lease, outcome, duration_ms)

    monkeypatch.setattr(leases, "finish", refuse)
    (report,) = one_tick(reach, job())
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "handler_error")
    assert row["error_msg"].startswith("The end of the run could not be stored: ")
    assert row["error_msg"].isascii()
    assert (report.status, report.error_msg, report.rows) == ("FAILED", row["error_msg"], None)


def test_a_mistake_in_the_finish_is_tried_again_and_harms_no_other_job(owner, reach, monkeypatch):
    finish = leases.finish

    def stumble(*arguments):
        monkeypatch.setattr(leases, "finish", finish)
        raise TypeError("a mistake")

    monkeypatch.setattr(leases, "finish", stumble)
    one_tick(reach, job(name="a"), job(name="b"))
    assert [row["status"] for row in executions(owner)] == ["FAILED", "SUCCESS"]


@pytest.mark.parametrize(
    "setting",
    [
        "client_encoding='LATIN1'",
        "client_encoding='EUC_TW'",
        "datestyle='German'",
        "intervalstyle='sql_standard'",
    ],
)
def test_the_settings_of_a_role_do_not_matter(owner, reach, superuser, setting):
    def fail(_context):
        raise HandlerError("price – missing 😀")

    spec = job(handler=fail, cadence=DAY, retry_backoff=(HOUR,))
    superuser.execute(f"ALTER ROLE multica SET {setting}")
    try:
        with ours(reach, spec) as runner:
            runner.tick()
            (report,) = runner.tick()
    finally:
        superuser.execute(f"ALTER ROLE multica RESET {setting.split('=')[0]}")
    assert (report.outcome, report.status) == (ClaimOutcome.CONFLICT, "FAILED")
    row = execution(owner)
    assert (row["error_code"], row["error_msg"]) == ("handler_error", "price – missing 😀")
