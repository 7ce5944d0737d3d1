"""The steps from nothing to a dashboard that serves. Each can be repeated, and says what it did.

The command `manage.py quickstart` runs them in order and then becomes gunicorn.
"""

import logging
import secrets
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import NoReturn

import psycopg
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import DatabaseError, connections
from django.utils.translation import gettext as _
from psycopg.rows import dict_row

from executions.database.checks import find_gaps
from executions.database.connections import (
    CONNECT_SECONDS,
    Connection,
    cut_after,
    runner_connection,
)
from executions.database.direct import NotDirect, is_held
from executions.database.engine.base import DatabaseWrapper
from executions.database.problems import DATABASE_ERRORS, Silent, diagnose, first_line
from executions.database.reading import fetch_for_dashboard
from executions.database.router import MULTICA_ALIAS
from executions.database.schema import a_turn_of_our_own
from executions.demo import gallery, play
from executions.demo.fill import fill, is_demo
from executions.demo.scenario import Scenario
from executions.demo.stage import let_read
from executions.rollup.provision import ProvisionRefused, provision
from executions.text.sentences import Paragraph
from multica_admin import embedded, static_files
from multica_admin.databases import SESSION, Conninfo, to_read, to_write, with_settings
from multica_admin.env import BadSetting
from multica_admin.locks import locked

logger = logging.getLogger(__name__)

FIRST_USER = "admin"
_STOPPING = (signal.SIGINT, signal.SIGTERM)
# Problems that no parameter of a URL causes, even if the next connection does not have them.
_OF_NO_PARAMETER = frozenset({"pooler", "not_direct", "no_server", "lost", "ended"})
_SCENARIOS = "scenarios"  # the folder of their clusters, below VAR_DIR

Tell = Callable[[str], None]


class CannotStart(Exception):
    """The dashboard cannot start; the text is one sentence for the operator."""


class Stopped(KeyboardInterrupt):
    """A signal came before gunicorn could handle it.

    It is a KeyboardInterrupt, so psycopg cancels what runs and no ``except Exception`` stops it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_status = 128 + number  # as a shell reports it


def be_stopped_by_signals() -> None:
    """Turn Ctrl-C and SIGTERM into an exception, so that unfinished work is undone.

    Python's handlers end with the program, so gunicorn begins with the system's own.
    """

    def stop(number: int, _frame: FrameType | None) -> NoReturn:
        for one in _STOPPING:
            signal.signal(one, signal.SIG_IGN)  # a second signal must not interrupt the undoing
        raise Stopped(number)

    for one in _STOPPING:
        signal.signal(one, stop)


def hold_signals_back() -> None:
    """Hold signals back until gunicorn hears them: `multica_admin.gunicorn.when_ready`.

    Until then nobody would handle them, and nobody would stop the embedded PostgreSQL.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Make starts over the same ``var/`` wait for each other.

    Raises:
        CannotStart: ``var/`` cannot be written.
    """
    path = settings.VAR_DIR / "quickstart.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(path):
            yield
    except OSError as error:
        raise CannotStart(_unusable(path, error)) from None


def _unusable(path: Path, error: OSError) -> str:
    return _(
        "%(path)s cannot be used: %(why)s. Make room or give the right to write there, then start"
        " again."
    ) % {"path": path, "why": error.strerror}


def refuse_unusable_servers() -> None:
    """Check each configured server before anything is made.

    A silent server does not prevent the start, because the pages say so and recover. Nor does a
    pooler. Only our own tables need a reachable PostgreSQL without a pooler.

    Raises:
        CannotStart: a server is older than PostgreSQL 15, or refuses a setting in its URL, or the
            one for our own tables is away or behind a pooler.
    """
    silent: dict[str, Paragraph] = {}
    for name, conninfo in settings.NAMED_DATABASES.items():
        try:
            _refuse_an_old_server(name, conninfo)
        except psycopg.Error as error:
            problem = diagnose(error, name)
            if problem.code not in _OF_NO_PARAMETER and _answers_without_settings(conninfo):
                raise CannotStart(
                    _(
                        "%(name)s has a parameter that the server refuses: %(why)s. Correct it, or"
                        " leave it out."
                    )
                    % {"name": name, "why": first_line(error)}
                ) from None
            silent[name] = problem.brief
    for name, reason in silent.items():
        if name == "ADMIN_DATABASE_URL":
            raise CannotStart(
                _("Our own tables cannot be made in %(name)s. %(why)s")
                % {"name": name, "why": reason}
            )
    for name, reason in silent.items():
        logger.warning("%s: %s", name, reason)


def _refuse_an_old_server(name: str, conninfo: Conninfo) -> None:
    reads = name == "DATABASE_URL"  # what only reads may go through a pooler
    aimed = to_read(conninfo) if reads else to_write(conninfo)
    # Sent with the connection request, where a pooler refuses them: all our sessions ask for these.
    greeting = {"options": with_settings(aimed.get("options", ""), SESSION)}
    parameters: Conninfo = {"connect_timeout": CONNECT_SECONDS, **aimed, **greeting}
    with psycopg.connect(**parameters, autocommit=True, row_factory=dict_row) as connection:
        version = connection.info.server_version // 10_000
        if version < embedded.OLDEST_MAJOR:
            raise CannotStart(
                _(
                    "%(name)s leads to PostgreSQL %(version)s, but %(oldest)s or newer is needed:"
                    " upgrade that server, or name another one."
                )
                % {"name": name, "version": version, "oldest": embedded.OLDEST_MAJOR}
            )
        if not reads and not _is_direct(connection):
            raise NotDirect(name)


def _is_direct(connection: Connection) -> bool:
    """Whether PostgreSQL itself answers.

    Raises:
        Silent: nothing answers in time.
    """
    began = monotonic()
    try:
        with cut_after(CONNECT_SECONDS, connection):
            return is_held(connection, {})
    except psycopg.OperationalError as error:
        if monotonic() - began < CONNECT_SECONDS:
            raise
        raise Silent(CONNECT_SECONDS) from error


def _answers_without_settings(conninfo: Conninfo) -> bool:
    """Whether only a URL's settings prevent a connection, as libpq hides the SQLSTATE."""
    settled = {"options", "client_encoding"} & conninfo.keys()
    if not settled:
        return False
    bare = {key: value for key, value in conninfo.items() if key not in settled}
    try:
        psycopg.connect(**{"connect_timeout": CONNECT_SECONDS, **bare}).close()
    except psycopg.Error:
        return False
    return True


