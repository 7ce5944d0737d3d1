"""The marks that explain a word: each page has each word once, and each mark its text."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tests import scenarios
from tests.people import just_signed_in

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_every_page_explains_a_word_once(olga, every_page, owner):
    scenarios.healthy(owner)
    client: Client = just_signed_in(olga)
    explained = set()
    for path in every_page:
        page = client.get(path).content.decode()
        marks = re.findall(r'popovertarget="term-([\w-]+)"', page)
        assert len(marks) == len(set(marks)), path
        assert marks == re.findall(r'id="term-([\w-]+)" popover>', page), path
        explained |= set(marks)
    assert {"plan", "watermark", "runner", "scope", "kept"} <= explained
