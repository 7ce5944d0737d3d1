"""What people read where nobody is told: on the overview, and before a schedule is retired."""

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


def test_before_a_test_alarm_has_arrived_the_wizard_says_that_nobody_will_be_told(
    signed_in, olga, owner, pg_cron
):
    lay_plans(owner)
    retirement = confirmed(Who.user(olga), schedule(pg_cron))
    assert "Nobody will be told if this stops" in confirmation(signed_in, retirement)
    receiver()
    assert "Nobody will be told if this stops" not in confirmation(signed_in, retirement)
