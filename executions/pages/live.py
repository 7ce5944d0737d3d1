"""The answer of a page with a live part: the page, the part alone, or "still the same".

The top of ``static/live.js`` has the browser's half of the agreement.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from django.http import HttpResponse
from django.template import Engine, RequestContext
from django.utils.cache import patch_vary_headers

from executions.accounts.requests import LiveRequest
from executions.database.kept import Kept


class Live(Protocol):
    """What a live part shows.

    ``version`` identifies its data, so it must not change merely because time passes.
    ``live_seconds`` is the refresh interval of the part.
    """

    @property
    def version(self) -> str: ...
    @property
    def live_seconds(self) -> int: ...


Shown = TypeVar("Shown", bound=Live)
_shared: Kept[Any] = Kept(attrgetter("live_seconds"))
forget_shared = _shared.forget


def shared(request: LiveRequest, query: str, read: Callable[[], Shown]) -> Shown:
    """What this address shows: read anew for a page, shared among refreshes.

    ``query`` is the canonical query string, so that all spellings of the same filters share.
    """
    address = f"{request.path}?{query}"
    shown: Shown = _shared.get(address, read, anew=not request.htmx)
    return shown


def answer(
    request: LiveRequest, template: str, shown: Live, context: dict[str, Any]
) -> HttpResponse:
    """The page ``executions/<template>.html``; for a refresh its live part, or a 204.

    ``template`` is ``<folder>/<name>``, and the live part ``<folder>/_<name>``. The context has the
    shown data as ``<name>``, and what ``shared/_live.html`` needs.
    """
    folder, _slash, name = template.rpartition("/")
    version, seconds = shown.version, shown.live_seconds
    part = f"executions/{folder}/_{name}.html"
    context = {name: shown, "version_of_data": version, "live_seconds": seconds, **context}
    if not request.htmx:
        context |= {"live_part": name, "live_template": part}
        response = _render(request, f"executions/{template}.html", context)
    elif request.headers.get("X-Data-Version") == version:
        response = HttpResponse(status=204)
    else:
        response = _render(request, part, context)
    if request.htmx:
        response["X-Data-Version"] = version
        response["X-Live-Seconds"] = str(seconds)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _render(request: LiveRequest, template: str, data: dict[str, Any]) -> HttpResponse:
    """Like Django's ``render``, but nothing that the page showed outlives it.

    Django's context refers to itself. Its data, here thousands of executions, would wait for
    Python's garbage collector, which took a sixth of the page's time.
    """
    context = RequestContext(request)
    context.push(data)  # on top of what context processors add, so they do not hide it
    try:
        return HttpResponse(Engine.get_default().get_template(template).render(context))
    finally:
        context.dicts.clear()
