"""Database URLs: Multica's own are understood, bad ones refused without their password."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from multica_admin.databases import (
    admin_alias,
    parse_database_url,
    reader_alias,
    settings_in,
    with_setting,
    with_settings,
)
from multica_admin.env import BadSetting


def test_a_plain_url_becomes_libpqs_parameters():
    url = "postgres://u:p%40@db:6543/multica?sslmode=require"
    assert parse_database_url("DATABASE_URL", url) == {
        "user": "u",
        "password": "p@",
        "host": "db",
        "port": "6543",
        "dbname": "multica",
        "sslmode": "require",
    }


def test_a_key_value_string_is_understood_too():
    parsed = parse_database_url("DATABASE_URL", "host=/run/postgresql dbname=multica user=me")
    assert parsed == {"host": "/run/postgresql", "dbname": "multica", "user": "me"}


def test_a_url_with_its_socket_in_a_parameter_is_understood():
    parsed = parse_database_url("DATABASE_URL", "postgresql:///multica?host=/tmp/s&user=me")
    assert parsed == {"host": "/tmp/s", "dbname": "multica", "user": "me"}


def test_parameters_of_the_go_drivers_pool_are_left_out():
    url = "postgres://u@db/multica?pool_max_conns=10&pool_max_conn_idle_time=5m&sslmode=disable"
    assert parse_database_url("DATABASE_URL", url)["sslmode"] == "disable"
    assert "pool_max_conns" not in parse_database_url("DATABASE_URL", url)


def test_server_settings_in_the_url_reach_the_server_as_options():
    url = "postgres://u@db/multica?search_path=app&statement_timeout=30s"
    options = parse_database_url("DATABASE_URL", url)["options"]
    assert options == "-c search_path=app -c statement_timeout=30s"


def test_an_unknown_parameter_is_refused_by_name():
    with pytest.raises(BadSetting, match="DATABASE_URL has the parameter 'sslmod'"):
        parse_database_url("DATABASE_URL", "postgres://u@db/multica?sslmod=require")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sslmode", "bogus"),
        ("sslmode", ""),
        ("channel_binding", "foo"),
        ("gssencmode", "x"),
        ("target_session_attrs", "zz"),
        ("load_balance_hosts", "maybe"),
        ("ssl_min_protocol_version", "TLSv9"),
        ("connect_timeout", "abc"),
        ("keepalives_idle", "1m"),
        ("hostaddr", "notanip"),
        ("hostaddr", "10.0.0.1,notanip"),
    ],
)
def test_a_value_that_libpq_does_not_take_is_refused_by_its_parameter(key, value):
    with pytest.raises(BadSetting, match=f"^DATABASE_URL has a value for {key} that") as refusal:
        parse_database_url("DATABASE_URL", f"postgres://u@db/multica?{key}={value}")
    assert not value or f" {value} " not in str(refusal.value)


@pytest.mark.parametrize(
    "parameters",
    [
        "sslmode=verify-full&sslrootcert=/nonexistent/ca.pem&channel_binding=require",
        "gssencmode=require&krbsrvname=postgres",
        "target_session_attrs=read-write&connect_timeout=10&keepalives_idle=30",
        "hostaddr=10.0.0.1,fd00::1&application_name=it%27s&passfile=/nonexistent",
        "service=nowhere",
    ],
)
def test_a_value_that_libpq_takes_passes_whatever_the_server_will_say(parameters):
    assert parse_database_url("DATABASE_URL", f"postgres://u@db,db2/multica?{parameters}")


@pytest.mark.parametrize(
    "value",
    [
        "nonsense",
        "postgres://",
        "mysql://u@db/multica",
        "postgres://u:secret@[::1/multica",
        "postgres://u:secret@db:notaport/multica",
        "postgres://u:secret@db:99999/multica",
        "postgres://u:secret/x@db:5432/multica",
        "postgres://u:S3?secret@db/multica",
        "postgres://u:S3c@secret@db/multica",
        "postgres://u:p@db:" + "9" * 5000 + "/multica",
        "postgres://u:secret@db",
        "postgres://u:secret@db/",
        "host=db dbname='open",
    ],
)
def test_a_malformed_url_is_refused_without_its_password(value):
    with pytest.raises(BadSetting) as refusal:
        parse_database_url("DATABASE_URL", value)
    assert str(refusal.value).startswith("DATABASE_URL ")
    assert "secret" not in str(refusal.value)


@given(st.text(max_size=80))
def test_no_text_at_all_does_worse_than_a_refusal(value):
    with contextlib.suppress(BadSetting):
        assert parse_database_url("DATABASE_URL", value)["dbname"]


def test_a_setting_with_a_space_is_escaped():
    assert with_setting("", "search_path", "a b\\") == r"-c search_path=a\ b\\"


@given(st.dictionaries(st.from_regex(r"[a-z_]+", fullmatch=True), st.text(max_size=20)))
def test_the_settings_in_options_are_those_that_were_put_there(settings):
    assert settings_in(with_settings("", settings)) == settings


def test_settings_in_options_are_read_as_postgresql_reads_them():
    options = r"-c a=1 -cb-c=2  --Some-Name=x\ y=z -F -c a=3 --nothing -c"
    assert settings_in(options) == {"a": "3", "b_c": "2", "some_name": "x y=z"}


def test_the_reader_is_held_read_only_whatever_the_url_says():
    url = "postgres://u@db/multica?statement_timeout=0&options=-c%20default_transaction_read_only%3Doff"
    options = reader_alias(parse_database_url("DATABASE_URL", url))["OPTIONS"]["options"]
    assert options.rindex("default_transaction_read_only=on") > options.rindex("only=off")
    assert options.rindex("statement_timeout=5000") > options.rindex("statement_timeout=0")


def test_our_own_tables_have_nothing_but_their_schema_on_the_path():
    options = admin_alias({"dbname": "x", "options": "-c search_path=public"})["OPTIONS"]["options"]
    assert options.rindex("search_path=multica_admin") > options.rindex("search_path=public")


@pytest.mark.parametrize("alias", [admin_alias, reader_alias])
def test_the_urls_own_encoding_and_styles_do_not_matter(alias):
    url = "postgres://u@db/multica?client_encoding=LATIN1&datestyle=German&intervalstyle=iso_8601"
    options = alias(parse_database_url("DATABASE_URL", url))["OPTIONS"]
    assert options["client_encoding"] == "UTF8"
    for setting in ("client_encoding=UTF8", "datestyle=ISO", "intervalstyle=postgres"):
        name = setting.split("=")[0]
        assert options["options"].rindex(f"-c {name}=") == options["options"].rindex(setting) - 3
