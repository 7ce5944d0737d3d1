"""What an operator does with a report of `findcallers`: upload it, and retire what it found."""

import json

from django.db import transaction
from django.utils.translation import gettext as _

from executions.models.retirement import AuditEvent, CallerKind, CallersReport, Retirement
from executions.retirement import audit
from executions.retirement.callers_report import KEPT, Report, look_at, read_report, stored
from executions.retirement.external import choose
from executions.retirement.outside import outside_of
from executions.retirement.refusals import Refused
from executions.retirement.wizard import on_record

UPLOADED = "upload callers"
LOOKED_AGAIN = "look again outside"


def keep(who: audit.Who, data: bytes) -> Report:
    """Keep an uploaded report, and say of each watched retirement whether it is still found.

    Raises:
        NotAReport: the file is none.
        Refused: no permission.
    """
    with on_record(who, UPLOADED, "findcallers"):
        report = read_report(data)
    with transaction.atomic():
        CallersReport.objects.create(
            uploaded_by=who.name, host=report.host, made_at=report.made_at, report=json.loads(data)
        )
        kept = CallersReport.objects.order_by("-pk").values("pk")[:KEPT]
        CallersReport.objects.exclude(pk__in=list(kept.values_list("pk", flat=True))).delete()
        audit.record(
            who, UPLOADED, AuditEvent.Outcome.DONE, f"findcallers {report.host}",
            summary=_("%(count)s callers on %(host)s, as of %(at)s by its own clock.")
            % {"count": len(report.callers), "host": report.host, "at": report.made_at.isoformat()},
        )  # fmt: skip
        for retirement in Retirement.objects.filter(state__in=Retirement.REMOVED).exclude(
            kind=CallerKind.PG_CRON
        ):
            look = look_at(outside_of(retirement), report)
            if look is not None:
                audit.record(
                    who, LOOKED_AGAIN, AuditEvent.Outcome.DONE, retirement, summary=look.summary
                )
    return report


def choose_found(who: audit.Who, kept: CallersReport, number: int) -> Retirement:
    """Begin to retire a caller of a report, or go on with what somebody has begun.

    Raises:
        Refused: there is no such caller, or no permission.
    """
    callers = stored(kept).callers
    if not 0 <= number < len(callers):
        raise Refused(_("The report has no such caller. Nothing was changed."))
    outside = callers[number].outside
    for retirement in Retirement.objects.exclude(kind=CallerKind.PG_CRON).exclude(
        state__in=Retirement.ENDED
    ):
        begun = outside_of(retirement)
        if (begun.identity, begun.host) == (outside.identity, outside.host):
            return retirement
    return choose(who, outside)
