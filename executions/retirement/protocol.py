"""The one protocol for every act: intent, transaction, proof, outcome.

The record and the act may be in two databases, so no transaction spans both. Therefore:

1. the acting connection takes our own lock, so that only one act runs at a time;
2. the intent is committed here, with its evidence;
3. the acting transaction begins, and its id is committed to the intent;
4. inside it everything is checked again, the job is changed and the result proved; then it commits;
5. the outcome is committed here, and the acting connection releases the lock and closes.

A process may die between any two of these. An intent without an id has changed nothing, because the
id is committed before the work begins. With an id, ``pg_xact_status`` tells what became of the act.
`recover` asks it. It takes the same lock first, so it never meets an act that is under way.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
from django.db import connections, transaction
from django.utils.translation import gettext as _
from psycopg.pq import TransactionStatus

from executions.database.connections import (
    CONNECT_SECONDS,
    Connection,
    cut_after,
    retire_connection,
)
from executions.database.our_locks import OurLock
from executions.database.problems import DATABASE_ERRORS, first_line
from executions.database.reading import Fetch, fetch_on
from executions.database.sql import load
from executions.health.assessment import plain
from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.pgcron.job import Job, PgCronServer
from executions.pgcron.servers import read_server
from executions.retirement import audit
from executions.retirement.facts import find_job
from executions.retirement.outcomes import conclude
from executions.retirement.refusals import (
    Failed,
    Refused,
    SomebodyElse,
    Unknown,
    being_done,
    nothing_done,
)
from executions.retirement.rules import Rules
from executions.text.sentences import after_one_another

SQL = load("retirement")

_NAME = "multica-admin retire: "

log = logging.getLogger(__name__)

# Called with the name of each point that was reached. Tests end the process there.
Reached = Callable[[str], None]


def nothing(_point: str) -> None:
    """Outside of tests nothing happens at these points."""


def _no_witness(_fetch: Fetch, _new_jobid: int | None) -> None:
    """For acts that no concurrent change can make wrong."""


@dataclass(frozen=True)
class ActSteps:
    """The steps inside the acting transaction. Each step raises `Refused` to stop the act.

    ``verify`` checks again and returns the facts that it found. ``change`` makes the change and
    returns a new jobid if there is one. ``witness`` then looks from another connection, which sees
    the old state until we commit; what we have changed is locked meanwhile, so no other change can
    slip in between. ``prove`` checks the result, in the transaction.
    """

    verify: Callable[[Fetch], Mapping[str, object]]
    change: Callable[[Connection], int | None]
    prove: Callable[[Fetch, int | None], None]
    witness: Callable[[Fetch, int | None], None] = _no_witness


@dataclass(frozen=True)
class Wish:
    """What somebody wants to do, before any of it is done."""

    who: audit.Who
    kind: Act.Kind
    statement: str
    job: Job
    states: Iterable[RetirementState]
    evidence: Mapping[str, object] = field(default_factory=dict)


def intend(retirement: Retirement, wish: Wish) -> Act:
    """Commit the intent. Of two concurrent intents one wins.

    Raises:
        SomebodyElse: another act on this retirement is open, or was done meanwhile.
        Refused: the retirement is no longer in a state where this act can begin.
    """
    with transaction.atomic(durable=True):
        now = Retirement.objects.select_for_update().get(pk=retirement.pk)
        other = now.open_act
        if other is not None:
            raise being_done(other)
        if now.state not in set(wish.states):
            raise _too_late(now)
        act = Act.objects.create(
            retirement=now,
            kind=wish.kind,
            user_id=wish.who.id,
            user_name=wish.who.name,
            why=wish.who.why,
            statement=wish.statement,
            job=wish.job.as_json(),
            evidence=plain(wish.evidence),
        )
        audit.record(wish.who, wish.kind, AuditEvent.Outcome.INTENDED, act, evidence=wish.evidence)
    return act


def _too_late(now: Retirement) -> Refused:
    last = now.acts.filter(outcome=Act.Outcome.DONE).order_by("-pk").first()
    where = _("%(job)s is now: %(state)s.") % {"job": now.label, "state": now.get_state_display()}
    if last is None:
        return Refused(where)
    did = _("%(who)s did that at %(at)s.") % {
        "who": last.user_name,
        "at": f"{last.outcome_at:%Y-%m-%d %H:%M:%S} UTC",
    }
    return SomebodyElse(last.user_name, str(after_one_another(where, did)))


@contextmanager
def turn(who: audit.Who) -> Iterator[Connection]:
    """The acting connection, with our lock until this ends. It carries the operator's name.

    Raises:
        SomebodyElse: another operator acts now, perhaps of another installation.
        psycopg.Error: pg_cron's database cannot be reached.
    """
    with closing(retire_connection(f"{_NAME}{who.name}")) as acting:
        (row,) = acting.execute(SQL.take_turn, {"key": OurLock.ACT})
        if not row["taken"]:
            other = _whose_turn(acting)
            raise SomebodyElse(
                other,
                _("%(who)s is changing a schedule at this moment. Nothing was changed.")
                % {"who": other},
            )
        try:
            yield acting
        finally:
            _end_turn(acting)


def _end_turn(acting: Connection) -> None:
    """Release the lock: PostgreSQL itself does so only some time after we close.

    What was done is kept, even if the connection is lost by now. Then its end frees the lock.
    """
    if acting.info.transaction_status == TransactionStatus.IDLE:
        with suppress(psycopg.Error), cut_after(CONNECT_SECONDS, acting):
            acting.execute(SQL.end_turn, {"key": OurLock.ACT})


def _whose_turn(acting: Connection) -> str:
    """Who holds the lock. Another installation's operator is known by the session's name only.

    PostgreSQL truncates that name and drops characters outside ASCII. A user with an open act here
    whose name gives that same text is named in full. An act that a crash left open names nobody.
    """
    holder = acting.execute(SQL.whose_turn, {"key": OurLock.ACT}).fetchone()
    session = holder["application_name"] if holder else ""
    for name in Act.objects.filter(outcome=None).values_list("user_name", flat=True):
        (row,) = acting.execute(SQL.session_name, {"name": f"{_NAME}{name}"})
        if row["name"] == session:
            return name
    return session.removeprefix(_NAME) or _("somebody")


def perform(
    act: Act, work: ActSteps, acting: Connection, rules: Rules, reached: Reached = nothing
) -> Act:
    """Do what was intended, prove it, and write the outcome. ``acting`` is from `turn`.

    Raises:
        Refused: it was not done, for the reason given; that is recorded.
        Failed: the database did not do it and nothing changed there; that is recorded.
        Unknown: the connection was lost at the worst moment; the act stays open until `recover`.
            Any other error, once the outcome of the act is recorded.
    """
    reached("intended")
    try:
        with closing(retire_connection("multica-admin witness")) as witness:
            _act(act, work, acting, witness, reached)
    except Refused as refusal:
        conclude(act, Act.Outcome.REFUSED, str(refusal), rules, refusal.evidence)
        raise
    except DATABASE_ERRORS as error:
        acting.close()
        _after_error(act, error, rules)
    except Exception as error:
        acting.close()
        _find_out(
            act, rules, _("an error in this program stopped it (%(error)r)") % {"error": error}
        )
        raise
    reached("committed")
    act.refresh_from_db()  # only the database has its role, its new jobid and what was found
    conclude(act, Act.Outcome.DONE, _done(act), rules, _look_afterwards(act))
    reached("concluded")
    return act


def _act(
    act: Act, work: ActSteps, acting: Connection, witness: Connection, reached: Reached
) -> None:
    here = read_server(fetch_on(acting))
    with acting.transaction():
        acting.execute(SQL.bound_transaction)
        _sign(act, acting, here)
        reached("signed")
        found = work.verify(fetch_on(acting))
        reached("verified")
        new_jobid = work.change(acting)
        work.witness(fetch_on(witness), new_jobid)
        reached("changed")
        work.prove(fetch_on(acting), new_jobid)
        _keep(act, found, new_jobid)
        reached("proved")


def _sign(act: Act, acting: Connection, here: PgCronServer) -> None:
    """Commit the transaction's id to the intent, before anything is changed."""
    (row,) = acting.execute(SQL.acting_transaction)
    signed = Act.objects.filter(pk=act.pk, outcome=None, xid="").update(
        xid=row["xid"],
        server=here.identifier,
        database=here.database,
        acted_at=row["now"],
        role=row["role"],
    )
    if not signed:
        raise Refused(_("This took so long that it was given up. Nothing was changed."))


