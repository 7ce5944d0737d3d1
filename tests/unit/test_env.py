"""The environment reader: typed values, and refusals that name the variable."""

from __future__ import annotations

import pytest

from multica_admin.env import BadSetting, Environment


def test_an_empty_variable_counts_as_unset():
    assert Environment({"NAME": "  "}).text("NAME", "fallback") == "fallback"


@pytest.mark.parametrize(("value", "expected"), [("on", True), ("TRUE", True), ("0", False)])
def test_a_boolean_is_read_in_the_usual_spellings(value, expected):
    assert Environment({"FLAG": value}).boolean("FLAG", not expected) is expected


@pytest.mark.parametrize("value", ["maybe", "2", "onn"])
def test_a_boolean_that_is_none_is_refused_by_name(value):
    with pytest.raises(BadSetting, match=r"^FLAG is .*on or off"):
        Environment({"FLAG": value}).boolean("FLAG", True)


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "٣", "many", "289"])
def test_a_number_out_of_bounds_is_refused_with_the_bounds(value):
    with pytest.raises(BadSetting, match=r"^COUNT .*from 1 to 288"):
        Environment({"COUNT": value}).integer("COUNT", 12, minimum=1, maximum=288)


def test_an_unknown_choice_is_refused_with_the_choices():
    with pytest.raises(BadSetting, match=r"^APP_ENV is 'staging'; .*production / development"):
        Environment({"APP_ENV": "staging"}).choice(
            "APP_ENV", ("production", "development"), "production"
        )


def test_a_secret_can_come_from_a_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("hush\n")
    assert Environment({"TOKEN_FILE": str(path)}).secret("TOKEN") == "hush"


def test_a_secret_given_twice_is_refused(tmp_path):
    path = tmp_path / "secret"
    path.write_text("hush")
    with pytest.raises(BadSetting, match="TOKEN and TOKEN_FILE are both set"):
        Environment({"TOKEN": "a", "TOKEN_FILE": str(path)}).secret("TOKEN")


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe"])
def test_a_secret_file_that_says_nothing_is_refused(tmp_path, content):
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadSetting, match=r"^TOKEN_FILE names "):
        Environment({"TOKEN_FILE": str(path)}).secret("TOKEN")


@pytest.mark.parametrize(
    "value", ["short", "a" * 15, "tokén-that-is-long-enough", "a" * 16 + "\n b"]
)
def test_a_token_that_can_be_guessed_or_breaks_a_header_is_refused_unseen(value):
    with pytest.raises(BadSetting, match=r"^TOKEN must be at least 16 .*openssl") as refused:
        Environment({"TOKEN": value}).token("TOKEN")
    assert value not in str(refused.value)


def test_a_token_may_be_long_come_from_a_file_or_be_unset(tmp_path):
    path = tmp_path / "token"
    path.write_text("b" * 16 + "\n")
    assert Environment({"TOKEN": "a" * 64}).token("TOKEN") == "a" * 64
    assert Environment({"TOKEN_FILE": str(path)}).token("TOKEN") == "b" * 16
    assert Environment({}).token("TOKEN") == ""


@pytest.mark.parametrize(
    ("value", "expected"), [("", 120), ("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600)]
)
def test_a_span_is_read_with_its_unit(value, expected):
    found = Environment({"AFTER": value}).span("AFTER", 120, minimum=1, maximum=3600)
    assert found == expected


@pytest.mark.parametrize("value", ["0", "2h", "2 m", "m", "-1s", "1.5m", "٣"])
def test_a_span_out_of_bounds_is_refused_with_the_bounds(value):
    with pytest.raises(BadSetting, match=r"^AFTER .*from 1 to 3600 seconds"):
        Environment({"AFTER": value}).span("AFTER", 120, minimum=1, maximum=3600)


@pytest.mark.parametrize("between", [" ", "\n", ", ", ",", " \n\n "])
def test_addresses_are_separated_by_space_or_by_a_comma_before_the_next(between):
    first, second = "mailto://host?to=a@example.com,b@example.com", "slack://T/B/C"
    given = between.join([first, second])
    assert Environment({"URLS": given}).urls("URLS") == (first, second)
    assert Environment({}).urls("URLS") == ()


def test_a_text_that_is_no_address_is_refused_by_its_position_without_being_shown():
    with pytest.raises(BadSetting, match=r"^URLS has no URL .* at position 2\.$"):
        Environment({"URLS": "slack://T/B/C s3cr3t"}).urls("URLS")
    with pytest.raises(BadSetting, match=r"https:// / http:// at position 1\.$"):
        Environment({"URLS": "ftp://s3cr3t"}).urls("URLS", ("https", "http"))


def test_a_setting_with_room_for_one_address_refuses_several_without_showing_them():
    one = "https://hc.example.com/s3cr3t"
    assert Environment({"BEAT": f" {one}\n"}).url("BEAT", ("https", "http")) == one
    assert Environment({}).url("BEAT", ("https", "http")) == ""
    with pytest.raises(BadSetting, match=r"^BEAT has 2 URLs; it must be one\.$"):
        Environment({"BEAT": f"{one}, {one}"}).url("BEAT", ("https", "http"))
