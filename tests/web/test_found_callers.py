"""Reports of `findcallers` in the wizard: uploaded, dated, retired from, and looked at again."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from deploy import findcallers
from executions.accounts.roles import OPERATOR
from executions.models.retirement import AuditEvent, CallersReport, Retirement, RetirementState
from tests.people import just_signed_in, make_user
from tests.planting import CALL, cronjob, plant
from tests.retiring import acting_as, lay_plans, pg_cron, role

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

PLACE = "/etc/cron.d/<b>&'usage"


@pytest.fixture
def signed_in(owner):
    lay_plans(owner)
    return just_signed_in(make_user("olga", OPERATOR))


@pytest.fixture
def report(tmp_path):
    """A host with a crontab and a managed CronJob that call the rollup."""
    host = findcallers.Host(
        str(plant(tmp_path, {PLACE[1:]: f"*/5 * * * * root psql -c '{CALL}'\n"})), 60
    )
    notes = {"argocd.argoproj.io/tracking-id": "shop:batch/CronJob:multica/usage"}
    item = cronjob("usage", "psql", "-c", CALL, annotations=notes)
    host.look_at_cronjobs(json.dumps({"kind": "List", "items": [item]}).encode())
    host.look_at_cron()
    return host.report()


def upload(client, report):
    data = report if isinstance(report, bytes) else json.dumps(report).encode()
    return client.post(
        reverse("retire_upload"), {"report": SimpleUploadedFile("callers.json", data)}
    )


def seen(answer):
    """What a reader sees, in one line."""
    plain = re.sub(r"<[^>]+>", "", answer.content.decode())
    return re.sub(r"\s+", " ", html.unescape(plain)).strip()


def retire(client, place):
    kept = CallersReport.objects.latest("pk")
    number = [c["place"] or c["name"] for c in kept.report["callers"]].index(place)
    answer = client.post(reverse("retire_found", args=[kept.pk, number]))
    return client.get(answer.headers["Location"], follow=True), Retirement.objects.latest("pk")


def test_an_uploaded_report_is_shown_with_its_host_and_its_time(signed_in, report):
    answer = upload(signed_in, report)
    assert answer.status_code == 302
    page = signed_in.get(reverse("retire"))
    told = seen(page)
    assert f"{report['host']} As of" in told
    assert "by its own clock · uploaded by olga" in told
    assert f"cron {PLACE}:1 calls the rollup · */5 * * * *" in told
    assert "multica/usage calls the rollup · */5 * * * * · managed by Argo CD (shop)" in told
    assert "<b>&" not in page.content.decode()
    event = AuditEvent.objects.latest("pk")
    assert (event.user_name, event.action, event.outcome) == ("olga", "upload callers", "done")


def test_the_exact_file_is_named_and_a_managed_cronjob_is_only_suspended(signed_in, report):
    upload(signed_in, report)
    page, retirement = retire(signed_in, PLACE)
    assert retirement.label == f"cron {PLACE}"
    assert "'/etc/cron.d/<b>&'\"'\"'usage'" in seen(page)
    assert f"findcallers saw it on {report['host']}" in seen(page)
    page, retirement = retire(signed_in, "usage")
    told = seen(page)
    assert "Argo CD manages this CronJob (shop)." in told
    assert told.index("Suspend it first") < told.index("Turn it off in the source of Argo CD")
    assert "delete cronjob" not in told
    _again, same = retire(signed_in, "usage")
    assert same == retirement
    assert Retirement.objects.count() == 2


@pytest.mark.parametrize("still_there", [False, True])
def test_a_later_report_is_the_second_proof(signed_in, report, still_there):
    upload(signed_in, report)
    _page, retirement = retire(signed_in, PLACE)
    signed_in.post(reverse("retire_ran_it", args=[retirement.pk]))
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.WATCHING
    watch = reverse("retire_watch", args=[retirement.pk])
    assert f"run findcallers on {report['host']} again" in seen(signed_in.get(watch))
    at = datetime.now(UTC) + timedelta(minutes=2)
    callers = [{**one, "active": still_there} for one in report["callers"]]
    upload(signed_in, {**report, "made_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", "callers": callers})
    told = "still finds" if still_there else "no longer finds"
    assert f"findcallers on {report['host']} {told} it turned on" in seen(signed_in.get(watch))
    event = AuditEvent.objects.filter(retirement_id=retirement.pk).latest("pk")
    assert event.action == "look again outside"
    assert told in event.summary


@pytest.mark.parametrize(
    "data",
    [b"", b"no JSON", b"[" * 400_000, b'{"format": "multica-callers/1"}', b"x" * 3_000_000],
    ids=["empty", "text", "deep", "fields missing", "large"],
)
def test_what_is_no_report_is_refused_on_the_page_and_on_record(signed_in, data):
    answer = upload(signed_in, data)
    assert answer.status_code == 400
    assert "Nothing was kept." in seen(answer)
    assert "larger than 512 KiB" in seen(answer) or len(data) < 1_000_000
    assert not CallersReport.objects.exists()
    assert AuditEvent.objects.latest("pk").outcome == "refused"


def test_a_form_without_a_file_is_refused(signed_in):
    assert signed_in.post(reverse("retire_upload")).status_code == 400


def test_only_operators_upload_and_choose(signed_in, viewer, report):
    upload(signed_in, report)
    kept = CallersReport.objects.get()
    assert upload(viewer, report).status_code == 403
    assert viewer.post(reverse("retire_found", args=[kept.pk, 0])).status_code == 403
    assert CallersReport.objects.count() == 1
    assert signed_in.get(reverse("retire_upload")).headers["Location"] == reverse("retire")


def test_a_caller_that_the_report_does_not_have_is_a_sentence(signed_in, report):
    upload(signed_in, report)
    kept = CallersReport.objects.get()
    answer = signed_in.post(reverse("retire_found", args=[kept.pk, 99]), follow=True)
    assert "The report has no such caller." in seen(answer)
    assert signed_in.post(reverse("retire_found", args=[kept.pk + 1, 0])).status_code == 404


def test_only_the_newest_reports_are_kept(signed_in, report):
    for number in range(52):
        CallersReport.objects.create(
            uploaded_by="olga", host=f"h{number}", made_at=datetime.now(UTC), report=report
        )
    upload(signed_in, report)
    assert CallersReport.objects.count() == 50
