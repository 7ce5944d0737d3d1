"""Live parts share a read: one per interval for all viewers, and no answer is kept too long."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from operator import attrgetter

import pytest

from executions.database.kept import MOST_KEPT, Kept
from tests.waiting import HANG


@dataclass(frozen=True)
class Answer:
    number: int
    live_seconds: int = 15


class Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shared(clock):
    return Kept(attrgetter("live_seconds"), clock)


class Source:
    reads = 0

    def __call__(self):
        self.reads += 1
        return Answer(self.reads)


def test_within_its_pace_an_answer_is_shared_and_then_read_again(shared, clock):
    read = Source()
    assert [shared.get("/a", read, anew=False).number for _viewer in range(3)] == [1, 1, 1]
    clock.seconds = 14.9
    assert shared.get("/a", read, anew=False).number == 1
    clock.seconds = 15
    assert shared.get("/a", read, anew=False).number == 2


def test_a_page_that_is_opened_is_read_anew_and_shared_from_then_on(shared):
    read = Source()
    shared.get("/a", read, anew=False)
    assert shared.get("/a", read, anew=True).number == 2
    assert shared.get("/a", read, anew=False).number == 2


def test_each_address_has_its_own_and_old_ones_give_way(shared):
    read = Source()
    for number in range(MOST_KEPT + 1):
        shared.get(f"/{number}", read, anew=False)
    shared.get("/1", read, anew=False)
    assert read.reads == MOST_KEPT + 1
    shared.get("/0", read, anew=False)
    assert read.reads == MOST_KEPT + 2


def test_a_failure_is_not_kept(shared):
    def fail():
        raise LookupError

    read = Source()
    shared.get("/a", read, anew=False)
    with pytest.raises(LookupError):
        shared.get("/a", fail, anew=True)
    assert shared.get("/a", read, anew=False).number == 2


def test_of_many_who_ask_at_once_one_reads_and_the_others_wait(shared):
    begun, go_on = threading.Event(), threading.Event()
    reads = []

    def slow():
        reads.append(1)
        begun.set()
        assert go_on.wait(HANG)
        return Answer(len(reads))

    answers = []

    def ask():
        answers.append(shared.get("/a", slow, anew=False).number)

    viewers = [threading.Thread(target=ask) for _viewer in range(8)]
    for viewer in viewers:
        viewer.start()
    assert begun.wait(HANG)
    go_on.set()
    for viewer in viewers:
        viewer.join(HANG)
    assert answers == [1] * 8


def test_while_one_reads_the_others_get_the_last_answer(shared, clock):
    begun, go_on = threading.Event(), threading.Event()
    read = Source()
    shared.get("/a", read, anew=False)
    clock.seconds = 20

    def slow():
        begun.set()
        assert go_on.wait(HANG)
        return Answer(2)

    viewer = threading.Thread(target=shared.get, args=("/a", slow), kwargs={"anew": False})
    viewer.start()
    assert begun.wait(HANG)
    assert shared.get("/a", read, anew=False).number == 1
    go_on.set()
    viewer.join(HANG)
    assert shared.get("/a", read, anew=False).number == 2
    assert read.reads == 1


def test_an_old_answer_that_serves_nobody_is_waited_for(clock):
    kept = Kept(lambda _answer: 5, clock, serves=False)
    assert kept.get("", lambda: "old") == "old"
    clock.seconds = 5
    began, go_on = threading.Event(), threading.Event()

    def slow():
        began.set()
        assert go_on.wait(HANG)
        return "new"

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.get, "", slow)
        assert began.wait(HANG)
        second = threads.submit(kept.get, "", slow)
        go_on.set()
        assert (first.result(HANG), second.result(HANG)) == ("new", "new")


def test_an_answer_that_is_good_for_no_time_is_asked_for_again(clock):
    kept, read = Kept(lambda _answer: 0, clock), Source()
    assert [kept.get("", read).number for _asked in range(2)] == [1, 2]


def test_no_more_answers_are_kept_than_wanted(clock):
    kept, read = Kept(lambda _answer: 60, clock, most=1), Source()
    assert [kept.get(asked, read).number for asked in ("a", "b", "b", "a")] == [1, 2, 2, 3]


def test_the_last_answer_outlives_a_failure_but_is_given_to_nobody_who_asks(shared, clock):
    read = Source()
    shared.get("/a", read)
    clock.seconds = 3

    def fail():
        raise LookupError

    with pytest.raises(LookupError):
        shared.get("/a", fail, anew=True)
    assert shared.newest("/a") == Answer(1)
    assert shared.newest("/a", within=3) is None
    assert shared.get("/a", read).number == 2


def test_a_place_that_a_thread_reads_for_does_not_give_way(clock):
    kept = Kept(lambda _answer: 5, clock, most=1)
    began, go_on, read = threading.Event(), threading.Event(), Source()

    def slow():
        began.set()
        assert go_on.wait(HANG)
        return read()

    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(kept.get, "/a", slow)
        assert began.wait(HANG)
        assert kept.newest("/b") is None
        second = threads.submit(kept.get, "/a", read)
        go_on.set()
        assert (first.result(HANG), second.result(HANG)) == (Answer(1), Answer(1))
