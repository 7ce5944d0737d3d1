"""Running the rollup once at an operator's command: a page that says what it does, and the act.

The call may take minutes, so a thread makes it. The audit has its intent and its end, and the page
shows both from there, whichever process runs it.
"""

import logging
import threading
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from uuid import uuid4

import psycopg
from django.contrib import messages
from django.db import Error as DatabaseError
from django.db import connections
from django.db.models.functions import Now
from django.http import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from executions.accounts.confirmation import is_confirmed, to_sign_in_again
from executions.accounts.requests import LiveRequest
from executions.accounts.roles import operators_only
from executions.database.connections import Connection, runner_connection
from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.database.problems import DATABASE_ERRORS, diagnose
from executions.database.reading import fetch_for_dashboard
from executions.models.retirement import AuditEvent
from executions.pages.history.filters import parse
from executions.pages.live import answer, shared
from executions.pages.rollup.once_said import said
from executions.retirement import audit
from executions.retirement.forms import why_of
from executions.retirement.refusals import Refused
from executions.retirement.wizard import on_record
from executions.scheduler import once
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.preflight import CannotRun
from executions.text.digest import digest

log = logging.getLogger(__name__)

RUN_ONCE = "run once"
# Most runs end sooner, and then the page that answers the press tells the end.
WAIT_SECONDS = 3.0
# An act without an end for longer than this was cut off with its process.
_CUT_OFF = once.LONGEST * 1.2
_Outcome = AuditEvent.Outcome


@dataclass(frozen=True)
class LatestRun:
    """The latest run that somebody asked for, from the audit; ``intent`` is None before any.

    ``end`` is None while it is at work, or if it was cut off; ``cut_off`` says that it certainly
    was, because nobody has the turn any more.
    """

    intent: AuditEvent | None
    end: AuditEvent | None
    now: datetime | None
    cut_off: bool = False

    @property
    def is_at_work(self) -> bool:
        if self.intent is None or self.end is not None or self.now is None or self.cut_off:
            return False
        return self.now - self.intent.at <= _CUT_OFF

    @property
    def live_seconds(self) -> int:
        return BUSY_SECONDS if self.is_at_work else QUIET_SECONDS

    @cached_property
    def version(self) -> str:
        ids = [one.pk if one else None for one in (self.intent, self.end)]
        return digest(ids, self.is_at_work)


def latest_run() -> LatestRun:
    """The latest intent in the audit, and its end.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    lines = AuditEvent.objects.filter(action=RUN_ONCE).annotate(now=Now()).order_by("-at", "-pk")
    intent = lines.filter(outcome=_Outcome.INTENDED).first()
    if intent is None:
        return LatestRun(None, None, None)
    ends = lines.exclude(outcome__in=[_Outcome.INTENDED, _Outcome.REFUSED]).filter(
        evidence__run=intent.evidence["run"]
    )
    end, is_free = ends.first(), False
    if end is None and (is_free := _turn_is_free()):
        end = ends.first()  # a run records its end before it gives up its turn
    return LatestRun(intent, end, intent.now, cut_off=is_free and end is None)


def _turn_is_free() -> bool:
    """Whether certainly nobody has the turn; no if Multica's database cannot be asked."""
    try:
        return once.turn_is_free(fetch_for_dashboard)
    except DATABASE_ERRORS:
        return False


@operators_only
@require_http_methods(["GET", "HEAD", "POST"])
def run_once(request: LiveRequest) -> HttpResponseBase:
    """What it would do, and the button; a POST does it, with a password from the last minutes."""
    if request.method != "POST":
        parse(request.META.get("QUERY_STRING", ""), names=())
        return answer(request, "rollup/run", shared(request, "", latest_run), _CONTEXT)
    if not is_confirmed(request):
        messages.info(
            request,
            _("Nothing was begun yet: a run needs a password of the last minutes. Press again."),
        )
        return to_sign_in_again(reverse("rollup_run"))
    try:
        told = begin(audit.Who.user(request.user, why_of(request.POST)))
    except Refused as refusal:
        messages.error(request, str(refusal))
    else:
        messages.info(request, told)
    return redirect("rollup_run")


_CONTEXT: dict[str, object] = {"statement": once.STATEMENT, "longest": once.LONGEST}


def begin(who: audit.Who) -> str:
    """Begin a run, and wait a moment for its end. Return what to tell.

    Raises:
        Refused: it was not begun; the audit has the reason.
    """
    with on_record(who, RUN_ONCE, ROLLUP.name, once.STATEMENT):
        connection = _take_turn()
    number = uuid4().hex
    thread = threading.Thread(
        target=_run, args=[connection, who, number], name="run once", daemon=True
    )
    try:
        _record(who, _Outcome.INTENDED, number)
        thread.start()
    except BaseException:
        connection.close()
        raise
    thread.join(WAIT_SECONDS)
    if thread.is_alive():
        return _("The run is at work. This page shows when it has ended, and what came of it.")
    return _("The run has ended. What came of it stands below.")


def _take_turn() -> Connection:
    try:
        return once.take_turn(runner_connection)
    except once.AtWork as reason:
        raise Refused(_at_work()) from reason
    except CannotRun as reason:
        raise Refused(str(reason)) from reason
    except psycopg.Error as error:
        raise Refused(f"{diagnose(error, 'RUNNER_DATABASE_URL').sentence()}") from error


def _at_work() -> str:
    latest = latest_run()
    who = latest.intent.user_name if latest.intent and latest.is_at_work else _("Somebody else")
    return _("%(who)s has asked for a run that is still at work. Nothing was begun.") % {"who": who}


def _run(connection: Connection, who: audit.Who, number: str) -> None:
    """Call the rollup and record its end. The thread of one run."""
    try:
        outcome, summary, evidence = _outcome(connection)
        _record(who, outcome, number, summary, evidence)
    except DatabaseError as error:
        log.warning("the end of a run could not be recorded: %s", diagnose(error).brief)
    finally:
        connection.close()
        connections.close_all()


def _outcome(connection: Connection) -> tuple[AuditEvent.Outcome, str, dict[str, object]]:
    try:
        return _done(once.run(connection))
    except psycopg.errors.QueryCanceled:
        summary = _(
            "It was stopped: it reached its time limit, or somebody cancelled it. Nothing was"
            " changed. A scheduled run has the same limit."
        )
        return _Outcome.FAILED, summary, {}
    except psycopg.Error as error:
        return _Outcome.FAILED, diagnose(error, "RUNNER_DATABASE_URL").sentence(), {}
    except Exception:
        log.exception("a run that an operator asked for met an unexpected error")
        summary = _(
            "An unexpected error came between, which the log of Multica Admin has. The run either"
            " ended as a whole or changed nothing; the watermark tells."
        )
        return _Outcome.FAILED, summary, {}


def _done(ran: once.Ran) -> tuple[AuditEvent.Outcome, str, dict[str, object]]:
    evidence: dict[str, object] = {
        "rows": ran.rows,
        "result": ran.result,
        "watermark_before": ran.before,
        "watermark_after": ran.after,
        "holders": [one.pid for one in ran.holders],
    }
    return _Outcome.DONE, str(said(ran)), evidence


def _record(
    who: audit.Who,
    outcome: AuditEvent.Outcome,
    number: str,
    summary: str = "",
    evidence: dict[str, object] | None = None,
) -> None:
    audit.record(
        who,
        RUN_ONCE,
        outcome,
        ROLLUP.name,
        summary=summary,
        statement=once.STATEMENT,
        evidence={"run": number, **(evidence or {})},
    )