def _keep(act: Act, found: Mapping[str, object], new_jobid: int | None) -> None:
    """Commit the facts of the act and its result before the act commits, so a crash keeps both."""
    evidence = {**act.evidence, "found": plain(found)}
    Act.objects.filter(pk=act.pk).update(evidence=evidence, new_jobid=new_jobid)


def _after_error(act: Act, error: Exception, rules: Rules) -> None:
    """Find out what became of the transaction, and say it. Returns if it was committed."""
    said = first_line(error)
    if not _find_out(act, rules, said):
        raise Unknown(
            _("The connection was lost (%(said)s). What became of it will be known as soon as the"
              " database can be reached again.") % {"said": said}
        ) from error  # fmt: skip
    if act.outcome != Act.Outcome.DONE:
        raise Failed(act.detail) from error


def _find_out(act: Act, rules: Rules, interrupted: str) -> bool:
    """Write the outcome of an act whose acting connection is closed. False if nobody can tell.

    Without an id nothing was changed. With an id the server is asked, because the commit may have
    succeeded.
    """
    _give_up_broken_connections()
    act.refresh_from_db()
    if act.xid:
        return _settled_at_last(act, rules, interrupted)
    conclude(act, Act.Outcome.FAILED, nothing_done(interrupted), rules)
    return True


