"""What goes over the wire: compressed, padded against BREACH, and kept by no cache."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from tests import scenarios
from tests.factories import ExecutionFactory

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

GZIP = {"Accept-Encoding": "gzip, deflate, br"}
PART = {"HX-Request": "true", "HX-Target": "overview"}


def body(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.mark.parametrize("headers", [{}, PART], ids=["page", "part"])
def test_html_is_compressed_for_who_takes_it_and_is_the_same(viewer, owner, headers):
    scenarios.healthy(owner)
    plain = viewer.get("/runners/", headers=headers)
    assert "Content-Encoding" not in plain
    packed = viewer.get("/runners/", headers=headers | GZIP)
    assert packed["Content-Encoding"] == "gzip"
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content) / 2
    assert b"runner" in gzip.decompress(packed.content)
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer["Vary"]


def test_its_length_tells_nothing_of_a_secret(viewer, owner):
    """BREACH reads the length of many answers; each one has padding of another length."""
    scenarios.healthy(owner)
    lengths = {len(viewer.get("/audit/", headers=GZIP).content) for _ in range(20)}
    assert max(lengths) - min(lengths) > 20


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_an_export_is_compressed_as_it_streams(viewer, owner, ending):
    now = owner.execute("SELECT date_trunc('minute', now()) AS now").fetchone()["now"]
    rows = [
        ExecutionFactory(connection=owner, plan_time=now - timedelta(minutes=5 * age))
        for age in range(1, 4)
    ]
    answer = viewer.get(f"/executions/export.{ending}", headers=GZIP)
    assert answer.streaming
    assert answer["Content-Encoding"] == "gzip"
    assert "Content-Length" not in answer
    lines = gzip.decompress(body(answer)).decode().splitlines()
    for row in rows:
        assert any(str(row["id"]) in line for line in lines)
    if ending == "jsonl":
        assert len([json.loads(line) for line in lines]) == 3


def test_what_is_unchanged_stays_an_empty_204(viewer, owner):
    scenarios.healthy(owner)
    version = viewer.get("/", headers=PART | GZIP)["X-Data-Version"]
    answer = viewer.get("/", headers=PART | GZIP | {"X-Data-Version": version})
    assert (answer.status_code, answer.content) == (204, b"")
    assert "Content-Encoding" not in answer


def test_no_cache_keeps_what_a_signed_in_person_sees(viewer, owner, every_page):
    scenarios.healthy(owner)
    addresses = [
        *(page for page in every_page if not page.startswith("/retire/")),
        reverse("password_change"),
        reverse("confirm"),
        "/executions/export.csv",
        "/executions/?status=NOPE",
        "/retire/",
        "/nothing/",
    ]
    for address in addresses:
        for headers in ({}, PART):
            answer = viewer.get(address, headers=headers)
            assert "no-store" in answer["Cache-Control"], (address, headers)


def test_no_cache_keeps_who_may_manage_accounts(client, owner):
    client.force_login(User.objects.create_superuser("root"))
    assert "no-store" in client.get("/accounts/", follow=True)["Cache-Control"]


def test_static_files_are_kept_and_compressed_once(viewer, owner):
    page = viewer.get("/audit/").content.decode()
    address = next(part for part in page.split('"') if part.endswith(".css") and "app." in part)
    answer = viewer.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer["Content-Encoding"] == "gzip"
    assert "immutable" in answer["Cache-Control"]
    assert "no-store" not in answer["Cache-Control"]
    assert b"{" in gzip.decompress(body(answer))