def tell_what_is_missing() -> None:
    """Log, one line each, what the dashboard lacks in the database that it is attached to."""
    try:
        gaps = find_gaps(fetch_for_dashboard)
    except DatabaseError:
        return  # the start has already said that it does not answer
    finally:
        alias = connections[MULTICA_ALIAS]
        assert isinstance(alias, DatabaseWrapper)  # noqa: S101  every alias of ours has that engine
        alias.close()
        alias.close_pool()  # the web processes open their own
    for gap in gaps:
        logger.warning("%s", gap)


def make_secret_key() -> None:
    """Make the key in ``var/`` if none is set and none was made before.

    Raises:
        BadSetting: it cannot be made or read.
    """
    str(settings.SECRET_KEY)


def prepare_own_tables() -> None:
    """Migrate the alias ``default``. Our own `migrate` waits for that of another process.

    Raises:
        CannotStart: the database of our own tables does not answer or refuses.
    """
    try:
        call_command("migrate", database="default", interactive=False, verbosity=0)
    except BadSetting as error:
        raise CannotStart(str(error)) from None
    except DATABASE_ERRORS as error:
        raise CannotStart(
            _("Our own tables could not be made. %(why)s") % {"why": _reason(error)}
        ) from None
    finally:
        connections.close_all()


def find_scenario(name: str | None) -> Scenario | None:
    """The scenario to start with, if one is asked for.

    Raises:
        CannotStart: there is none of that name, or the database is not the embedded one.
    """
    if name is None:
        return None
    try:
        scenario = gallery.find(name)
    except gallery.NoScenario as unknown:
        raise CannotStart(str(unknown)) from None
    if not settings.MULTICA_IS_EMBEDDED:
        raise CannotStart(
            _(
                "A scenario needs the embedded database, and DATABASE_URL names another one: start"
                " without DATABASE_URL. Nothing was changed there."
            )
        )
    return scenario


