"""Which client a request comes from: forwarded headers count only if a trusted proxy sends them."""

from __future__ import annotations

import logging

import pytest

from multica_admin.client_address import FromClient, Proxies, client_address
from multica_admin.env import BadSetting, Environment

NOBODY = Proxies()
ONE = Proxies.named(["192.0.2.10"])
SEVERAL = Proxies.named(["10.0.0.0/8", "2001:db8:f::/48"])
SOCKET = Proxies.named(["unix", "10.0.0.0/8"])

CASES = [
    # nobody is trusted: the header is whatever anybody writes
    ("203.0.113.9", "", NOBODY, "203.0.113.9"),
    ("203.0.113.9", "198.51.100.1", NOBODY, "203.0.113.9"),
    ("127.0.0.1", "198.51.100.1", NOBODY, "127.0.0.1"),
    ("", "198.51.100.1", NOBODY, ""),
    ("", "", NOBODY, ""),
    # one proxy
    ("192.0.2.10", "198.51.100.1", ONE, "198.51.100.1"),
    ("192.0.2.10", "", ONE, "192.0.2.10"),
    ("203.0.113.9", "198.51.100.1", ONE, "203.0.113.9"),
    # what the client wrote itself stands before what the proxy appended
    ("192.0.2.10", "1.1.1.1, 198.51.100.1", ONE, "198.51.100.1"),
    ("192.0.2.10", "127.0.0.1,192.0.2.10,198.51.100.1", ONE, "198.51.100.1"),
    # several hops
    ("10.0.0.1", "198.51.100.1, 10.1.2.3, 10.0.0.2", SEVERAL, "198.51.100.1"),
    ("10.0.0.1", "1.1.1.1, 198.51.100.1, 10.1.2.3", SEVERAL, "198.51.100.1"),
    ("10.0.0.1", "10.1.2.3, 10.0.0.2", SEVERAL, "10.1.2.3"),
    ("10.0.0.1", "198.51.100.1, 11.0.0.1, 10.0.0.2", SEVERAL, "11.0.0.1"),
    # IPv6, in each spelling
    ("2001:db8:f::1", "2001:DB8:0:0::7", SEVERAL, "2001:db8::7"),
    ("2001:db8:f::1", "[2001:db8::7]", SEVERAL, "2001:db8::7"),
    ("2001:db8:f::1", "[2001:db8::7]:4711", SEVERAL, "2001:db8::7"),
    ("2001:db8:e::1", "2001:db8::7", SEVERAL, "2001:db8:e::1"),
    ("::ffff:10.0.0.1", "::ffff:198.51.100.1", SEVERAL, "198.51.100.1"),
    ("fe80::1%eth0", "", NOBODY, "fe80::1"),
    # ports
    ("10.0.0.1", "198.51.100.1:4711", SEVERAL, "198.51.100.1"),
    ("10.0.0.1", "198.51.100.1:4711, 10.0.0.9:80", SEVERAL, "198.51.100.1"),
    # nonsense: whoever sent it is the client
    ("10.0.0.1", "unknown", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", "198.51.100.1, unknown, 10.0.0.2", SEVERAL, "10.0.0.2"),
    ("10.0.0.1", "198.51.100.1,", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", ",,,", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", "256.1.1.1", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", "010.1.1.1", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", "<script>", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", "[2001:db8::7", SEVERAL, "2001:db8::7"),
    ("10.0.0.1", "\u0661.1.1.1", SEVERAL, "10.0.0.1"),
    ("10.0.0.1", "1.1.1.1;1.1.1.2", SEVERAL, "10.0.0.1"),
    # a unix socket
    ("", "198.51.100.1", SOCKET, "198.51.100.1"),
    ("", "198.51.100.1, 10.0.0.2", SOCKET, "198.51.100.1"),
    ("", "198.51.100.1", SEVERAL, ""),
    ("", "", SOCKET, ""),
    ("", "unix", SOCKET, ""),
    ("203.0.113.9", "198.51.100.1", SOCKET, "203.0.113.9"),
]


@pytest.mark.parametrize(("peer", "header", "proxies", "client"), CASES)
def test_the_client_is_the_last_that_no_trusted_proxy_speaks_for(peer, header, proxies, client):
    assert client_address(peer, header, proxies) == client


def test_a_header_of_any_length_is_read_only_as_far_as_it_counts():
    assert client_address("10.0.0.1", "1.1.1.1," * 100_000 + "198.51.100.1", SEVERAL) == (
        "198.51.100.1"
    )


def passed_on(proxies, **environ):
    """What the application behind gets."""
    seen = {}
    application = FromClient(lambda given, _start: seen.update(given) or [], proxies)
    application({"wsgi.url_scheme": "http", **environ}, None)
    return seen


@pytest.mark.parametrize("proxies", [NOBODY, ONE])
def test_nothing_behind_finds_the_header_again(proxies):
    seen = passed_on(proxies, REMOTE_ADDR="192.0.2.10", HTTP_X_FORWARDED_FOR="198.51.100.1")
    assert "HTTP_X_FORWARDED_FOR" not in seen
    assert seen["REMOTE_ADDR"] == ("198.51.100.1" if proxies is ONE else "192.0.2.10")


@pytest.mark.parametrize(
    ("peer", "said", "proxies", "scheme"),
    [
        ("192.0.2.10", "https", ONE, "https"),
        ("192.0.2.10", "http", ONE, "http"),
        ("192.0.2.10", "https, http", ONE, "http"),
        ("203.0.113.9", "https", ONE, "http"),
        ("", "https", ONE, "http"),
        ("", "https", SOCKET, "https"),
    ],
)
def test_only_a_trusted_proxy_says_that_its_client_used_https(peer, said, proxies, scheme):
    seen = passed_on(proxies, REMOTE_ADDR=peer, HTTP_X_FORWARDED_PROTO=said)
    assert seen["wsgi.url_scheme"] == scheme


def test_a_proxy_that_is_not_trusted_is_named_in_the_log_once(caplog):
    application = FromClient(lambda _environ, _start: [], ONE)
    with caplog.at_level(logging.WARNING):
        for _time in range(3):
            environ = {"REMOTE_ADDR": "192.0.2.11", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}
            application(environ, None)
        application({"REMOTE_ADDR": "192.0.2.10", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, None)
    assert [record.peer for record in caplog.records] == ["192.0.2.11"]


def test_the_variable_takes_addresses_networks_and_the_word_unix():
    given = Environment({"TRUSTED_PROXIES": " 10.0.0.0/8, unix ,2001:db8::1"})
    assert given.proxies("TRUSTED_PROXIES") == ["10.0.0.0/8", "unix", "2001:db8::1"]


@pytest.mark.parametrize("value", ["banana", "10.0.0.1/8", "*", "unix:/run/x", "10.0.0.0/8;unix"])
def test_anything_else_is_refused_in_one_sentence(value):
    with pytest.raises(BadSetting, match=r"^TRUSTED_PROXIES has .* or unix for a proxy"):
        Environment({"TRUSTED_PROXIES": value}).proxies("TRUSTED_PROXIES")
