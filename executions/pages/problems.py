"""Error pages: each says what happened, what it means and what to do, with a logged reference."""

import logging
import sys
from http import HTTPStatus
from typing import cast

from django.conf import settings
from django.core.exceptions import (
    DisallowedHost,
    RequestDataTooBig,
    TooManyFieldsSent,
    TooManyFilesSent,
)
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from executions.accounts.requests import LiveRequest
from executions.accounts.roles import (
    ADMINISTRATOR,
    ROLE_WORDS,
    VIEWER,
    RoleNeeded,
    administrators,
    may_look,
)
from executions.database.problems import BUG, DATABASE_ERRORS, diagnose, for_strangers
from executions.pages.history.filters import BadFilter
from executions.pages.refused_filter import RefusedFilter, refused_filter
from executions.pages.site_verdict import last_reached
from executions.text.problem import Problem, Words
from executions.text.sentences import Sentence, listed, say
from multica_admin.env import BadSetting
from multica_admin.public_url import parse_public_url

logger = logging.getLogger(__name__)

# For this code `problem.html` offers to sign out. The overview would only show the problem again.
NO_ROLE = "no_role"
UNKNOWN_HOST = "unknown_host"
# How soon a page that says that a database is away tries again by itself (static/retry.js).
RETRY_SECONDS = 15


def show(
    request: HttpRequest, problem: Problem, refused: RefusedFilter | None = None
) -> HttpResponse:
    """The problem as a page, or as a line of text if no page was asked for or can be made.

    The page has the frame for somebody who may look, and a form for a ``refused`` filter.
    Django's log line about the answer has the same reference. ``X-Problem`` tells a live part that
    the answer is ours and not a proxy's.
    """
    request.problem = problem  # type: ignore[attr-defined]  # for the log line
    if not _is_signed_in(request):
        problem = for_strangers(problem)
    response = _page_or_text(request, problem, refused)
    response["X-Problem"] = problem.code
    if problem.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response["Retry-After"] = str(RETRY_SECONDS)
    return response


def _page_or_text(
    request: HttpRequest, problem: Problem, refused: RefusedFilter | None
) -> HttpResponse:
    if not getattr(request, "htmx", False) and request.accepts("text/html"):
        again = problem.status == HTTPStatus.SERVICE_UNAVAILABLE and request.method == "GET"
        context: dict[str, object] = {
            "problem": problem,
            "refused": refused,
            "retry_seconds": RETRY_SECONDS if again else None,
        }
        pages = ("problem_framed.html", "problem.html")
        has_frame = _has_frame(request, problem)
        # Without the frame our own tables are away, which are elsewhere unless embedded.
        if again and (has_frame or settings.MULTICA_IS_EMBEDDED):
            context["reached"] = last_reached()
        for page in pages if has_frame else pages[1:]:
            try:
                return render(request, page, context, status=problem.status)
            except Exception:
                # The frame itself may be broken. The sentence must still come through.
                logger.exception("the error page failed", extra={"reference": problem.reference})
    text = f"{problem.sentence()}\n{_('Reference in the log:')} {problem.reference}\n"
    return HttpResponse(text, status=problem.status, content_type="text/plain")


def _has_frame(request: HttpRequest, problem: Problem) -> bool:
    """Whether the page has the header: for an account with a role, on an address of ours."""
    if problem.code in {NO_ROLE, UNKNOWN_HOST} or not _is_signed_in(request):
        return False
    known: bool | None = getattr(request, "may_look", None)
    if known is None:  # no view was found, so the middleware has not asked
        try:
            known = may_look(request.user)
        except DATABASE_ERRORS:
            known = False
        cast("LiveRequest", request).may_look = known  # for the frame
    return known


def _is_signed_in(request: HttpRequest) -> bool:
    """Whether the person is signed in; False also if our own tables are away."""
    try:
        return bool(request.user.is_authenticated)
    except (AttributeError, *DATABASE_ERRORS):
        return False