def environment_of(scenario: Scenario) -> dict[str, str]:
    """The environment in which the command starts again, over a cluster of the scenario's own."""
    return {
        "VAR_DIR": str(settings.VAR_DIR / _SCENARIOS / scenario.name),
        "MULTICA_ADMIN_SCENARIO": scenario.name,
        "MULTICA_ADMIN_RETIRER": scenario.retirer or embedded.RETIRER,
        "MULTICA_ADMIN_READS_STANDBY": "on" if scenario.reads_standby else "off",
        "ROLLUP_SCHEDULER": "off",  # it would mend what the scenario shows
    }


def is_apart(scenario: Scenario) -> bool:
    """Whether the settings of this process are the scenario's: only such a cluster is emptied."""
    apart = settings.VAR_DIR.parts[-2:] == (_SCENARIOS, scenario.name)
    return apart and scenario.name == settings.SCENARIO


def prepare_scenario(scenario: Scenario, tell: Tell) -> None:
    """Empty the scenario's cluster, fill it with a demo that has no schedule, arrange its servers.

    Raises:
        CannotStart: the scenario needs pg_cron, or the database refuses.
        ClusterError: a server cannot be made or started.
    """
    if scenario.needs_pg_cron and not embedded.cluster(settings.VAR_DIR).binaries.has_pg_cron:
        raise CannotStart(
            _("The scenario %(name)s needs PostgreSQL with pg_cron, which this machine lacks.")
            % {"name": scenario.name}
        )
    try:
        play.prepare(scenario)
    except psycopg.Error as error:
        raise CannotStart(
            _("The scenario could not be made. %(why)s") % {"why": _reason(error)}
        ) from None
    tell(
        _("Scenario %(name)s: %(sentence)s")
        % {"name": scenario.name, "sentence": scenario.sentence}
    )


def prepare_embedded_multica(tell: Tell, *, with_demo: bool) -> bool:
    """Provision the embedded database, let the dashboard read it, and fill it with the demo.

    Return whether the database holds the demo now, even if from an earlier start.

    Raises:
        CannotStart: somebody else's tables are in the embedded database.
    """
    try:
        with runner_connection("multica-admin provision") as connection:
            with connection.transaction():  # so that two concurrent starts wait for each other
                provision(connection)
                let_read(connection)
            if with_demo and fill(connection):
                tell(_("The embedded database now holds a made-up week of demo data."))
            return is_demo(connection)
    except ProvisionRefused as refusal:
        raise CannotStart(str(refusal)) from None
    except psycopg.Error as error:
        said = _("The embedded database could not be filled. %(why)s") % {"why": _reason(error)}
        raise CannotStart(said) from None


def _reason(error: BaseException) -> str:
    """Why a database failed. For the embedded one, check the disk before its message."""
    lacking = embedded.cluster(settings.VAR_DIR).out_of_room() if settings.EMBEDDED else ""
    return lacking or diagnose(error).sentence()


def make_first_user(tell: Tell, given: str) -> None:
    """Create the first administrator. The generated password is printed once and stored nowhere.

    Raises:
        CannotStart: the database of our own tables does not answer or refuses.
    """
    password = given or secrets.token_urlsafe(12)
    try:
        with a_turn_of_our_own():
            if User.objects.exists():
                return
            User.objects.create_superuser(FIRST_USER, password=password)
    except DATABASE_ERRORS as error:
        said = _("The first user could not be made. %(why)s") % {"why": _reason(error)}
        raise CannotStart(said) from None
    tell(_("User name: %(name)s") % {"name": FIRST_USER})
    if not settings.WAYS.password:
        tell(
            _("Signing in by a password is off. “manage.py signincode %(name)s” lets you in.")
            % {"name": FIRST_USER}
        )
        return
    if given:
        tell(_("Password: as MULTICA_ADMIN_PASSWORD sets it"))
    else:
        tell(_("Password: %(password)s") % {"password": password})


def collect_static_files() -> None:
    """Hash and compress what the browser loads into ``var/static``.

    Raises:
        CannotStart: ``var/`` cannot be written.
    """
    try:
        static_files.collect()
    except OSError as error:
        raise CannotStart(_unusable(settings.STATIC_ROOT, error)) from None
