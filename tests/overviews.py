"""What a test reads on the overview."""

from __future__ import annotations

import re
from html import unescape


def page(viewer, query=""):
    answer = viewer.get(f"/{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def text(html):
    """What a person reads: without tags, and with single spaces."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", html)))


def squares(html):
    """Class, and the address or None, of every square of the plan strip."""
    strip = html[html.index('<div class="plan-strip') :].partition('class="legend"')[0]
    found = re.findall(
        r'<(?:a|span) class="plan plan-(\w+)(?: plan-open)?" id="square-\d+"(?: href="([^"]*)")?',
        strip,
    )
    return [(look, unescape(href) or None) for look, href in found]
