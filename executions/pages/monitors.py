"""``/status`` and ``/metrics``: what monitors with a token are told.

They answer with the last reading and its age, and wait for none: `executions/health/lookout.py`
keeps it fresh. They ask no database.
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from functools import wraps

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _
from django.utils.translation import override
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from executions.alarms.monitored import kept_monitored
from executions.alarms.silence import said
from executions.health import snapshots
from executions.health.metrics import MessageState, Scrape, exposition
from executions.health.verdict import Level
from executions.text.formatters import roughly, written
from multica_admin import __version__

WELL = frozenset({Level.HEALTHY, Level.DEGRADED})

View = Callable[[HttpRequest], HttpResponse]


def _with_token(setting: str) -> Callable[[View], View]:
    """Let a view answer only requests with the token of this setting; nobody if there is none."""

    def guard(view: View) -> View:
        @login_not_required
        @never_cache
        @require_safe
        @wraps(view)
        def guarded(request: HttpRequest) -> HttpResponse:
            token: str = getattr(settings, setting)
            if not token:
                return _text(
                    _("This address is off, because %(setting)s is not set.")
                    % {"setting": setting},
                    404,
                )
            if not constant_time_compare(_token_of(request), token):
                refusal = _text(
                    _(
                        "Send the token of %(setting)s as “Authorization: Bearer …”, or as the"
                        " password of any user name."
                    )
                    % {"setting": setting},
                    401,
                )
                refusal["WWW-Authenticate"] = 'Bearer realm="monitors", Basic realm="monitors"'
                return refusal
            return view(request)

        return guarded

    return guard


def _token_of(request: HttpRequest) -> str:
    """The bearer token, or the password of Basic; empty if the header has neither."""
    scheme, _space, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        pair = base64.b64decode(given, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return ""
    return pair.partition(":")[2]


def _text(line: str, status: int) -> HttpResponse:
    return HttpResponse(f"{line}\n", status=status, content_type="text/plain; charset=utf-8")


@_with_token("STATUS_TOKEN")
def status(request: HttpRequest) -> HttpResponse:
    """200 if the verdict is healthy or degraded, else 503; with its sentence and its age.

    A monitor passes it to the person on call, like an alarm. So it has the language of alarms.
    """
    with override(settings.ALERT_LANGUAGE):
        level, lines = _standing()
        said = "\n".join([*lines, *_about_messages()])
    return _text(said, 200 if level in WELL else 503)


def _standing() -> tuple[Level, list[str]]:
    """The verdict that a monitor may rely on, and its lines."""
    last = snapshots.last()
    if settings.HOLDS_DEMO:
        demo = _("This is made-up demo data. Set DATABASE_URL to watch your own Multica.")
        return Level.UNKNOWN, [f"{Level.UNKNOWN}: {demo}"]
    if last is None:
        nobody = _("Nobody has looked yet. Ask again in some seconds.")
        return Level.UNKNOWN, [f"{Level.UNKNOWN}: {nobody}"]
    said = f"{last.verdict.level}: {last.verdict.summary}"
    looked = _("Looked %(age)s ago.") % {"age": roughly(last.age.total_seconds())}
    if snapshots.kept() is None:
        blind = _("The database has not answered for too long. The last that is known:")
        return Level.UNKNOWN, [f"{Level.UNKNOWN}: {blind}", said, looked]
    return last.verdict.level, [said, looked]


def _about_messages() -> Iterator[str]:
    """A line for each silence, and for each receiver that takes no alarms."""
    monitored = kept_monitored()
    if monitored is None:
        return
    for silence in monitored.silences:
        yield str(said(silence, monitored.now or silence.begun_at))
    for one in monitored.untold:
        yield _("Alarms do not reach receiver %(number)s since %(at)s: %(reason)s") % {
            "number": one.position,
            "at": written(one.since),
            "reason": one.reason,
        }


@_with_token("METRICS_TOKEN")
def metrics(request: HttpRequest) -> HttpResponse:
    """The gauges of `executions/health/metrics.py` for Prometheus."""
    last, kept, monitored = snapshots.last(), snapshots.kept(), kept_monitored()
    told = Scrape(
        version=__version__,
        url=settings.PUBLIC_URL,
        demo=settings.HOLDS_DEMO,
        level=kept.verdict.level if kept else Level.UNKNOWN,
        assessment=last.assessment if last else None,
        age=last.age if last else None,
        messages=MessageState(
            tuple(one.code for one in monitored.silences),
            tuple(one.alarms for one in monitored.untold),
        )
        if monitored
        else None,
    )
    body, content_type = exposition(told, request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)
