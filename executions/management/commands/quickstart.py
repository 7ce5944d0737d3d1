"""From settings to a served dashboard: `bin/run` ends here."""

import os
import sys
from socket import socket
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions import quickstart
from executions.demo import gallery
from executions.demo.scenario import Scenario
from multica_admin import embedded
from multica_admin.cluster import ClusterError
from multica_admin.env import BadSetting, Environment
from multica_admin.listening import UNIX, CannotListen, listen, refuse_a_taken_address
from multica_admin.public_url import EVERY_ADDRESS


class Command(BaseCommand):
    help = gettext_noop("Prepare everything that is missing, then serve the dashboard.")
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host", help=_("address or unix:/path to listen on (HOST, else 127.0.0.1)")
        )
        parser.add_argument("--port", help=_("port to listen on (PORT, else 8000)"))
        demo = parser.add_mutually_exclusive_group()
        demo.add_argument("--no-demo", action="store_true", help=_("no demo data when embedded"))
        demo.add_argument(
            "--demo", action="store_true", help=_("serve the demo despite REQUIRE_DATABASE_URL")
        )
        parser.add_argument(
            "--scenario",
            metavar="NAME",
            help=_("show the demo in that state, in a cluster of its own; list names them all"),
        )
        parser.add_argument(
            "--check", action="store_true", help=_("only look whether it can start; make nothing")
        )

    def handle(self, *args: Any, **options: Any) -> None:
        quickstart.be_stopped_by_signals()
        try:
            if options["scenario"] == "list":
                if not options["check"]:
                    self._say(gallery.listed())
                return
            scenario = quickstart.find_scenario(options["scenario"])
            _require_a_database(demo=options["demo"] or scenario is not None)
            host, port = self._address(options)
            refuse_a_taken_address(host, port)
            quickstart.refuse_unusable_servers()
            if options["check"]:
                return
            if scenario is not None and not quickstart.is_apart(scenario):
                _start_again(quickstart.environment_of(scenario))
            with quickstart.one_at_a_time():
                listener, holds_demo = self._prepare(
                    host, port, with_demo=not options["no_demo"], scenario=scenario
                )
            self._become_gunicorn(host, listener, holds_demo=holds_demo, scenario=scenario)
        except (BadSetting, CannotListen, ClusterError, quickstart.CannotStart) as error:
            raise CommandError(str(error), returncode=2) from None
        except quickstart.Stopped as stopped:
            raise CommandError(
                _("Stopped before it had started."), returncode=stopped.exit_status
            ) from None

    def _address(self, options: dict[str, Any]) -> tuple[str, int]:
        variables = dict(os.environ)
        for name in ("host", "port"):
            if options[name] is not None:
                variables[name.upper()] = str(options[name])
        environment = Environment(variables)
        return (
            environment.text("HOST", "127.0.0.1").removeprefix("[").removesuffix("]"),
            environment.integer("PORT", 8000, minimum=1, maximum=65535),
        )

    def _prepare(
        self, host: str, port: int, *, with_demo: bool, scenario: Scenario | None
    ) -> tuple[socket, bool]:
        """Create what is missing. Return gunicorn's socket, and whether pages show the demo."""
        holds_demo = False
        quickstart.make_secret_key()
        if settings.EMBEDDED:
            self._say(embedded.describe(embedded.cluster(settings.VAR_DIR)))
            embedded.ensure_running()
        # Fill var/ first: if it lacks room, no other database has been changed yet.
        quickstart.collect_static_files()
        quickstart.prepare_own_tables()
        if scenario is not None:
            quickstart.prepare_scenario(scenario, self._say)
            holds_demo = True
        elif settings.MULTICA_IS_EMBEDDED:
            holds_demo = quickstart.prepare_embedded_multica(self._say, with_demo=with_demo)
        else:
            quickstart.tell_what_is_missing()
        # From now on, so that the printed address is certainly ours.
        listener = listen(host, port)
        for note in settings.WAYS.notes:
            self._say(note)
        self._say(f"Multica Admin: {_address_to_open(_shown(host), port)}")
        quickstart.make_first_user(self._say, settings.FIRST_PASSWORD)
        return listener, holds_demo

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _become_gunicorn(
        self, host: str, listener: socket, *, holds_demo: bool, scenario: Scenario | None
    ) -> NoReturn:
        listener.set_inheritable(True)
        environment = os.environ | {
            "MULTICA_ADMIN_EMBEDDED_USER": embedded.hand_down(),
            "MULTICA_ADMIN_HOLDS_DEMO": "on" if holds_demo else "off",
            "MULTICA_ADMIN_SCENARIO": scenario.name if scenario else "",
            "HOST": host,  # the dashboard answers to this name, wherever it came from
        }
        arguments = [
            sys.executable, "-m", "gunicorn", "--config", "python:multica_admin.gunicorn",
            "--chdir", str(settings.BASE_DIR), "--bind", f"fd://{listener.fileno()}",
            "multica_admin.wsgi:application",
        ]  # fmt: skip
        quickstart.hold_signals_back()
        os.execve(sys.executable, arguments, environment)  # noqa: S606  no shell is involved


def _require_a_database(*, demo: bool) -> None:
    """Refuse to show made-up data to somebody who did not ask for it, and the other way round."""
    if demo and not settings.MULTICA_IS_EMBEDDED:
        raise quickstart.CannotStart(
            _(
                "DATABASE_URL is set, so there is no demo to show: leave out --demo, or"
                " DATABASE_URL."
            )
        )
    if settings.REQUIRE_DATABASE_URL and settings.MULTICA_IS_EMBEDDED and not demo:
        raise quickstart.CannotStart(
            _(
                "DATABASE_URL is not set, so there is no Multica to watch: set it to the URL of"
                " Multica's database, or add --demo to see made-up data."
            )
        )


def _start_again(environment: dict[str, str]) -> NoReturn:
    """Run this command once more, because the settings of this process are those of the demo."""
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | environment)  # noqa: S606


def _address_to_open(host: str, port: int) -> str:
    if settings.PUBLIC_URL:
        return settings.PUBLIC_URL
    if host.startswith(UNIX):
        return _("on %(path)s, for a proxy; set PUBLIC_URL to the address it serves") % {
            "path": host.removeprefix(UNIX)
        }
    if host not in EVERY_ADDRESS:
        return f"http://{host}:{port}"
    return _(
        "http://localhost:%(port)s on this machine only; to open it from others, set PUBLIC_URL"
        " to the address that they use"
    ) % {"port": port}


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host and not host.startswith(UNIX) else host