def _settled_at_last(act: Act, rules: Rules, interrupted: str) -> bool:
    """Settle an act of this very process. The lock is free once its backend has ended."""
    try:
        return settle(act, rules, interrupted, SQL.wait_until_nobody_acts)
    except psycopg.Error as error:
        log.warning("Cannot tell yet what became of %s: %s", act, first_line(error))
        return False


def _give_up_broken_connections() -> None:
    """Close connections that a restart of the server broke. The next query opens new ones."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close_if_unusable_or_obsolete()


def _done(act: Act) -> str:
    return _("%(statement)s was run as %(role)s.") % {"statement": act.statement, "role": act.role}


def _look_afterwards(act: Act) -> dict[str, object]:
    """What a new connection sees of the job, for the record. Nothing depends on it."""
    jobid = act.new_jobid or act.job["jobid"]
    try:
        with closing(retire_connection()) as connection:
            found = find_job(fetch_on(connection), jobid)
    except psycopg.Error as error:
        return {"seen_afterwards": first_line(error)}
    if found.is_hidden and act.kind != Act.Kind.REMOVE:
        return {"seen_afterwards": _("This role may not look at the job.")}
    return {"seen_afterwards": found.job.as_json() if found.job else None}


def recover(rules: Rules) -> list[Act]:
    """Settle every open act that is not under way. Return those whose outcome is known now.

    An act that cannot be settled, for whatever reason, does not delay the others.

    Raises:
        django.db.Error: our own tables cannot be reached.
    """
    settled = []
    for act in Act.objects.filter(outcome=None).select_related("retirement"):
        try:
            if settle(act, rules, _("the process that began it ended")):
                settled.append(act)
        except psycopg.Error as error:
            log.warning("Cannot tell yet what became of %s: %s", act, first_line(error))
        except Exception:
            log.exception("Cannot settle %s", act)
    return settled


def settle(act: Act, rules: Rules, interrupted: str, lock: str = SQL.nobody_acts) -> bool:
    """Write the outcome of an act. False if nobody can tell yet, or if the act is under way.

    Raises:
        psycopg.Error: the acting database cannot be reached or asked.
    """
    with closing(retire_connection("multica-admin recover")) as connection:
        here = read_server(fetch_on(connection))
        with connection.transaction():
            row = connection.execute(lock, {"key": OurLock.ACT}).fetchone()
            if not row or row.get("taken") is False:
                return False
            act.refresh_from_db()
            if act.outcome is not None:
                return True
            done = _was_done(act, connection, here)
            if done is None:
                return False
            outcome = Act.Outcome.DONE if done else Act.Outcome.FAILED
            detail = _done(act) if done else nothing_done(interrupted)
            conclude(act, outcome, detail, rules, {"settled_after": interrupted})
            return True


def _was_done(act: Act, connection: Connection, here: PgCronServer) -> bool | None:
    """Whether the act's transaction was committed; None if that cannot be known now."""
    if not act.xid:
        return False
    if not here.is_place(act.server, act.database):
        return None
    if here.place != (act.server, act.database):
        return _shows(act, connection)  # a server hides its number: the xid may be another's
    try:
        with connection.transaction():
            row = connection.execute(SQL.transaction_status, {"xid": act.xid}).fetchone()
    except psycopg.errors.InvalidParameterValue:
        row = None  # an id of the future: the database was restored from before the act
    status = row["status"] if row else None
    if status is None:
        return _shows(act, connection)
    return None if status == "in progress" else bool(status == "committed")


def _shows(act: Act, connection: Connection) -> bool | None:
    """What the job itself says, for a transaction too old for `pg_xact_status`.

    A missing job proves nothing to a role that does not see every job: another role may have to
    look. A job that was put back proves nothing until its new number is recorded.
    """
    if act.kind == Act.Kind.PUT_BACK and act.new_jobid is None:
        return False
    found = find_job(fetch_on(connection), act.new_jobid or act.job["jobid"])
    if found.is_hidden:
        return None
    if act.kind == Act.Kind.REMOVE:
        return found.job is None
    if act.kind == Act.Kind.PUT_BACK:
        return found.job is not None
    return found.job is not None and found.job.active == (act.kind == Act.Kind.ACTIVATE)
