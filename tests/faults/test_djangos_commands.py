"""Django's own commands when the database of our own tables fails: a sentence, status 2."""

from __future__ import annotations

import pytest

from tests import environment
from tests.people import PASSWORD
from tests.sizes import few
from tests.starting import empty, refusal, start, var, waiting_for_locks
from tests.waiting import until

__all__ = ["empty", "start", "var"]

COMMANDS = (
    ("changepassword", "admin"),
    ("createsuperuser", "--noinput", "--username", "ada", "--email", "a@b.c"),
    ("migrate",),
    ("showmigrations",),
)


def run(start, command, database, user="multica_admin"):
    return start(
        "manage.py", *command,
        DATABASE_URL=environment.url("multica_view"),
        ADMIN_DATABASE_URL=environment.url(user, database),
        DJANGO_SUPERUSER_PASSWORD=PASSWORD,
    )  # fmt: skip


@pytest.mark.parametrize("command", few(COMMANDS, 2), ids=lambda command: command[0])
def test_a_database_that_is_away_is_a_sentence(cluster, start, command):
    line = refusal(run(start, command, "nowhere"))
    assert 'database "nowhere" does not exist' in line
    assert "Correct the name of the database in ADMIN_DATABASE_URL." in line


@pytest.mark.parametrize("command", few(COMMANDS, 2), ids=lambda command: command[0])
def test_a_role_that_is_refused_is_a_sentence(empty, start, command):
    assert 'role "nobody_at_all" does not exist' in refusal(
        run(start, command, empty, "nobody_at_all")
    )


@pytest.mark.parametrize("command", COMMANDS[:2], ids=lambda command: command[0])
def test_missing_tables_of_our_own_are_a_sentence_that_says_how_to_make_them(empty, start, command):
    process = run(start, command, empty)
    assert process.end() == 2
    (line,) = process.errors
    assert 'relation "auth_user" does not exist' in line
    assert "manage.py migrate" in line
    assert "Multica's" not in line


def test_a_role_that_may_not_read_our_own_tables_is_a_sentence(empty, start, connect):
    assert run(start, ("migrate", "--verbosity", "0"), empty).end() == 0
    connect("multica_admin", database=empty).execute(
        "GRANT USAGE ON SCHEMA multica_admin TO multica_view"
    )
    process = run(start, COMMANDS[0], empty, "multica_view")
    assert process.end() == 2
    (line,) = process.errors
    assert "permission denied" in line
    assert "Name in ADMIN_DATABASE_URL the role that owns" in line


def test_two_migrations_at_once_make_the_tables_once(empty, start, connect):
    administrator, watching = connect("postgres", database=empty), connect("postgres")
    with administrator.transaction(force_rollback=True):
        # A process that has found out what to do gets no further.
        administrator.execute("CREATE SCHEMA multica_admin")
        both = [run(start, ("migrate", "--verbosity", "0"), empty) for _each in range(2)]
        until(lambda: len(waiting_for_locks(watching, empty)) == 2)
    assert [(process.end(), process.seen) for process in both] == [(0, []), (0, [])]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("provision",), 'database "nowhere" does not exist'),
        (("shell", "-c", "from django.core.management import *; raise CommandError('No.')"), "No."),
    ],
    ids=["provision", "shell"],
)
def test_every_command_begins_its_refusal_alike(empty, start, command, said):
    process = start(
        "manage.py", *command,
        DATABASE_URL=environment.url("multica_view"),
        ADMIN_DATABASE_URL=environment.url("multica_admin", empty),
        RUNNER_DATABASE_URL=environment.url("multica", "nowhere"),
    )  # fmt: skip
    assert process.end() == 1
    (line,) = process.errors
    assert line.startswith("multica-admin: ")
    assert said in line


def test_ctrl_c_is_a_sentence(empty, start):
    process = run(start, ("shell", "-c", "raise KeyboardInterrupt"), empty)
    assert process.end() == 130
    assert process.errors == ["multica-admin: Stopped."]


def test_a_mistake_of_ours_keeps_its_traceback(empty, start):
    process = run(start, ("shell", "-c", "1 / 0"), empty)
    assert process.end() == 1
    assert process.errors[0].startswith("Traceback")
