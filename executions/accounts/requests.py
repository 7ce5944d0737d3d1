"""What the middleware adds to a request before a view gets it."""

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class LiveRequest(HttpRequest):
    """``htmx`` marks a live part's request. ``may_look`` says whether there is a role."""

    htmx: HtmxDetails
    may_look: bool
