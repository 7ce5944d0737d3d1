"""Each right that `manage.py permissions` prints is taken away in turn, and something breaks.

What breaks says so in a sentence. It takes minutes: `bin/audit rights`.
"""

from __future__ import annotations

import pytest
from django.db import connections

from tests.printed import RUNNER, VIEWER, printed
from tests.retiring import pg_cron, role

__all__ = ["pg_cron", "printed", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def anew(right):
    """Let the pages connect again: the right to connect is looked at only then."""
    if "CONNECT" in right.take:
        connections["multica"].close()
        connections["multica"].close_pool()


def taken_in_turn(printed, rights, complaints):
    """What each right's absence leads to; the rights whose absence nobody notices."""
    unnoticed = []
    for right in rights:
        printed.run(right.database, right.take)
        anew(right)
        said = complaints()
        printed.run(right.database, right.give)
        anew(right)
        assert not [one for one in said if "Traceback" in one or " 500:" in one], right
        if not said:
            unnoticed.append(str(right))
    return unnoticed


def test_a_viewer_needs_each_of_its_rights(printed, every_page):
    rights = printed.grant(VIEWER, "viewer")
    assert printed.complaints_of_pages(every_page) == []
    assert taken_in_turn(printed, rights, lambda: printed.complaints_of_pages(every_page)) == []
    assert printed.complaints_of_pages(every_page) == []


def test_a_runner_needs_each_of_its_rights(printed):
    printed.grant(VIEWER, "viewer")
    rights = printed.grant(RUNNER, "runner")
    assert printed.complaints_of_the_runner() == []
    assert taken_in_turn(printed, rights, printed.complaints_of_the_runner) == []
    assert printed.complaints_of_the_runner() == []
