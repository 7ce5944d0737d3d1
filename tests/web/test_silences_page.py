"""The page of silences, and what the overview and /status say while messages are held back."""

from __future__ import annotations

import html

import pytest
from django.urls import reverse

from executions.alarms import monitored
from executions.health import snapshots
from executions.models import Silence
from executions.models.retirement import AuditEvent
from tests import scenarios

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

URL = "/silences/"
WHY = "deploy <42>"


def text(answer):
    return html.unescape(answer.content.decode())


def test_an_operator_holds_back_every_message_and_ends_it(signed_in, viewer, owner):
    scenarios.stopped(owner)
    sent = signed_in.post(URL, {"code": "", "minutes": "60", "why": WHY}, follow=True)
    assert "olga holds back every message until " in text(sent)
    silence = Silence.objects.get()
    for path in (URL, "/"):
        seen = text(viewer.get(path))
        assert "olga holds back every message until " in seen
        assert WHY in seen
        assert "End it now" not in seen
    assert snapshots.current().verdict.level == "failing", "everything else stays true"
    ended = signed_in.post(reverse("silence_end", args=[silence.pk]), follow=True)
    assert "Messages are sent again." in text(ended)
    again = signed_in.post(reverse("silence_end", args=[silence.pk]), follow=True)
    assert "was over already" in text(again)
    assert "olga holds back every message" not in text(viewer.get("/"))
    assert "somebody ended it" in text(viewer.get(URL))
    actions = AuditEvent.objects.order_by("pk").values_list("action", "user_name", "why")
    assert list(actions) == [("silence", "olga", WHY), ("silence ended", "olga", "")]
    assert "hold back messages" in text(viewer.get("/audit/"))


def test_a_finding_that_is_there_can_be_acknowledged(signed_in, owner):
    scenarios.stopped(owner)
    assert snapshots.kept() is None, "no other page has read yet"
    page = text(signed_in.get(URL))
    assert '<option value="latest_stale">' in page
    assert '<option value="lock_leaked">' not in page
    signed_in.post(URL, {"code": "latest_stale", "minutes": "", "why": WHY})
    assert Silence.objects.get().until is None
    assert "No message about it is sent until it clears" in text(signed_in.get(URL))


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"code": "", "minutes": "60", "why": " "}, "This field is required."),
        ({"code": "", "minutes": "", "why": WHY}, "Say how long: a silence has an end."),
        ({"code": "weather", "minutes": "60", "why": WHY}, "weather is not one of the available"),
        ({"code": "", "minutes": "99999999", "why": WHY}, "99999999 is not one of the available"),
        ({}, "This field is required."),
    ],
)
def test_a_form_without_reason_or_end_is_refused_and_keeps_what_was_typed(
    signed_in, owner, form, said
):
    answer = text(signed_in.post(URL, form))
    assert said in answer
    assert form.get("why", "").strip() in answer
    assert not Silence.objects.exists()


def test_a_viewer_sees_silences_but_begins_and_ends_none(viewer, owner):
    assert "Hold them back" not in text(viewer.get(URL))
    sent = viewer.post(URL, {"code": "", "minutes": "60", "why": WHY})
    assert sent.status_code == 403
    assert viewer.post(reverse("silence_end", args=[1])).status_code == 403
    assert not Silence.objects.exists()


def test_monitors_are_told_of_it_beside_the_true_verdict(signed_in, client, owner, settings):
    settings.STATUS_TOKEN = settings.METRICS_TOKEN = token = "0123456789abcdef"
    scenarios.stopped(owner)
    signed_in.post(URL, {"code": "", "minutes": "60", "why": WHY})
    snapshots.fresh()
    monitored.refresh()
    headers = {"Authorization": f"Bearer {token}"}
    status = client.get("/status", headers=headers)
    assert status.status_code == 503
    assert status.content.decode().startswith("failing: ")
    assert "olga holds back every message until " in status.content.decode()
    metrics = client.get("/metrics", headers=headers).content.decode()
    assert 'multica_admin_silences{of="everything"} 1.0' in metrics
    assert 'multica_admin_verdict{level="failing"} 1.0' in metrics


def test_the_overview_leads_to_the_silences_on_a_good_day_too(viewer, owner):
    """Before a deploy everything is well, and that is when messages are to be held back."""
    scenarios.sound(owner).write()
    snapshots.forget()
    page = viewer.get("/").content.decode()
    assert "Healthy" in page
    assert 'href="/silences/"' in page
