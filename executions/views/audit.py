"""Who did what, when, on what evidence, with which statement, and what came of it."""

from __future__ import annotations

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.selectors.audit import CHOICES, NAMES, read_audit
from executions.selectors.filters import parse
from executions.views.live import LiveRequest, answer, shared


@require_safe
def audit(request: LiveRequest) -> HttpResponse:
    """The page, or for a refresh its lines alone, from the same address.

    Raises:
        BadFilter: a value in the query string cannot be meant; it becomes a 400 that names it.
    """
    filters = parse(request.META["QUERY_STRING"], CHOICES, NAMES)
    shown = shared(request, filters.query_string(), lambda: read_audit(filters))
    context = {
        "filters": filters,
        "choices": CHOICES,
        "chosen": {name: filters.choice(name, "") for name in CHOICES},
    }
    return answer(request, "audit", shown, context)
