"""The way from a plan's time to its execution."""

from datetime import UTC, datetime

from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.pages.history.execution import execution_of_plan
from executions.pages.history.filters import parse
from executions.pages.history.tags import address
from executions.scheduler.jobs import ROLLUP


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
