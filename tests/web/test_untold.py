"""The overview and the wizard say if no receiver takes alarms."""

from __future__ import annotations

import pytest
from django.db.models.functions import Now

from executions.health import snapshots
from executions.models import Alarm, AlarmReceiver
from executions.retirement.audit import Who
from tests.database.test_verdict_history import plans
from tests.retiring import confirmed, lay_plans, pg_cron, schedule

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def receiver(**columns):
    return AlarmReceiver.objects.create(
        digest="0", service="Slack", position=2, **{"arrived_at": Now(), **columns}
    )


def test_the_overview_says_which_receiver_gets_no_alarms_and_why(viewer, owner):
    plans(owner)
    assert "Alarms do not reach" not in viewer.get("/").content.decode()
    receiver(failing_since=Now(), problem="status 404", failures=3)
    Alarm.objects.create(kind="began", level="failing", before="healthy", since=Now(), summary=[])
    snapshots.forget()
    page = " ".join(viewer.get("/").content.decode().split())
    assert "Alarms do not reach receiver 2 (Slack)" in page
    assert "It answered with the status 404" in page
    assert "1 alarm waits." in page


def confirmation(client, retirement):
    return client.get(f"/retire/{retirement.pk}/confirm/").content.decode()


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        (None, "there is no receiver of alarms"),
        ({"arrived_at": None}, "no test alarm has arrived yet"),
        ({"failing_since": Now(), "problem": "status 404"}, "alarms do not get through at present"),
        ({}, ""),
    ],
)
def test_the_wizard_says_why_nobody_will_be_told(signed_in, olga, owner, pg_cron, columns, reason):
    lay_plans(owner)
    retirement = confirmed(Who.user(olga), schedule(pg_cron))
    if columns is not None:
        receiver(**columns)
    page = confirmation(signed_in, retirement)
    assert ("Nobody will be told if this stops" in page) is bool(reason)
    assert reason in page
