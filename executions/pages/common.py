"""Pages of the common shape: parse the address, read, and answer with a page or its live part.

Each such page is one line in `executions/urls.py`. `live.py` has the answers.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from django.http import HttpResponse
from django.views.decorators.http import require_safe

from executions.accounts.requests import LiveRequest
from executions.pages.history.filters import NAMES, Filters, parse
from executions.pages.live import Live, answer, shared

Choices = Mapping[str, Collection[str]]
Readers = Mapping[str, Callable[[str], str]]
# What a whole page shows around its live part, such as the choices of a form.
Around = Callable[[LiveRequest, Filters, Any], Mapping[str, object]]


def page(
    template: str,
    read: Callable[..., Live],
    *,
    choices: Choices | None = None,
    names: tuple[str, ...] = NAMES,
    readers: Readers | None = None,
    around: Around = lambda _request, _filters, _shown: {},
) -> Callable[..., HttpResponse]:
    """The view of a page whose live part ``read`` reads for the filters in its address.

    ``read`` also gets what the address itself names, such as an id.
    ``choices``, ``readers`` and ``names`` list the filters that the address accepts: see `parse`.
    Any other value raises `BadFilter`, which becomes a 400 that names it.
    """

    @require_safe
    def view(request: LiveRequest, **named: Any) -> HttpResponse:
        filters = parse(request.META.get("QUERY_STRING", ""), choices, names, readers)
        shown = shared(request, filters.query_string(), lambda: read(filters, **named))
        context = {"filters": filters, **around(request, filters, shown)}
        return answer(request, template, shown, context)

    return view
