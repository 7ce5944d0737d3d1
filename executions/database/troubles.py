"""PURE: the sentences for every kind of database trouble.

`problems.py` finds the kind of an error, with `sqlstates.py`. Nothing here reads an error. In the
sentences ``%(said)s`` is the server's or libpq's message, ``%(url)s`` the variable that names the
database, ``%(sqlstate)s`` PostgreSQL's own code (its manual, appendix A).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise as StrPromise

_ANSWERED = _("The database answered: %(said)s.")
_REFUSED = _("The server refused the connection: %(said)s.")
_CANNOT_LOOK = _("Multica Admin runs, but it cannot look. This says nothing about the rollup.")
_EMBEDDED_COMES_BACK = _(
    "Try again in a moment: if it has ended, bin/run starts it again by itself, mostly within"
    " seconds. If it does not, look in the log for the reason, or stop bin/run and start it again."
)
_NOTHING_CHANGED = _("Nothing was changed.")


@dataclass(frozen=True)
class Trouble:
    """The texts about one kind of trouble. ``of_our_own`` replaces ``todo`` for our own tables."""

    title: StrPromise
    meaning: StrPromise
    todo: StrPromise
    what: StrPromise = _ANSWERED
    status: int = 503
    of_our_own: StrPromise | None = None


def _refused(title: StrPromise, todo: StrPromise) -> Trouble:
    """The server refuses the connection, so nothing can be looked at."""
    return Trouble(title, _CANNOT_LOOK, todo, _REFUSED)


UNKNOWN = "unknown"

TROUBLES: Mapping[str, Trouble] = {
    # --- No connection: what libpq, or the server as it refuses, says -------------------------
    "no_server": Trouble(
        title=_("The database cannot be reached"),
        what=_("Nothing answers: %(said)s."),
        meaning=_CANNOT_LOOK,
        todo=_("Check that PostgreSQL runs there and that the address in %(url)s is right."),
    ),
    "embedded_stopped": Trouble(
        title=_("The embedded PostgreSQL does not answer"),
        what=_("The embedded PostgreSQL, which bin/run brings, does not answer."),
        meaning=_("Nothing is lost: it goes on with what it had, once it runs again."),
        todo=_EMBEDDED_COMES_BACK,
    ),
    "embedded_lost": Trouble(
        title=_("The connection to the embedded PostgreSQL broke"),
        what=_("The connection to the embedded PostgreSQL, which bin/run brings, broke."),
        meaning=_("What was under way is not known to be done. What was done before is kept."),
        todo=_EMBEDDED_COMES_BACK,
    ),
    "no_host": Trouble(
        title=_("The database's host is unknown"),
        what=_("This machine cannot resolve the name of the database's host: %(said)s."),
        meaning=_CANNOT_LOOK,
        todo=_("Correct the host name in %(url)s, or check the name service of this machine."),
    ),
    "no_database": _refused(
        title=_("There is no such database"),
        todo=_("Correct the name of the database in %(url)s."),
    ),
    "closed_database": _refused(
        title=_("The database takes no connections"),
        todo=_(
            "Name another database in %(url)s, or let an administrator open this one with ALTER"
            " DATABASE … ALLOW_CONNECTIONS true."
        ),
    ),
    "not_let_in": _refused(
        title=_("The server does not let the role in"),
        todo=_(
            "Correct the role and the password in %(url)s. If both are right, let an administrator"
            " look whether the role may log in and whether pg_hba.conf admits it from here."
        ),
    ),
    "no_connect_right": _refused(
        title=_("The role may not connect like that"),
        todo=_(
            "Let an administrator run GRANT CONNECT ON DATABASE for the role, or take the setting"
            " that it may not set out of %(url)s."
        ),
    ),
    "setting": _refused(
        title=_("The server refuses a setting"),
        todo=_("Correct that setting in %(url)s, or leave it out."),
    ),
    "connections": _refused(
        title=_("The server has no connection left"),
        todo=_(
            "Look in pg_stat_activity for sessions that nobody needs and end them, or let an"
            " administrator raise max_connections or the role's own limit."
        ),
    ),
    # The code of the server's refusal is not known: it accepted the next try.
    "refused": _refused(
        title=_("The server refused the connection"),
        todo=_(
            "Try again in a moment. If the server refuses again, correct in %(url)s what it names."
        ),
    ),
    "not_ready": Trouble(
        title=_("The server is not ready"),
        what=_("The server is starting up, shutting down or recovering: %(said)s."),
        meaning=_CANNOT_LOOK,
        todo=_(
            "Wait a moment and try again. If it refuses again, look in PostgreSQL's own log."
            " A standby with hot_standby = off accepts no connection: point %(url)s at its primary."
        ),
    ),
    "server_kind": Trouble(
        title=_("No server is of the wanted kind"),
        what=_("Every server in the URL is of another kind than it asks for: %(said)s."),
        meaning=_CANNOT_LOOK,
        todo=_(
            "Name a server of that kind in %(url)s, or correct its target_session_attrs; during a"
            " failover wait until there is a primary again."
        ),
    ),
    "tls": Trouble(
        title=_("No encrypted connection can be agreed on"),
        what=_("The connection could not be encrypted as it should be: %(said)s."),
        meaning=_CANNOT_LOOK,
        todo=_("Correct sslmode and the certificates that %(url)s names, or those of the server."),
    ),
    "not_postgresql": Trouble(
        title=_("Something else answers there"),
        what=_("The program that answers is not PostgreSQL: %(said)s."),
        meaning=_CANNOT_LOOK,
        todo=_("Correct the host and the port in %(url)s."),
    ),
    "pooler": Trouble(
        title=_("A connection pooler is in the way"),
        what=_REFUSED,
        meaning=_("PgBouncer refuses the settings that hold this connection read-only."),
        todo=_(
            "Give PostgreSQL's own address in %(url)s, past the pooler. For the dashboard's reads"
            " it is enough to set ignore_startup_parameters = options in PgBouncer's configuration."
        ),
        of_our_own=_("Give PostgreSQL's own address in ADMIN_DATABASE_URL, past the pooler."),
    ),
    "not_direct": Trouble(
        title=_("A connection pooler is in the way"),
        what=_("A connection pooler answers where PostgreSQL itself is needed."),
        meaning=_(
            "Behind a pooler each transaction may get another session, so locks and settings do"
            " not hold. Nothing was changed."
        ),
        todo=_(
            "Give PostgreSQL's own address in %(url)s. Only what the dashboard reads may go"
            " through a pooler."
        ),
        of_our_own=_("Give PostgreSQL's own address in ADMIN_DATABASE_URL."),
    ),
    "pool_busy": Trouble(
        title=_("The dashboard is busy"),
        what=_("No connection to the database could be opened in time."),
        meaning=_(
            "This process uses all of its connections. The database itself accepts new ones."
        ),
        todo=_("Try again in a moment; if it stays so, look at what the database is busy with."),
    ),
    # --- A connection that was lost -----------------------------------------------------------
    "lost": Trouble(
        title=_("The connection to the database broke"),
        what=_("The connection to the database broke: %(said)s."),
        meaning=_(
            "Nobody knows whether the current work was done. This says nothing about the rollup."
        ),
        todo=_(
            "Try again: the next connection is a new one. If it repeats, look at the network and in"
            " PostgreSQL's own log."
        ),
    ),
    "ended": Trouble(
        title=_("The server ended the connection"),
        what=_("The server ended the connection: %(said)s."),
        meaning=_("What was under way was rolled back. This says nothing about the rollup."),
        todo=_(
            "Try again: the next connection is a new one. If it repeats, look in PostgreSQL's own"
            " log for who ends it."
        ),
    ),
    # --- What Multica's database is, or has ----------------------------------------------------
    "no_tables": Trouble(
        title=_("There is no Multica in this database"),
        what=_(
            "The database %(said)s holds none of Multica's tables; %(url)s probably names the wrong"
            " one."
        ),
        meaning=_("Nothing can be told about the rollup from there."),
        todo=_("Name Multica's database in %(url)s, or let Multica's migrations make its tables."),
    ),
    "pg_cron_objects": Trouble(
        title=_("pg_cron's own objects are not as expected"),
        what=_("pg_cron's objects %(said)s."),
        meaning=_(
            "Multica's tables are fine. Most likely somebody upgraded the package of pg_cron but"
            " not its objects in the database."
        ),
        todo=_("Let an administrator run there: ALTER EXTENSION pg_cron UPDATE;"),
    ),
    "standby": Trouble(
        title=_("This server is a standby"),
        what=_("This is a standby: it follows another server, and nothing can be written here."),
        meaning=_NOTHING_CHANGED,
        todo=_("Point %(url)s at the primary."),
        status=409,
    ),
    "schema": Trouble(
        title=_("A table of Multica's is missing"),
        meaning=_("This is not Multica's database, or its Multica is old or half upgraded."),
        todo=_("Check that %(url)s names Multica's database and that its migrations ran."),
        of_our_own=_(
            "Check that ADMIN_DATABASE_URL names the database of our own tables; “manage.py"
            " migrate” makes those that are missing."
        ),
    ),
    "no_usage": Trouble(
        title=_("The role may not use the schema of Multica's tables"),
        what=_(
            "Multica's tables are in the schema %(schema)s, which the role %(roles)s may not use,"
            " so PostgreSQL hides them."
        ),
        meaning=_("Nothing is wrong with Multica itself; a right is missing."),
        todo=_("Let an administrator run: GRANT USAGE ON SCHEMA %(schema)s TO %(roles)s;"),
    ),
    "search_path": Trouble(
        title=_("Multica's tables are not on the search_path"),
        what=_(
            "Multica's tables are in the schema %(schema)s, which is not on the search_path of the"
            " role %(roles)s."
        ),
        meaning=_("Nothing is wrong with Multica itself; the role only does not find the tables."),
        todo=_("Add ?search_path=%(schema)s to %(url)s."),
    ),
    "row_security": Trouble(
        title=_("The role is not shown every row"),
        what=_("Nobody can tell what the tables hold: %(said)s."),
        meaning=_("The hidden rows may exist, so Multica Admin draws no conclusion."),
        todo=_(
            "Let an administrator give the role BYPASSRLS, or a policy to see every row, as"
            " “manage.py permissions --role NAME --as viewer” says."
        ),
    ),
    "rights": Trouble(
        title=_("The role may not read what this page shows"),
        meaning=_("Nothing is wrong with Multica itself; the dashboard's role lacks a right."),
        todo=_(
            "Let an administrator run the statements that"
            " “manage.py permissions --role NAME --as viewer” prints."
        ),
        of_our_own=_("Name in ADMIN_DATABASE_URL the role that owns our own tables."),
    ),
    "value": Trouble(
        title=_("The database holds a value that cannot be read"),
        what=_("A value in the database cannot be read: %(said)s."),
        meaning=_(
            "The database itself answers. It holds a value that Multica's scheduler does not"
            " write, such as a time beyond the year 9999."
        ),
        todo=_(
            "If it is a time, these statements show the rows of Multica's that have one like it:"
            " %(rows)s Put such a value right, or remove its row."
        ),
    ),
    # --- What a statement met -------------------------------------------------------------------
    "timeout": Trouble(
        title=_("The database took too long"),
        what=_("A read was stopped at its time limit."),
        meaning=_("The database is busy; nothing was changed."),
        todo=_("Try again in a moment; if it stays so, look at what else runs there."),
    ),
    "locked": Trouble(
        title=_("Somebody has locked a table"),
        what=_("Somebody has locked %(table)s, and Multica Admin waited no longer."),
        meaning=_("Nobody can read the table until the lock is gone. Nothing was changed."),
        todo=_(
            "Wait until the lock is gone: a migration and VACUUM FULL lock tables like this. If it"
            " stays, look in pg_stat_activity what the process %(holder)s does."
        ),
    ),
    "busy": Trouble(
        title=_("Two changes blocked each other"),
        what=_("The database stopped one of two changes that blocked each other: %(said)s."),
        meaning=_("The current work was rolled back; no half of it remains."),
        todo=_("Try again."),
    ),
    "taken": Trouble(
        title=_("It exists already"),
        what=_("Somebody made the same thing a moment ago: %(said)s."),
        meaning=_("It is there once, and nothing else was changed."),
        todo=_("Look at what is there now; choose another name where a name is taken."),
        status=409,
    ),
    "conflict": Trouble(
        title=_("The change does not fit the stored data"),
        what=_("The database refused a change that does not fit the stored data: %(said)s."),
        meaning=_NOTHING_CHANGED,
        todo=_("Load the page again: somebody may have changed it meanwhile. Then try again."),
        status=409,
    ),
    "resources": Trouble(
        title=_("The database has run out of something"),
        meaning=_("The current work was rolled back; no half of it remains."),
        todo=_("Make room on its disk, or give it more memory; then try again."),
    ),
    "read_only": Trouble(
        title=_("This connection may only read"),
        what=_("PostgreSQL refused a write on a connection that may only read: %(said)s."),
        meaning=_NOTHING_CHANGED,
        todo=_(
            "Point %(url)s at the primary, with a role that is not held read-only. If a page of the"
            " dashboard says this, report it with the reference: it should never write."
        ),
        status=500,
    ),
    "damaged": Trouble(
        title=_("PostgreSQL reports damaged data"),
        what=_("PostgreSQL reports damaged data or an index that is damaged: %(said)s."),
        meaning=_("Nobody can tell what the damaged part holds. Nothing was changed."),
        todo=_("Let an administrator look in PostgreSQL's own log now, and at the last backup."),
    ),
    UNKNOWN: Trouble(
        title=_("The database answered with an unknown error"),
        what=_(
            "Multica Admin does not know this error of the database (SQLSTATE %(sqlstate)s):"
            " %(said)s."
        ),
        meaning=_("Its meaning is not known here, so Multica Admin draws no conclusion."),
        todo=_(
            "Try again; if it stays so, look up the SQLSTATE in PostgreSQL's manual, look in both"
            " logs, and report it."
        ),
    ),
}
