"""The probes for machines answer anyone, in health and in trouble."""

from __future__ import annotations

import pytest
from django.db import connection, connections
from django.urls import reverse

from executions.database import second_tries

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def multica_leads(monkeypatch):
    """Have the alias ``multica`` lead elsewhere, by a pool of one that soon gives up."""
    connections["multica"].close()  # a test before this one may have left it open
    connections["multica"].close_pool()
    before = connections["multica"].settings_dict

    def lead(**elsewhere):
        pool = {"min_size": 1, "max_size": 1, "timeout": 0.2}
        options = before["OPTIONS"] | {"pool": pool}
        monkeypatch.setattr(
            connections["multica"], "settings_dict", before | {"OPTIONS": options} | elsewhere
        )

    yield lead
    connections["multica"].close()
    connections["multica"].close_pool()


@pytest.fixture
def multica_away(multica_leads, tmp_path):
    """The alias ``multica`` leads to a socket that nobody listens on."""
    multica_leads(HOST=str(tmp_path))


def test_health_is_told_to_anyone_in_the_agreed_form(client, owner):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "checks": {"db": "ok", "migrations": "ok"}}


@pytest.mark.parametrize("path", ["/healthz", "/healthz/"])
def test_health_is_told_in_the_compact_form_of_multicas_own(client, owner, path):
    answer = client.get(path, headers={"Host": "10.1.2.3"})
    assert answer.status_code == 200
    assert answer.content == b'{"status":"ok","checks":{"db":"ok","migrations":"ok"}}'
    assert client.head(path).status_code == 200


@pytest.mark.parametrize("path", ["/livez/", "/readyz/"])
def test_every_probe_answers_with_a_slash_as_well(client, owner, path):
    answer = client.get(path, headers={"Host": "10.1.2.3"})
    assert (answer.status_code, answer.content) == (200, b'{"status":"ok"}')


def test_a_database_that_is_away_makes_it_unavailable_but_neither_dead_nor_unready(
    client, multica_away
):
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unavailable",
        "checks": {"db": "unreachable", "migrations": "ok"},
    }
    assert client.get("/livez").status_code == 200
    assert client.get("/readyz").status_code == 200


def test_a_migration_that_has_not_run_is_named(client, owner):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE django_migrations SET name = 'not yet' || name WHERE app = 'executions'"
        )
    try:
        assert client.get("/readyz").status_code == 503
        assert client.get("/healthz").json()["checks"]["migrations"] == "pending"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE django_migrations SET name = replace(name, 'not yet', '')")


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
def test_a_probe_only_answers_a_question(client, path):
    assert client.post(path).status_code == 405


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
@pytest.mark.parametrize("host", ["10.42.0.17:8000", "[fd00::17]:8000", "under_score", ""])
def test_a_probe_may_ask_under_any_name(client, owner, path, host):
    answer = client.get(path, headers={"Host": host})
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_nothing_else_is_answered_under_any_name(client):
    assert client.get("/login/", headers={"Host": "10.42.0.17:8000"}).status_code == 400


@pytest.mark.parametrize(
    ("elsewhere", "reason", "step"),
    [
        (
            {"NAME": "nowhere"},
            "database &quot;nowhere&quot; does not exist",
            "Correct the name of the database in DATABASE_URL.",
        ),
        (
            {"USER": "nobody_here"},
            "role &quot;nobody_here&quot; does not exist",
            "Correct the role and the password in DATABASE_URL.",
        ),
    ],
)
def test_a_wrong_name_in_the_url_is_told_by_its_reason(
    admin_client, cluster, multica_leads, monkeypatch, elsewhere, reason, step
):
    tries = []
    plainly = second_tries.psycopg.connect
    monkeypatch.setattr(
        second_tries.psycopg, "connect", lambda **options: tries.append(1) or plainly(**options)
    )
    multica_leads(**elsewhere)
    admin_client.raise_request_exception = False
    for _again in range(2):
        page = admin_client.get(reverse("plans")).content.decode()
        assert reason in page
        assert step in page
        assert "PostgreSQL runs" not in page
    assert len(tries) == 1


def test_a_pool_that_is_only_busy_is_told_as_that(admin_client, owner, multica_leads):
    multica_leads()
    connections["multica"].ensure_connection()
    held = connections["multica"].connection
    connections["multica"].connection = None
    admin_client.raise_request_exception = False
    try:
        page = admin_client.get(reverse("plans")).content.decode()
    finally:
        connections["multica"].pool.putconn(held)
    assert "No connection to the database could be opened in time." in page


def test_a_database_that_is_away_is_one_clear_page(admin_client, multica_away, caplog):
    answer = admin_client.get("/")
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "We cannot tell whether usage is up to date." in page
    assert "failed: No such file or directory" in page
    assert "Traceback" not in page
    assert not any(record.exc_info for record in caplog.records)


@pytest.fixture
def no_tables_of_our_own(client):
    """Nothing of ours can be read: the schema with the sessions is away."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA multica_admin RENAME TO elsewhere")
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER SCHEMA elsewhere RENAME TO multica_admin")


COOKIES = {
    "a session": "multica_admin_session=0123456789abcdef0123456789abcdef",
    "no session's key": "multica_admin_session=x; time_zone=local; time_zone_name=Asia/Tokyo",
    "anything": "multica_admin_session=\x7f\x00; multica_admin_csrf=%; messages=%%%",
}


def _lasting(answer):
    """The headers without the time of the answer."""
    return {name: value for name, value in answer.headers.items() if name != "Expires"}


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
@pytest.mark.parametrize("cookies", COOKIES)
@pytest.mark.parametrize("htmx", [{}, {"HX-Request": "true"}], ids=["plain", "htmx"])
def test_a_probe_answers_with_any_cookie_as_without(
    client, no_tables_of_our_own, path, cookies, htmx
):
    client.raise_request_exception = False
    without = client.get(path)
    answer = client.get(path, headers={"Cookie": COOKIES[cookies], **htmx})
    assert (answer.status_code, answer.content) == (without.status_code, without.content)
    assert _lasting(answer) == _lasting(without)
    assert not answer.cookies
    assert client.get("/livez").status_code == 200