def server_error(request: HttpRequest) -> HttpResponse:
    """An unhandled exception. A database's error is told as what it is."""
    exception = sys.exc_info()[1]
    if isinstance(exception, DATABASE_ERRORS):
        return show(request, diagnose(exception))
    problem = Problem(
        code=BUG,
        title=say("Something went wrong here"),
        what=say("Multica Admin made a mistake while it built this page."),
        meaning=say("Nothing was changed. The mistake is ours, not Multica's."),
        todo=say(
            "Try again; if it happens again, look in the log for the reference and report it."
        ),
        status=500,
    )
    return show(request, problem)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if isinstance(exception, DisallowedHost):
        return show(request, _unknown_host(request))
    refused = None
    if isinstance(exception, BadFilter):
        refused = refused_filter(request.path, request.META.get("QUERY_STRING", ""), exception)
    return show(
        request,
        Problem(
            code="bad_request",
            title=say("That request cannot be answered"),
            what=_bad_request_in_words(exception),
            meaning=say("Nothing was changed."),
            todo=say("Correct the value, or start again from the overview."),
            status=400,
        ),
        refused,
    )


def _bad_request_in_words(exception: Exception) -> Words:
    """Only our own errors are sentences for people: Django's name its settings and classes."""
    if isinstance(exception, BadFilter):
        return str(exception)
    if isinstance(exception, RequestDataTooBig):
        return say("The form is larger than Multica Admin takes.")
    if isinstance(exception, TooManyFieldsSent | TooManyFilesSent):
        return say("The form has more fields or files than Multica Admin takes.")
    return say("The address or the form has a value that cannot be read.")


def _unknown_host(request: HttpRequest) -> Problem:
    """A host name that is not ours. Django would advise a setting that we do not have."""
    scheme = request.headers.get("X-Forwarded-Proto") or request.scheme
    try:
        asked = parse_public_url(f"{scheme}://{request.META.get('HTTP_HOST', '')}")
        todo = say("Set PUBLIC_URL to %(origin)s and restart.", origin=asked.origin)
    except BadSetting:
        todo = say("Set PUBLIC_URL to the address that people use, and restart.")
    return Problem(
        code=UNKNOWN_HOST,
        title=say("This address is not one of ours"),
        what=say(
            "The request was for a host that Multica Admin does not serve. %(told)s",
            told=_public_url_now(),
        ),
        meaning=say("Nothing was changed. Forms from unknown addresses could be forged."),
        todo=todo,
        status=400,
    )


def _public_url_now() -> Sentence:
    if not settings.PUBLIC_HOST:
        return say("PUBLIC_URL is not set.")
    return say("PUBLIC_URL is for %(host)s.", host=settings.PUBLIC_HOST)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Which role is needed, and who can give it."""
    role = exception.role if isinstance(exception, RoleNeeded) else ADMINISTRATOR
    if role == VIEWER:
        return show(request, _without_a_role(request))
    return show(
        request,
        Problem(
            code="forbidden",
            title=say("Your role does not allow this"),
            what=str(exception) or say("This is for the role %(role)s.", role=ROLE_WORDS[role]),
            meaning=say("Nothing was changed."),
            todo=say("%(ask)s, or go back to the overview.", ask=_ask_for(role)),
            status=403,
        ),
    )


def _without_a_role(request: HttpRequest) -> Problem:
    return Problem(
        code=NO_ROLE,
        title=say("Your account has no role yet"),
        what=say(
            "You are signed in as %(user)s, and this account has no role yet.",
            user=request.user.get_username(),
        ),
        meaning=say("Multica Admin shows nothing to an account without a role."),
        todo=say("%(ask)s, and then load this page again.", ask=_ask_for(VIEWER)),
        status=403,
    )


def _ask_for(role: str) -> Sentence:
    people, word = administrators(), ROLE_WORDS[role]
    if not people:
        return say(
            "There is no administrator who could give the role %(role)s: let whoever runs Multica"
            " Admin make one with “manage.py createsuperuser”",
            role=word,
        )
    return say(
        "Ask an administrator (%(names)s) for the role %(role)s", names=listed(people), role=word
    )


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return show(
        request,
        Problem(
            code="not_found",
            title=say("There is nothing at this address"),
            what=say("No page or record has this address."),
            meaning=say("It may have been pruned, or the link may be wrong."),
            todo=say("Start again from the overview."),
            status=404,
        ),
    )


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A refused form. Behind a proxy ``PUBLIC_URL`` is nearly always the cause."""
    origin = request.headers.get("Origin", "")
    return show(
        request,
        Problem(
            code="csrf",
            title=say("The form was refused"),
            what=say(
                "The form did not come from this site as we know it. %(told)s",
                told=_public_url_now(),
            ),
            meaning=say("Nothing was changed."),
            todo=(
                say("Behind a proxy, set PUBLIC_URL to %(origin)s and restart.", origin=origin)
                if origin and origin != "null"
                else say("Load the page again, allow its cookies, and send the form once more.")
            ),
            status=403,
        ),
    )
