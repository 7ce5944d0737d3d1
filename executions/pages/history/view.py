"""One execution: its life, its lease, its result, its error, and the plans around it."""

from datetime import UTC, datetime
from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.pages.history.execution import Detail, execution_of_plan, read_execution
from executions.pages.history.filters import parse
from executions.pages.history.tags import address
from executions.pages.live import answer, shared
from executions.scheduler.jobs import ROLLUP


@require_safe
def execution(request: LiveRequest, execution_id: UUID) -> HttpResponse:
    """The page, or for a refresh its live part, from the same address.

    Raises:
        Http404: there is no such execution, or no longer.
        BadFilter: the address has a query string, but this page has no filters.
    """
    parse(request.META.get("QUERY_STRING", ""), names=())
    detail = shared(request, "", lambda: _read(execution_id))
    return answer(request, "history/execution", detail, {"detail": detail})


@require_safe
def plan(request: LiveRequest, seconds: int) -> HttpResponse:
    """To the execution of the rollup's plan of that time; without one, to the plans around it.

    Raises:
        Http404: no time of the calendar is that many seconds after the epoch.
        BadFilter: the address has a query string, but it takes none.
    """
    parse(request.META.get("QUERY_STRING", ""), names=())
    try:
        plan_time = datetime.fromtimestamp(seconds, UTC)
        around = (plan_time - ROLLUP.cadence, plan_time + 2 * ROLLUP.cadence)
    except (OverflowError, ValueError, OSError) as error:
        raise Http404 from error
    execution_id = execution_of_plan(ROLLUP, plan_time)
    if execution_id is not None:
        return redirect("execution", execution_id)
    return redirect(address("plans", job=ROLLUP.name, since=around[0], until=around[1]))


def _read(execution_id: UUID) -> Detail:
    detail = read_execution(execution_id)
    if detail is None:
        raise Http404
    return detail
