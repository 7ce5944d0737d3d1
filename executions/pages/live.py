"""The answer of a page with a live part: the page, the part alone, or "still the same".

The top of ``static/live.js`` has the browser's half of the agreement.
"""

from collections.abc import Callable
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from django.http import HttpResponse
from django.middleware.gzip import re_accepts_gzip
from django.template import Context, Engine, RequestContext
from django.utils.cache import patch_vary_headers
from django.utils.safestring import SafeString
from django.utils.timezone import get_current_timezone_name
from django.utils.translation import get_language

from executions.accounts.requests import LiveRequest
from executions.database.kept import Kept
from executions.pages.packed import Packed, gzipped, pack


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

# A part says what time it is, so it is right for a second. Measured in milliseconds of processor
# time: the part of the overview takes 0.4 instead of 16, and the whole page 10 instead of 26.
PART_SECONDS = 1.0
MOST_PARTS = 16  # of some 300 KB each


@dataclass(frozen=True)
class RenderedPart:
    """A live part that is the same for everybody, with nobody's token in it."""

    html: SafeString
    packed: Packed


_parts: Kept[RenderedPart] = Kept(lambda _part: PART_SECONDS, most=MOST_PARTS, serves=False)


def forget_shared() -> None:
    """Begin as a process that nobody has asked."""
    _shared.forget()
    _parts.forget()


def shared(request: LiveRequest, query: str, read: Callable[[], Shown]) -> Shown:
    """What this address shows: read anew for a page, shared among refreshes.

    ``query`` is the canonical query string, so that all spellings of the same filters share. What
    was read may have sentences already, so only viewers of one language share it.
    """
    address = f"{get_language()} {request.path}?{query}"
    shown: Shown = _shared.get(address, read, anew=not request.htmx)
    return shown


def answer(
    request: LiveRequest,
    template: str,
    shown: Live,
    context: dict[str, Any],
    common: dict[str, Any] | None = None,
) -> HttpResponse:
    """The page ``executions/<template>.html``; for a refresh its live part, or a 204.

    ``template`` is ``<folder>/<name>``, and the live part ``<folder>/_<name>``. The context has the
    shown data as ``<name>``, and what ``shared/_live.html`` needs. With ``common`` the part is made
    once for all viewers for whom its values are the same; it then knows no request and no user.
    """
    folder, _slash, name = template.rpartition("/")
    version, seconds = shown.version, shown.live_seconds
    part = f"executions/{folder}/_{name}.html"
    context = {name: shown, "version_of_data": version, "live_seconds": seconds, **context}
    if not request.htmx:
        context |= {"live_part": name, "live_template": part}
        kept = None if common is None else _rendered(part, {name: shown}, common)
        context["live_html"] = kept and kept.html
        response = _render(request, f"executions/{template}.html", context)
        if kept:
            _compress(request, response, kept.packed)
    elif request.headers.get("X-Data-Version") == version:
        response = HttpResponse(status=204)
    elif common is not None:
        kept = _rendered(part, {name: shown}, common)
        response = HttpResponse(kept.packed.data)
        _compress(request, response, kept.packed)
    else:
        response = _render(request, part, context)
    if request.htmx:
        response["X-Data-Version"] = version
        response["X-Live-Seconds"] = str(seconds)
    patch_vary_headers(response, ["HX-Request"])
    return response


def _rendered(part: str, shown: dict[str, Live], common: dict[str, Any]) -> RenderedPart:
    """The part as all viewers see it who have these plain values, one language and one zone."""
    (data,) = shown.values()
    viewers = f"{common} {get_language()} {get_current_timezone_name()}"

    def render() -> RenderedPart:
        html = Engine.get_default().get_template(part).render(Context(shown | common))
        return RenderedPart(html, pack(html.encode()))

    return _parts.get(f"{part} {data.version} {viewers}", render)


def _compress(request: LiveRequest, response: HttpResponse, part: Packed) -> None:
    """Compress an answer that contains the part, for a browser that takes gzip."""
    patch_vary_headers(response, ["Accept-Encoding"])
    if re_accepts_gzip.search(request.headers.get("Accept-Encoding", "")):
        before, _part, after = response.content.partition(part.data)
        response.content = gzipped(before, part, after)
        response["Content-Encoding"] = "gzip"


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
