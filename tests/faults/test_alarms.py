"""Real processes that are killed in turn tell real receivers of every change of the verdict."""

from __future__ import annotations

import itertools
from contextlib import ExitStack, closing

import pytest
from django.db.models.functions import Now

from executions.models import Alarm, AlarmReceiver, Watch
from tests import environment, scenarios
from tests.faults.test_web_processes import web
from tests.receiving import HttpReceiver, MailReceiver
from tests.runrollup import process
from tests.sizes import sized
from tests.waiting import HANG, until

pytestmark = pytest.mark.django_db(transaction=True)

CHANGES = sized(3, 50)
WEB_PROCESSES = sized(1, 2)
# A killed process may hold the turn to look, or the claim on a receiver. Both end with time.
PATIENCE = 2 * HANG
WAITS_FOR_THAT = sized(False, True)


class Replicas:
    """Web processes and one `runrollup` over one database; each can be killed and begins anew."""

    def __init__(self, variables):
        self._variables = variables
        self._running = [self._begun(nth) for nth in range(WEB_PROCESSES + 1)]
        self._turn = itertools.cycle(range(WEB_PROCESSES + 1))

    def _begun(self, nth):
        with ExitStack() as stack:
            if nth < WEB_PROCESSES:
                stack.enter_context(web(**self._variables))
            else:
                stack.enter_context(process("--tick-interval", "3600", **self._variables))
            return stack.pop_all()

    def kill_the_next(self):
        nth = next(self._turn)
        self._running[nth].close()
        self._running[nth] = self._begun(nth)

    def close(self):
        for one in self._running:
            one.close()


@pytest.fixture
def receivers():
    with closing(HttpReceiver()) as http, closing(MailReceiver()) as mail:
        http.held.add("/hangs")
        http.answers["/down"] = 503
        yield http, mail


def spoil(owner):
    owner.execute("DELETE FROM task_usage_hourly_rollup_state")


def mend(owner):
    owner.execute(
        "INSERT INTO task_usage_hourly_rollup_state (id, watermark_at)"
        " VALUES (1, now() - interval '5 min')"
    )


def test_every_change_arrives_in_order_while_each_process_is_killed_in_turn(owner, receivers):
    http, mail = receivers
    scenarios.healthy(owner)
    urls = (http.url("/up"), mail.url, http.url("/hangs"), http.url("/down"))
    variables = {
        "ALERT_URLS": "\n".join(urls),
        "ALERT_AFTER": "1",
        "ALERT_MOST_PER_HOUR": "1000",
        "DATABASE_URL": environment.url("multica_view"),
        "RUNNER_DATABASE_URL": environment.url("multica"),
        "ROLLUP_SCHEDULER": "off",
    }
    told = []
    with closing(Replicas(variables)) as replicas:
        until(lambda: AlarmReceiver.objects.count() == len(urls), hang=PATIENCE)
        for nth, change in zip(range(CHANGES), itertools.cycle((spoil, mend))):
            change(owner)
            if nth:
                replicas.kill_the_next()
            if not WAITS_FOR_THAT:
                end_turns_and_claims()
            told.append(until(lambda: _newer(told), hang=PATIENCE))
            until(lambda: told[-1].pk in http.numbers("/up"), hang=PATIENCE)
            until(lambda: told[-1].pk in mail.numbers(), hang=PATIENCE)
        http.answers.clear()
        AlarmReceiver.objects.update(next_try_at=Now())
        until(lambda: http.got["/down"], hang=PATIENCE)
    assert [one.level for one in told] == (["failing", "healthy"] * CHANGES)[:CHANGES]
    everything = [one.pk for one in told]
    for arrived in (http.numbers("/up"), mail.numbers()):
        assert [number for number, _again in itertools.groupby(arrived)] == everything
    assert not http.got["/hangs"]
    assert f"{CHANGES - 1} earlier alarms" in http.got["/down"][0]["message"]
    assert http.numbers("/down")[0] == everything[-1]


def end_turns_and_claims():
    """As if their time were over. A process that had an alarm may then send its number again."""
    Watch.objects.update(due_at=Now())
    AlarmReceiver.objects.update(claimed_until=Now())


def _newer(told):
    known = told[-1].pk if told else 0
    return Alarm.objects.filter(pk__gt=known).order_by("pk").first()
