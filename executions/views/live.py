"""The answer of a page with a live part: whole, or the part alone, or "still the same".

The other half of the agreement is at the top of ``static/app.js``.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_vary_headers
from django_htmx.middleware import HtmxDetails


class LiveRequest(HttpRequest):
    """A request as the middleware hands it on: it knows whether a part asks, or a person."""

    htmx: HtmxDetails


def answer(
    request: LiveRequest,
    template: str,
    context: dict[str, Any],
    *,
    version: str,
    seconds: int,
) -> HttpResponse:
    """``executions/<template>.html``, or for a live part ``executions/_<template>.html`` or a 204.

    ``version`` is that of the data, so it must not change with the time of day; ``seconds`` is the
    pace at which the part is to ask again.
    """
    context = {**context, "version_of_data": version, "live_seconds": seconds}
    if not request.htmx:
        response = render(request, f"executions/{template}.html", context)
    elif request.headers.get("X-Data-Version") == version:
        response = HttpResponse(status=204)
    else:
        response = render(request, f"executions/_{template}.html", context)
    if request.htmx:
        response["X-Data-Version"] = version
        response["X-Live-Seconds"] = str(seconds)
    patch_vary_headers(response, ["HX-Request"])
    return response
