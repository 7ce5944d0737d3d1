"""`manage.py checkupgrade`, and the page Before an upgrade with the same answer."""

import json
import re

import pytest

from executions.health.upgrade import read
from executions.health.upgrade.facts import Extension, PostgresServer
from executions.health.upgrade.requirements import EXTENSIONS
from executions.management import looking
from executions.rollup.versions import Range, Version
from multica_admin.cluster import ClusterError
from tests import scenarios
from tests.commands import run_command
from tests.multica_versions import Point, build
from tests.time_limits import cut_off
from tests.web.test_attached import attached

__all__ = ["attached"]

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ADDRESS = "/rollup/upgrade/"
LIVE = {"HX-Request": "true"}


@pytest.fixture
def current_server(monkeypatch):
    """The tests' own PostgreSQL is older than Multica requires: let it be a newer one."""
    server = PostgresServer("17.6", 17, dict.fromkeys(EXTENSIONS, Extension.INSTALLED))
    monkeypatch.setattr(read, "_server", lambda _fetch: server)


@pytest.fixture
def before_103(monkeypatch):
    monkeypatch.setattr(read, "range_of", lambda _marks: Range(None, Version(0, 3, 5)))


def text(answer):
    """What a reader sees, in one line."""
    said = re.sub(r"<[^>]+>", "", answer.content.decode())
    return re.sub(r"\s+", " ", said).replace("&#x27;", "'").strip()


def look(client, query="", **headers):
    answer = client.get(ADDRESS + query, headers=headers)
    assert answer.status_code == 200
    return text(answer)


# --- The command ---------------------------------------------------------------------------------


def test_a_healthy_install_is_safe(owner, current_server):
    scenarios.healthy(owner)
    told = run_command("checkupgrade")
    assert told.status == 0
    assert told.said.startswith(
        "Safe: the upgrade to v0.4.31 can begin as soon as there is a backup."
    )
    assert "pg_dump --username multica --format custom" in told.said
    assert "What no database tells:" in told.said


def test_an_older_server_is_not_yet(owner):
    scenarios.healthy(owner)
    told = run_command("checkupgrade", "--to", "0.4.25")
    assert told.status == 1
    assert told.said.startswith("Not yet, because this server is PostgreSQL 15")


def test_a_cluster_that_does_not_run_is_unknown(monkeypatch):
    def gone():
        raise ClusterError("The private PostgreSQL does not run.")

    monkeypatch.setattr(looking, "ensure_running", gone)
    told = run_command("checkupgrade", "--json")
    assert told.status == 3
    assert json.loads(told.said)["answer"] == "unknown"


@pytest.mark.parametrize("to", ["latest", "0.4", "", "v0.4.25; rm"])
def test_nonsense_is_refused_with_a_sentence_that_names_versions(to, monkeypatch):
    monkeypatch.setattr(looking, "ensure_running", None)  # no database is asked for it
    told = run_command("checkupgrade", "--to", to)
    assert told.status == 2
    assert told.said == ""
    assert f"“{to}” is no version of Multica" in told.refused
    assert "v0.3.17" in told.refused


@pytest.mark.parametrize("to", ["v0.4.25", "0.4.25"])
def test_a_version_may_be_written_without_its_v(owner, to):
    scenarios.healthy(owner)
    assert json.loads(run_command("checkupgrade", "--to", to, "--json").said)["target"] == "v0.4.25"


def test_a_version_from_the_future_is_accepted_and_the_limit_said(owner, current_server):
    scenarios.healthy(owner)
    told = run_command("checkupgrade", "--to", "v9.0.0")
    assert told.status == 0
    assert "knows what Multica changed up to v0.4.31" in told.said


def test_json_says_what_the_lines_say(owner, current_server, before_103):
    scenarios.healthy(owner)
    shown = json.loads(run_command("checkupgrade", "--json").said)
    lines = run_command("checkupgrade").said
    assert shown["summary"] in lines
    assert shown["tables"] == {
        "since": None, "before": "v0.3.5", "stopped_at_103": False, "lacking": [],
    }  # fmt: skip
    assert len(shown["changes"]) == 9
    for step in shown["steps"]:
        # Ages apart, every step is told the same in both.
        assert f"{step['code']}: " in lines


