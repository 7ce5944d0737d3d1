"""``manage.py signincode``: a code for one sign-in, when no other way works."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import Error as DatabaseError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from executions.accounts.ways.once import MADE_CODE, make_once_code
from executions.database.problems import own_tables_sentence
from executions.models.retirement import AuditEvent
from executions.retirement import audit
from multica_admin.embedded import ensure_running

NOT_MADE = 2


class Command(BaseCommand):
    help = gettext_noop(
        "Make a code for one sign-in, for when an identity provider or the mail is down and"
        " passwords are switched off. It is good for ten minutes, and the audit has a line of it."
        " Exit status: 0 made, 2 not."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help=_("the user name of the account"))

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.WAYS.password:
            raise CommandError(
                _(
                    "Signing in by a password is on, so no code is needed: set a password with"
                    " “manage.py changepassword %(name)s”."
                )
                % {"name": options["name"]},
                returncode=NOT_MADE,
            )
        ensure_running()
        try:
            code = self._make(options["name"])
        except DatabaseError as error:
            raise CommandError(own_tables_sentence(error), returncode=NOT_MADE) from None
        self.stdout.write(
            _(
                "Open %(page)s of the dashboard within ten minutes, and give this code there. It"
                " is good for one sign-in:"
            )
            % {"page": f"{settings.PUBLIC_URL}/login/once/"}
        )
        self.stdout.write(code)

    def _make(self, name: str) -> str:
        user = User.objects.filter(username=name, is_active=True).first()
        if user is None:
            raise CommandError(
                _(
                    "There is no active account “%(name)s”. “manage.py createsuperuser --noinput"
                    " --username NAME --email ADDRESS” makes one for an administrator."
                )
                % {"name": name},
                returncode=NOT_MADE,
            )
        audit.record(audit.Who.of_command(), MADE_CODE, AuditEvent.Outcome.DONE, name)
        return make_once_code(user)
