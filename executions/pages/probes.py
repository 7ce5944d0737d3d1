"""Endpoints for machines: alive, ready, healthy. They tell nobody more than that."""

from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError, connections
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe


def _answers(alias: str) -> bool:
    try:
        with connections[alias].cursor() as cursor:
            cursor.execute("SELECT 1")
            return True
    except DatabaseError:
        return False


def _migrated() -> bool:
    try:
        executor = MigrationExecutor(connections["default"])
        return not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        return False


def _told(well: bool, **more: object) -> HttpResponse:
    """In the compact form of Multica's own, because some monitors compare the text."""
    answer = {"status": "ok" if well else "unavailable", **more}
    compact = {"separators": (",", ":")}
    return JsonResponse(answer, status=200 if well else 503, json_dumps_params=compact)


@login_not_required
@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """200 if both databases answer and our tables are up to date, else 503 with what is not.

    Not for liveness: a database that is away is no reason to restart this process.
    """
    own, multicas = _answers("default"), _answers("multica")
    checks = {
        "db": "ok" if own and multicas else "unreachable",
        "migrations": ("ok" if _migrated() else "pending") if own else "unknown",
    }
    well = set(checks.values()) == {"ok"}
    return _told(well, checks=checks)


@login_not_required
@never_cache
@require_safe
def livez(request: HttpRequest) -> HttpResponse:
    """200 while the process lives. It asks no database."""
    return _told(True)


@login_not_required
@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """200 once pages can be served: our own tables answer and are up to date."""
    return _told(_answers("default") and _migrated())
