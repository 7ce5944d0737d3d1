"""When a request is whole, what is refused before a thread sees it, and which threads serve it."""

from __future__ import annotations

import pytest
from django.urls import reverse

from multica_admin import arriving
from multica_admin.arriving import Arriving, threads_for

HEAD = b"POST /login/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n"
PLAIN = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def after(*parts):
    request = Arriving()
    for part in parts:
        request.add(part)
    return request


def single_bytes(data):
    return [data[at : at + 1] for at in range(len(data))]


@pytest.mark.parametrize("parts", [[PLAIN], single_bytes(PLAIN), [PLAIN + b"GET /next"]])
def test_a_request_without_a_body_is_whole_with_its_head(parts):
    request = after(*parts)
    assert request.is_whole
    assert request.refusal is None


def test_a_head_is_not_whole_before_its_last_byte():
    request = after(*single_bytes(PLAIN)[:-1])
    assert not request.has_its_head
    assert not request.is_whole


def test_a_body_is_waited_for_as_long_as_its_length_says():
    request = after(HEAD, b"1234")
    assert request.has_its_head
    assert not request.is_whole
    request.add(b"5")
    assert request.is_whole


def test_bytes_behind_the_request_stay_with_it_for_the_next_one():
    assert after(HEAD + b"12345" + PLAIN).data.endswith(PLAIN)


@pytest.mark.parametrize(
    ("sent", "refusal"),
    [
        (b"GET / HTTP/1.1\r\nX: " + b"x" * arriving.HEAD_BYTES, arriving.HEAD_TOO_LARGE),
        (
            b"GET / HTTP/1.1\r\nX: " + b"x" * arriving.HEAD_BYTES + b"\r\n\r\n",
            arriving.HEAD_TOO_LARGE,
        ),
        (
            b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (arriving.BODY_BYTES + 1),
            arriving.BODY_TOO_LARGE,
        ),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % arriving.BODY_BYTES, None),
        (b"POST / HTTP/1.1\r\nContent-Length: 00%d\r\n\r\n" % arriving.BODY_BYTES, None),
        (
            b"POST / HTTP/1.1\r\nContent-Length: %s\r\n\r\n" % (b"9" * 5_000),
            arriving.BODY_TOO_LARGE,
        ),
        (b"POST / HTTP/1.1\r\ntransfer-Encoding: chunked\r\n\r\n", arriving.LENGTH_NEEDED),
    ],
)
def test_what_no_form_sends_is_refused_without_a_thread(sent, refusal):
    assert after(sent).refusal == refusal


def test_a_large_body_does_not_make_its_head_too_large():
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % arriving.BODY_BYTES
    assert after(head + b"x" * 2 * arriving.HEAD_BYTES).refusal is None


def test_a_client_that_waits_for_a_word_is_noticed():
    assert after(HEAD.replace(b"Host", b"Expect: 100-continue\r\nHost")).expects_continue
    assert not after(HEAD).expects_continue


@pytest.mark.parametrize(
    ("line", "prefix", "threads"),
    [
        (b"GET /livez HTTP/1.1", "", arriving.ALIVE),
        (b"HEAD /livez/?x=1 HTTP/1.0", "", arriving.ALIVE),
        (b"GET /under/livez HTTP/1.1", "/under", arriving.ALIVE),
        (b"GET /livez HTTP/1.1", "/under", arriving.ALIVE),
        (b"GET /under/livez HTTP/1.1", "", arriving.PAGES),
        (b"GET /readyz HTTP/1.1", "", arriving.PROBES),
        (b"GET /healthz/ HTTP/1.1", "", arriving.PROBES),
        (b"GET /executions/export.csv?status=FAILED HTTP/1.1", "", arriving.EXPORTS),
        (b"POST /login/ HTTP/1.1", "", arriving.PASSWORDS),
        (b"POST /password/ HTTP/1.1", "", arriving.PASSWORDS),
        (b"GET /login/ HTTP/1.1", "", arriving.PAGES),
        (b"\r\nGET /livez HTTP/1.1", "", arriving.ALIVE),
        # Other spellings, which gunicorn and Django read as the same address.
        (b"POST /%6Cogin/ HTTP/1.1", "", arriving.PASSWORDS),
        (b"POST /%75nder/login%2F?next=/ HTTP/1.1", "/under", arriving.PASSWORDS),
        (b"POST http://admin.example.com:80/login/ HTTP/1.1", "", arriving.PASSWORDS),
        (b"POST /login/#top HTTP/1.1", "", arriving.PASSWORDS),
        (b"POST http://[ HTTP/1.1", "", arriving.PAGES),
        # What may wait for an identity provider. The last way in is not behind it.
        (b"GET /login/oidc/?next=/ HTTP/1.1", "", arriving.OUTSIDE),
        (b"GET /login/feishu/callback/?code=c HTTP/1.1", "", arriving.OUTSIDE),
        (b"GET /login/code/confirm/ HTTP/1.1", "", arriving.PAGES),
        (b"POST /login/code/ HTTP/1.1", "", arriving.PAGES),
        (b"POST /login/once/ HTTP/1.1", "", arriving.PAGES),
        (b"GET /login/once/ HTTP/1.1", "", arriving.PAGES),
        (b"nonsense", "", arriving.PAGES),
        (b"\xff \xff", "", arriving.PAGES),
    ],
)
def test_the_first_line_says_which_threads_serve(line, prefix, threads):
    assert threads_for(line + b"\r\nHost: x\r\n\r\n", prefix) == threads


@pytest.mark.parametrize(
    ("method", "name", "threads"),
    [
        ("GET", "livez", arriving.ALIVE),
        ("GET", "readyz", arriving.PROBES),
        ("GET", "healthz", arriving.PROBES),
        ("GET", "metrics", arriving.PROBES),
        ("GET", "export_csv", arriving.EXPORTS),
        ("GET", "export_jsonl", arriving.EXPORTS),
        ("GET", "audit_csv", arriving.EXPORTS),
        ("POST", "login", arriving.PASSWORDS),
        ("POST", "confirm", arriving.PASSWORDS),
        ("GET", "overview", arriving.PAGES),
    ],
)
def test_the_addresses_are_those_of_the_project(method, name, threads):
    assert threads_for(f"{method} {reverse(name)} HTTP/1.1\r\n\r\n".encode(), "") == threads
