"""A real PgBouncer in between, in the mode that breaks most: the smoke test for `bin/test`.

tests/faults/poolers.py in `bin/audit` tests every mode with every part of ours.
"""

from __future__ import annotations

import pytest
from django.db import connections
from django.urls import reverse

from executions.accounts.roles import OPERATOR
from executions.models.retirement import AuditEvent
from tests.commands import run_command
from tests.people import just_signed_in, make_user
from tests.poolers import dashboard_through, pooler
from tests.scheduling import usage

__all__ = ["dashboard_through", "pooler"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_through_a_pooler_the_dashboard_reads_and_what_writes_refuses_without_a_lock(
    owner, pooler, dashboard_through, settings, admin_client
):
    usage(owner, hours=2)
    between = pooler("transaction", ignores_options=True)
    settings.RUNNER_CONNINFO = between.conninfo("multica")
    told = run_command("backfill_task_usage_hourly")
    assert told.status == 1
    assert "Give PostgreSQL's own address in RUNNER_DATABASE_URL" in told.refused

    began = owner.execute("SELECT watermark_at FROM task_usage_hourly_rollup_state").fetchone()
    olga = just_signed_in(make_user("olga", OPERATOR))
    page = olga.post(reverse("rollup_run"), follow=True).content.decode()
    assert "own address in RUNNER_DATABASE_URL" in page
    refused = AuditEvent.objects.get(action="run once")
    assert (refused.user_name, refused.outcome) == ("olga", "refused")
    state = owner.execute("SELECT watermark_at FROM task_usage_hourly_rollup_state").fetchone()
    assert state == began
    held = owner.execute("SELECT FROM pg_locks WHERE locktype = 'advisory'").fetchall()
    assert held == []

    dashboard_through(between)
    assert "Usage" in admin_client.get(reverse("overview")).content.decode()
    with connections["multica"].cursor() as cursor, pytest.raises(Exception, match="read-only"):
        cursor.execute("CREATE TABLE mine ()")


def test_where_plans_cannot_be_read_nobody_says_that_nothing_calls_from_outside(
    pooler, dashboard_through, admin_client
):
    dashboard_through(pooler("transaction"))
    page = admin_client.get(reverse("retire")).content.decode()
    assert "What the watermark says of them cannot be read." in page
    assert "shows no caller" not in page
