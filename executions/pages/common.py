"""Pages of the common shape: parse the address, read, and answer with a page or its live part.

Each such page is one line in `executions/urls.py`. `live.py` has the answers.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.http import HttpResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.pages.history.filters import Filters, parse
from executions.pages.live import Live, answer, shared

Choices = Mapping[str, Collection[str]]
Readers = Mapping[str, Callable[[str], str]]
# What a whole page shows around its live part, such as the choices of a form.
Around = Callable[[LiveRequest, Filters, Any], Mapping[str, object]]


def page(
    route: str,
    template: str,
    read: Callable[..., Live],
    *,
    name: str = "",
    names: tuple[str, ...] = (),
    choices: Choices | None = None,
    readers: Readers | None = None,
    around: Around = lambda _request, _filters, _shown: {},
) -> URLPattern:
    """The address of a page whose live part ``read`` reads. ``name`` is the template's, if not set.

    ``names``, ``choices`` and ``readers`` list the filters that the address accepts: see `parse`.
    Any other value raises `BadFilter`, which becomes a 400 that names it. ``read`` gets the filters
    if the page has any, and what the address itself names, such as an id.
    """
    has_filters = bool(names or choices or readers)

    @require_safe
    def view(request: LiveRequest, **named: Any) -> HttpResponse:
        filters = parse(request.META.get("QUERY_STRING", ""), choices, names, readers)
        given = (filters,) if has_filters else ()
        shown = shared(request, filters.query_string(), lambda: read(*given, **named))
        context = {"filters": filters, **around(request, filters, shown)}
        return answer(request, template, shown, context)

    return path(route, view, name=name or template.rpartition("/")[2])
