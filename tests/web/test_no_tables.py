"""If DATABASE_URL names a database without Multica's tables, each page and command says so."""

from __future__ import annotations

import html
import json
import re

import pytest
from django.core.management import call_command
from django.db import connections
from django.urls import reverse

from executions.database.checks import find_gaps
from executions.database.problems import NoTables, diagnose
from executions.database.reading import fetch_on
from multica_admin.databases import reader_alias
from tests import environment
from tests.commands import run_command
from tests.processes import free_port
from tests.starting import QUICKSTART, after_a_first_start, start, static_files_made, var

__all__ = ["after_a_first_start", "start", "static_files_made", "var"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

TOLD = (
    "The database other_program holds none of Multica's tables; DATABASE_URL probably names the"
    " wrong one."
)
HISTORY = ("plans", "runners", "errors", "jobs")


@pytest.fixture
def other_program(cluster, connect):
    """A database of something else, which also has a table ``issue``."""
    administrator = connect("postgres", database="postgres")
    administrator.execute("DROP DATABASE IF EXISTS other_program WITH (FORCE)")
    administrator.execute("CREATE DATABASE other_program OWNER multica")
    connection = connect("multica", database="other_program")
    connection.execute("CREATE TABLE issue (id int)")
    yield connection
    connection.close()
    administrator.execute("DROP DATABASE other_program WITH (FORCE)")


@pytest.fixture
def attached(other_program, cluster, monkeypatch):
    connections["multica"].close_pool()
    before = connections["multica"].settings_dict
    settings_dict = connections.configure_settings(
        {
            "default": connections["default"].settings_dict,
            "multica": reader_alias(cluster.conninfo("other_program", "multica_view")),
        }
    )["multica"]
    monkeypatch.setattr(connections["multica"], "settings_dict", before | settings_dict)
    yield
    connections["multica"].close()
    connections["multica"].close_pool()


def text_of(answer):
    return html.unescape(re.sub(r"<[^>]+>", "", answer.content.decode()))


def test_the_overview_says_it_once(attached, viewer):
    answer = viewer.get("/")
    assert answer.status_code == 200
    assert text_of(answer).count("holds none of Multica's tables") == 1
    assert TOLD in text_of(answer)


@pytest.mark.parametrize("name", HISTORY)
def test_every_page_of_the_history_says_it_once(attached, viewer, name):
    viewer.raise_request_exception = False
    answer = viewer.get(reverse(name))
    assert answer.status_code == 503
    assert text_of(answer).count(TOLD) == 1
    assert "A table of Multica's is missing" not in text_of(answer)


def test_checkrollup_says_it_once(attached, capsys):
    for arguments in ([], ["--json"]):
        with pytest.raises(SystemExit) as ended:
            call_command("checkrollup", *arguments)
        assert ended.value.code == 3
        said = capsys.readouterr().out
        if arguments:
            said = json.loads(said)["summary"]
        assert said.count(TOLD) == 1


@pytest.mark.usefixtures("static_files_made")
def test_the_start_says_it_in_one_line(other_program, start):
    process = start(
        *QUICKSTART, str(free_port()), DATABASE_URL=environment.url("multica_view", "other_program")
    )
    process.wait_for("Listening at")
    process.stop()
    lines = [line for line in process.seen if "Multica's tables" in line or "no table" in line]
    assert len(lines) == 1, lines
    assert TOLD in lines[0]


def test_one_table_of_multicas_makes_it_multicas(other_program, connect):
    assert find_gaps(fetch_on(connect("multica_view", database="other_program"))) == [
        diagnose(NoTables("other_program")).brief
    ]
    other_program.execute("CREATE SCHEMA hidden CREATE TABLE task_usage (id int)")
    gaps = find_gaps(fetch_on(connect("multica_view", database="other_program")))
    assert len(gaps) > 1
    assert not any("holds none" in str(gap) for gap in gaps)


def test_the_diagnosis_calls_it_the_wrong_database(attached, viewer):
    done = run_command("diagnose", "--json")
    said = json.loads(done.said)
    assert (done.status, said["cause"]) == (1, "wrong_database")
    assert said["summary"].startswith(TOLD)
    assert [one["answer"] for one in said["questions"]] == ["no"]
    assert TOLD in text_of(viewer.get("/rollup/zero/"))


def test_the_diagnosis_finds_the_tables_in_another_schema(attached, other_program, viewer):
    other_program.execute("CREATE SCHEMA app")
    other_program.execute("CREATE TABLE app.task_usage (id int)")
    done = run_command("diagnose", "--json")
    said = json.loads(done.said)
    assert (done.status, said["cause"]) == (1, "other_schema")
    assert "app" in said["summary"]
