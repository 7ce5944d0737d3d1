"""PUBLIC_URL: one spelling, strict refusals, and requests as they were before the proxy."""

from __future__ import annotations

import pytest

from multica_admin.env import BadSetting
from multica_admin.public_url import AsPublished, PublicUrl, listening_host, parse_public_url


@pytest.mark.parametrize(
    ("given", "normal"),
    [
        ("", ""),
        ("https://Admin.Example.com", "https://admin.example.com"),
        ("HTTPS://admin.example.com/", "https://admin.example.com"),
        ("https://admin.example.com:443/ops/", "https://admin.example.com/ops"),
        ("http://admin.example.com:80", "http://admin.example.com"),
        ("https://admin.example.com:80", "https://admin.example.com:80"),
        ("http://admin.example.com:0080", "http://admin.example.com"),
        ("https://admin.example.com:", "https://admin.example.com"),
        ("https://admin.example.com.", "https://admin.example.com"),
        ("http://[2001:DB8:0::1]:8000", "http://[2001:db8::1]:8000"),
        ("http://[::1]", "http://[::1]"),
        ("http://192.0.2.7:8000/a/b~c", "http://192.0.2.7:8000/a/b~c"),
        ("http://multica", "http://multica"),
        ("https://xn--bcher-kva.example/Ops", "https://xn--bcher-kva.example/Ops"),
    ],
)
def test_an_address_has_one_spelling(given, normal):
    assert str(parse_public_url(given)) == normal


@pytest.mark.parametrize(
    "given",
    [
        "admin.example.com",
        "ftp://admin.example.com",
        "https://",
        "https:///ops",
        "https://*",
        "https://*.example.com",
        "https://.example.com",
        "https://a..example.com",
        "https://-a.example.com",
        "https://under_score.example.com",
        "https://a b.example/x y",
        "https://a.example/x y",
        "https://a.example/x\ny",
        "https://a.example\\x",
        "https://bücher.example",
        "https://a.example:0",
        "https://a.example:65536",
        "https://a.example:eighty",
        "https://a.example:-1",
        "https://someone@a.example",
        "https://@a.example",
        "https://a.example/?",
        "https://a.example/#",
        "https://a.example/?x=1",
        "https://a.example//ops",
        "https://a.example/../ops",
        "https://a.example/%6fps",
        "https://a.example/<script>",
        "https://999.1.1.1",
        "https://1.2.3",
        "https://[2001:db8::1",
        "https://2001:db8::1",
        "https://[fe80::1%25eth0]",
        "https://[nothing]",
        "https://[v1.x]",
        "https://" + "a" * 64 + ".example",
        "https://" + "a." * 127 + "example",
    ],
)
def test_what_is_no_address_of_one_host_is_refused_by_name(given):
    with pytest.raises(BadSetting, match=r"^PUBLIC_URL is .* must look like https://") as refusal:
        parse_public_url(given)
    assert "\n" not in str(refusal.value)


def through(published, **environ):
    """What the application behind sees."""
    seen = {}

    def application(inner, start_response):
        seen.update(inner)
        return []

    request = {"PATH_INFO": "/", "wsgi.url_scheme": "http", **environ}
    AsPublished(application, parse_public_url(published))(request, None)
    return seen


@pytest.mark.parametrize(
    ("asked", "seen"),
    [
        ("/ops/runners/", "/runners/"),
        ("/runners/", "/runners/"),
        ("/ops/", "/"),
        ("/ops", ""),
        ("/opsy/", "/opsy/"),
        ("/ops/ops/", "/ops/"),
    ],
)
def test_the_prefix_may_be_stripped_by_the_proxy_or_left(asked, seen):
    assert through("https://a.example/ops", PATH_INFO=asked)["PATH_INFO"] == seen


def test_without_a_prefix_no_path_is_touched():
    assert through("https://a.example", PATH_INFO="/ops/")["PATH_INFO"] == "/ops/"


@pytest.mark.parametrize(
    ("published", "host", "origin", "scheme"),
    [
        ("https://a.example", "a.example", None, "https"),
        ("https://a.example", "127.0.0.1:8000", None, "https"),
        ("https://a.example", "127.0.0.1:8000", "https://a.example", "https"),
        ("https://a.example", "127.0.0.1:8000", "http://127.0.0.1:8000", "http"),
        ("https://a.example", "[::1]:8000", "http://[::1]:8000", "http"),
        ("https://a.example", "127.0.0.1:8000", "http://localhost:8000", "https"),
        ("https://a.example", "a.example", "http://a.example", "https"),
        ("http://a.example", "a.example", None, "http"),
        ("", "localhost:8000", None, "http"),
    ],
)
def test_a_request_counts_as_https_but_for_a_form_sent_to_a_loopback_name(
    published, host, origin, scheme
):
    headers = {"HTTP_HOST": host} | ({"HTTP_ORIGIN": origin} if origin else {})
    assert through(published, **headers)["wsgi.url_scheme"] == scheme


def test_a_proxys_own_word_for_https_is_kept():
    assert through("http://a.example", **{"wsgi.url_scheme": "https"})["wsgi.url_scheme"] == "https"


def test_nothing_set_is_nothing():
    assert parse_public_url("") == PublicUrl()
    assert PublicUrl().origin == ""


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("", ""),
        ("127.0.0.2", "127.0.0.2"),
        ("Admin.Internal", "admin.internal"),
        ("fd00::0:17", "[fd00::17]"),
        ("[fd00::17]", "[fd00::17]"),
        ("0.0.0.0", ""),
        ("::", ""),
        ("*", ""),
        (".example.com", ""),
    ],
)
def test_the_address_that_is_listened_on_is_one_host_or_none(address, host):
    assert listening_host(address) == host
