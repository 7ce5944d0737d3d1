"""Closing a retirement that can never continue: its server was replaced, or its database is gone.

Nothing changes in pg_cron. An operator closes the record as *moved*, and the audit has it. It is
refused if the retirement can continue, or if nobody can tell now.
"""

from datetime import timedelta

import psycopg
from django.db import transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from executions.database.problems import diagnose
from executions.database.sql import load
from executions.models.retirement import Act, AuditEvent, CallerKind, Retirement, RetirementState
from executions.pgcron import commands
from executions.pgcron.servers import read_server
from executions.retirement import audit
from executions.retirement.facts import retire_fetch
from executions.retirement.outcomes import conclude, move
from executions.retirement.refusals import Refused, being_done
from executions.retirement.rules import current
from executions.retirement.wizard import elsewhere, job_of, on_record, require

SQL = load("pgcron")

MOVED = "close as moved"
# The code of `diagnose` for a database that its server does not have.
_GONE = "no_database"
# No acting transaction lasts this long, so an older act is no longer under way.
_ACT_IS_OVER = timedelta(minutes=5)
_OPEN = frozenset(RetirementState) - frozenset(Retirement.ENDED)


def why_stuck(retirement: Retirement) -> str:
    """Why the retirement can never continue, as a sentence; empty if it can.

    Raises:
        psycopg.Error: nobody can tell now, because pg_cron's database is away or refuses.
    """
    if retirement.kind != CallerKind.PG_CRON:
        return ""
    try:
        with retire_fetch("look") as fetch:
            here = read_server(fetch)
            (sight,) = fetch(SQL.sight, {})
    except psycopg.Error as error:
        problem = diagnose(error)
        if problem.code != _GONE:
            raise
        return str(problem.what)
    if away := elsewhere(retirement, here):
        return away
    if sight["version"] is None:
        return _(
            "pg_cron is no longer in the database %(database)s, and all its jobs are gone."
        ) % {"database": here.database}
    return ""


def left_behind(retirement: Retirement) -> str:
    """The statement that activates a job that was left paused; empty if it was not paused."""
    if retirement.state not in {RetirementState.TRIAL, RetirementState.TRIAL_PASSED}:
        return ""
    return commands.set_active_text(job_of(retirement).jobid, active=True)


def close_as_moved(who: audit.Who, retirement: Retirement) -> None:
    """Close it for good, with the reason and the operator's name in the audit.

    Raises:
        Refused: it can continue, has ended already, or an act on it is under way; or no permission.
        psycopg.Error: nobody can tell now whether it can continue.
    """
    with on_record(who, MOVED, retirement):
        retirement.refresh_from_db()
        why = why_stuck(retirement)
        if not why:
            raise Refused(
                _("%(job)s is where it was begun, so this can go on. Nothing was changed.")
                % {"job": retirement.label}
            )
        with transaction.atomic():
            now = Retirement.objects.select_for_update().get(pk=retirement.pk)
            require(now, _OPEN)
            _give_up(now)
            statement = left_behind(now)
            move(retirement, state=RetirementState.MOVED, reason=why)
            audit.record(
                who,
                MOVED,
                AuditEvent.Outcome.DONE,
                retirement,
                summary=why,
                statement=statement,
                evidence={"was": now.state, "server": now.server, "database": now.database},
            )


def _give_up(retirement: Retirement) -> None:
    """Close an act that a crash left open there: nobody can learn its outcome any more.

    Raises:
        SomebodyElse: the act was begun just now, so it may be under way.
    """
    act = retirement.open_act
    if act is None:
        return
    if Act.objects.filter(pk=act.pk, intended_at__gt=Now() - _ACT_IS_OVER).exists():
        raise being_done(act)
    said = _("Nobody can tell any more what became of it, because its database moved or is gone.")
    conclude(act, Act.Outcome.FAILED, said, current())
