"""Every page in Chinese: no text past gettext, and as usable as in English at each width."""

from __future__ import annotations

import re

from django.contrib.auth.models import User
from django.test import Client

from tests.browser.measuring import looked_at
from tests.browser.test_wizard_looks import begun
from tests.browser.test_wizard_looks import pages as wizard_pages
from tests.marked import every_text_marked, every_text_translated, unmarked
from tests.people import just_signed_in
from tests.punctuation import mixed
from tests.retiring import pg_cron
from tests.sizes import few

__all__ = ["begun", "pg_cron"]

# Names, codes, what the tests wrote, and the subject of a line of the audit, which is in English.
NAMES = {
    *("Multica", "Admin", "Kubernetes", "CronJob", "cron", "job", "multica", "default", "postgres"),
    *("multica-rollup.timer", "usage-rollup", "global", "exact", "canceled", "idle", "localhost"),
    *(
        "olga",
        "paul",
        "root",
        "left",
        "alone",
        "rollup",
        "egasu",
        "turned",
        "nothing-like-it",
        "Why",
    ),
}
REPEATED = re.compile("(usage-|every-hour-)+")
TOKEN = re.compile(r"[^\s,;()“”·]+")
IDENTIFIER = re.compile(r"[\d_/.<>\[\]+@=%]|^[A-Z]+:?$|^x+$")


def english(html):
    """The words of a page that are neither marked nor a name, a code or an identifier."""
    tokens = (token for text in unmarked(html) for token in TOKEN.findall(text))
    words = {token.strip(":.") for token in tokens if not IDENTIFIER.search(token)}
    words = {word for word in words if not REPEATED.match(word)}
    return sorted(word for word in words - NAMES if re.search("[A-Za-z]{3}", word))


def in_chinese(client, path):
    return client.get(path, headers={"Accept-Language": "zh-CN"}).content.decode()


def test_every_text_of_every_page_goes_through_gettext(pages, operator):
    client, stranger = just_signed_in(operator), Client()
    with every_text_marked():
        found = {path: english(in_chinese(client, path)) for path in pages}
        found["/login/"] = english(in_chinese(stranger, "/login/"))
        found["/nowhere/"] = english(in_chinese(client, "/nowhere/"))
    assert {path: words for path, words in found.items() if words} == {}


def test_every_page_has_the_punctuation_of_its_language(pages, operator):
    client = just_signed_in(operator)
    found = {path: mixed(in_chinese(client, path)) for path in pages}
    assert {path: places for path, places in found.items() if places} == {}


def test_every_text_of_the_wizard_goes_through_gettext(begun):
    client = just_signed_in(User.objects.get(username="paul"))
    found = {}
    with every_text_marked():
        for path in wizard_pages(*begun):
            found[path] = english(in_chinese(client, path))
            with every_text_translated():
                found[path] += mixed(in_chinese(client, path))
    assert {path: words for path, words in found.items() if words} == {}


def test_the_pages_are_as_good_in_chinese(open_page, pages, console):
    page = open_page(locale="zh-CN")
    found = []
    for path in few(pages, 2):
        page.goto(path)
        assert page.evaluate("document.documentElement.lang") == "zh-hans", path
        found += [f"{path} {criterion}, {said}" for criterion, said in looked_at(page)]
    console[:] = [line for line in console if "400 (Bad Request)" not in line]
    assert "\n".join(found) == ""
