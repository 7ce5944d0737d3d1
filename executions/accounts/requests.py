"""What the middleware notes on a request before a view gets it."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class LiveRequest(HttpRequest):
    """``htmx`` tells a page's live part from a person; ``may_look`` is whether there is a role."""

    htmx: HtmxDetails
    may_look: bool