# --- The page ------------------------------------------------------------------------------------


def test_the_page_says_the_answer_first(viewer, owner, current_server):
    scenarios.healthy(owner)
    said = look(viewer)
    assert said.index("Safe: the upgrade to v0.4.31") < said.index("Step by step")
    assert "What no database tells" in said
    assert "To do" in said


def test_the_version_is_in_the_address(viewer, owner, current_server, before_103):
    scenarios.healthy(owner)
    said = look(viewer, "?to=0.3.12")
    assert "v0.3.17" not in said.split("What lies between")[1].split("What no database")[0]
    assert 'value="v0.3.12"' in viewer.get(f"{ADDRESS}?to=0.3.12").content.decode()


def test_an_address_with_another_version_is_refused_by_its_name(viewer, owner):
    answer = viewer.get(f"{ADDRESS}?to=latest")
    assert answer.status_code == 400
    assert "“latest” is no version of Multica" in text(answer)


def test_an_address_with_another_filter_is_refused(viewer, owner):
    assert viewer.get(f"{ADDRESS}?from=v0.4.1").status_code == 400


def test_what_stands_in_the_way_is_a_sentence_with_its_remedy(viewer, owner):
    scenarios.healthy(owner)
    said = look(viewer)
    assert "Not yet, because this server is PostgreSQL 15" in said
    assert "Stands in the way" in said


def test_the_live_part_is_answered_without_the_form(viewer, owner):
    scenarios.healthy(owner)
    part = viewer.get(ADDRESS, headers=LIVE).content.decode()
    assert 'id="answer"' in part
    assert "<form" not in part
    version = viewer.get(ADDRESS, headers=LIVE)["X-Data-Version"]
    unchanged = viewer.get(ADDRESS, headers=LIVE | {"X-Data-Version": version})
    assert unchanged.status_code == 204


def test_the_tab_is_one_of_the_rollups(viewer, owner):
    scenarios.healthy(owner)
    assert f'href="{ADDRESS}"' in viewer.get("/rollup/").content.decode()
    opened = viewer.get(ADDRESS).content.decode()
    assert f'href="{ADDRESS}" aria-current="page"' in opened
    assert 'href="/rollup/" aria-current="page"' in opened


def test_a_read_that_takes_too_long_is_said_in_its_step(viewer, owner):
    scenarios.healthy(owner)
    with cut_off("pg_available_extensions") as stopped:
        said = look(viewer)
    assert stopped
    assert "We cannot tell whether the upgrade to v0.4.31 is safe" in said
    assert "This could not be looked at." in said


def test_the_first_success_after_the_upgrade_is_shown(viewer, owner, current_server):
    scenarios.healthy(owner)
    owner.execute("CREATE TABLE schema_migrations (version text, applied_at timestamptz)")
    try:
        owner.execute("GRANT SELECT (applied_at) ON schema_migrations TO multica_view")
        owner.execute("INSERT INTO schema_migrations VALUES ('400', now() - interval '22 minutes')")
        assert re.search(
            r"Upgraded at \d\d:\d\d UTC; first SUCCESS at \d\d:\d\d UTC\.", look(viewer)
        )
    finally:
        owner.execute("DROP TABLE schema_migrations")


def test_at_a_database_from_before_the_hourly_rollup_page_and_command_agree(
    viewer, attached, connect, current_server
):
    attached.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    build(attached, Point.DAILY)
    attached.execute(
        "GRANT USAGE ON SCHEMA public TO multica_view;"
        " GRANT SELECT (task_id, created_at, updated_at) ON task_usage TO multica_view;"
        " GRANT SELECT (id) ON agent TO multica_view"
    )
    told = run_command("checkupgrade")
    assert told.status == 0
    assert "The tables are those of Multica older than v0.3.5." in told.said
    said = look(viewer)
    assert "Safe: the upgrade to v0.4.31" in said
    assert "The tables are those of Multica older than v0.3.5." in said
