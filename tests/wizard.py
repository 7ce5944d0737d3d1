"""The wizard's pages, as a signed-in operator walks through them."""

from __future__ import annotations

import html
import re

from django.urls import reverse

from executions.models.retirement import Retirement, RetirementState
from tests.people import PASSWORD
from tests.retiring import confirmed, jobs, operator, press

STEPS = (
    "affirm", "checked", "close", "pause", "remove", "activate", "put_back", "by_hand", "ran_it",
    "brought_back", "gone", "moved",
)  # fmt: skip


def step(name, retirement):
    return reverse(f"retire_{name}", args=[retirement.pk])


def choose(client, jobid):
    answer = client.post(reverse("retire_choose", args=[jobid]))
    assert answer.status_code == 302
    return Retirement.objects.latest("pk")


def confirm(client, jobid):
    retirement = choose(client, jobid)
    client.post(step("checked", retirement))
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CONFIRMED
    return retirement


def text(answer):
    """What a reader sees, in one line."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", answer.content.decode())).strip()


def after(client, answer):
    """The page that a form led to."""
    assert answer.status_code == 302
    return text(client.get(answer.headers["Location"], follow=True))


def everything(superuser):
    """Every row of pg_cron's jobs and of our own tables that a step may change."""
    tables = ("retirement", "act", "auditevent")
    ours = [superuser.execute(f"TABLE multica_admin.executions_{name}").fetchall()
            for name in tables]  # fmt: skip
    return jobs(superuser), ours


def confirmed_by_somebody(jobid):
    return confirmed(operator("paul"), jobid)


def sent(page):
    """What the form of a page sends by itself."""
    fields = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', html_of(page))
    return {name: html.unescape(value) for name, value in fields if name != "csrfmiddlewaretoken"}


def html_of(answer):
    return answer.content.decode()


def asked_again(client, name, retirement, **changed):
    """The page that asks for the password after an act was sent, ready to be answered."""
    answer = client.post(step(name, retirement), press(retirement) | changed)
    return sent(client.get(answer.headers["Location"])) | {"password": PASSWORD}
