"""While a server says nothing, one thread at a time asks it and nobody else waits."""

from __future__ import annotations

import psycopg
import pytest

from executions.database.silence import PAUSE_SECONDS, SLOW_SECONDS, Silence, StillSilent


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def silence(clock):
    return Silence("ADMIN_DATABASE_URL", clock)


def try_in_vain(silence, clock, seconds):
    def connect():
        with silence.connecting():
            clock.now += seconds
            raise psycopg.OperationalError

    with pytest.raises(psycopg.OperationalError):
        connect()


def test_a_server_that_answers_is_asked_by_everybody(silence):
    with silence.connecting() as known, silence.connecting():
        assert not known


def test_after_a_silent_try_nobody_waits_until_the_pause_is_over(silence, clock):
    try_in_vain(silence, clock, 5)
    with pytest.raises(StillSilent, match="nothing for 5 seconds") as told, silence.connecting():
        pass
    assert (told.value.kind, told.value.named) == ("no_server", "ADMIN_DATABASE_URL")
    clock.now += PAUSE_SECONDS
    with silence.connecting() as known:
        assert known
        with pytest.raises(StillSilent), silence.connecting():
            pass


def test_an_answer_ends_the_silence(silence, clock):
    try_in_vain(silence, clock, 5)
    clock.now += PAUSE_SECONDS
    with silence.connecting():
        pass
    with silence.connecting() as known:
        assert not known


def test_a_server_that_refuses_is_not_silent(silence, clock):
    try_in_vain(silence, clock, SLOW_SECONDS / 2)
    with silence.connecting() as known:
        assert not known


def test_a_suspicion_lets_one_thread_find_out(silence):
    silence.suspect()
    with silence.connecting() as known:
        assert known
        silence.suspect()
        with pytest.raises(StillSilent), silence.connecting():
            pass


def test_a_try_that_never_ends_does_not_keep_the_others_out(silence, clock):
    try_in_vain(silence, clock, 5)
    clock.now += PAUSE_SECONDS
    silence.connecting().__enter__()
    clock.now += 60
    with silence.connecting() as known:
        assert known
