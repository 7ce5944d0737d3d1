"""The explanation of each finding code, and the list of them all.

The texts are in `executions/health/explain/`. Nothing is read for these pages: whether the finding
is present now comes from the snapshot that the process keeps.
"""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from executions.demo.gallery import showing
from executions.health import snapshots
from executions.health.explain import EXPLANATIONS
from executions.health.findings.base import Finding, FindingCode, with_explained
from executions.health.remedies import PSQL
from executions.pages.history.filters import parse


@require_safe
def explanations(request: HttpRequest) -> HttpResponse:
    """Every finding that there can be, with a link to its page."""
    parse(request.META.get("QUERY_STRING", ""), names=())
    return render(request, "executions/explain/index.html", _list())


@require_safe
def explanation(request: HttpRequest, code: str) -> HttpResponse:
    """One finding; for an unknown code a 404 that lists those that there are."""
    parse(request.META.get("QUERY_STRING", ""), names=())
    if code not in EXPLANATIONS:
        context = {**_list(), "unknown": code}
        return render(request, "executions/explain/index.html", context, status=404)
    known = FindingCode(code)
    context = {
        "explanation": EXPLANATIONS[known],
        # `not_available` may be there repeatedly.
        "present": [finding for finding in _all_present() if finding.code is known],
        "looked": snapshots.kept() is not None,
        "psql": PSQL,
        "scenario": showing(known),
    }
    return render(request, "executions/explain/explain.html", context)


def _list() -> dict[str, object]:
    present = {finding.code for finding in _all_present()}
    return {
        "explanations": [(one, one.code in present) for one in EXPLANATIONS.values()],
    }


def _all_present() -> list[Finding]:
    kept = snapshots.kept()
    return list(with_explained(kept.verdict.findings)) if kept else []
