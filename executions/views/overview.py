"""The overview: whether the rollup works, from the last 24 hours of its plans."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from executions.selectors.overview import read_overview


@require_safe
def overview(request: HttpRequest) -> HttpResponse:
    """The page, or for htmx the live part of it, from the same address."""
    context = {"overview": read_overview()}
    template = "_overview.html" if request.htmx else "overview.html"  # type: ignore[attr-defined]
    return render(request, f"executions/{template}", context)
