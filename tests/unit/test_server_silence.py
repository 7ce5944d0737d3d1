"""While a server says nothing, one thread at a time asks it and nobody else waits."""

from __future__ import annotations

import psycopg
import pytest

from executions.database.server_silence import (
    PAUSE_SECONDS,
    SLOW_SECONDS,
    ServerSilence,
    StillSilent,
    silence_of,
)


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def silence(clock):
    return ServerSilence(clock)


def try_in_vain(silence, clock, seconds):
    def connect():
        with silence.connecting("ADMIN_DATABASE_URL"):
            clock.now += seconds
            raise psycopg.OperationalError

    with pytest.raises(psycopg.OperationalError):
        connect()


def test_a_server_that_answers_is_asked_by_everybody(silence):
    with (
        silence.connecting("ADMIN_DATABASE_URL") as known,
        silence.connecting("ADMIN_DATABASE_URL"),
    ):
        assert not known


def test_after_a_silent_try_nobody_waits_until_the_pause_is_over(silence, clock):
    try_in_vain(silence, clock, 5)
    with (
        pytest.raises(StillSilent, match="nothing for 5 seconds") as told,
        silence.connecting("ADMIN_DATABASE_URL"),
    ):
        pass
    assert (told.value.kind, told.value.named) == ("no_server", "ADMIN_DATABASE_URL")
    clock.now += PAUSE_SECONDS
    with silence.connecting("ADMIN_DATABASE_URL") as known:
        assert known
        with pytest.raises(StillSilent), silence.connecting("ADMIN_DATABASE_URL"):
            pass


def test_an_answer_ends_the_silence(silence, clock):
    try_in_vain(silence, clock, 5)
    clock.now += PAUSE_SECONDS
    with silence.connecting("ADMIN_DATABASE_URL"):
        pass
    with silence.connecting("ADMIN_DATABASE_URL") as known:
        assert not known


def test_a_server_that_refuses_is_not_silent(silence, clock):
    try_in_vain(silence, clock, SLOW_SECONDS / 2)
    with silence.connecting("ADMIN_DATABASE_URL") as known:
        assert not known


def test_a_suspicion_lets_one_thread_find_out(silence):
    silence.suspect()
    with silence.connecting("ADMIN_DATABASE_URL") as known:
        assert known
        silence.suspect()
        with pytest.raises(StillSilent), silence.connecting("ADMIN_DATABASE_URL"):
            pass


def test_a_try_that_never_ends_does_not_keep_the_others_out(silence, clock):
    try_in_vain(silence, clock, 5)
    clock.now += PAUSE_SECONDS
    silence.connecting("ADMIN_DATABASE_URL").__enter__()
    clock.now += 60
    with silence.connecting("ADMIN_DATABASE_URL") as known:
        assert known


def test_settings_that_lead_to_one_server_share_its_silence():
    multica = silence_of({"host": "db", "port": 5432, "dbname": "multica"})
    retire = silence_of({"host": "db", "port": "5432", "dbname": "postgres", "user": "postgres"})
    assert multica is retire
    assert silence_of({"host": "db", "port": 5433}) is not multica
    assert silence_of({"host": "other", "port": 5432}) is not multica
