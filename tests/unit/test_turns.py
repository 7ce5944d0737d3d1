"""Whose password is checked next, and how many of an address may wait."""

from __future__ import annotations

from executions.accounts.turns import Line


def entered(line, whose):
    """How many of these got a place; each that did waits for its turn."""
    places = [place for one in whose if (place := line.enter(one)) is not None]
    for place in places:
        line.ask(place)
    return places


def order(line, places):
    """The addresses in the order of their turns, each of which ends at once."""
    turns = []
    left = list(places)
    while left:
        (present,) = [place for place in left if line.has_turn(place)]
        turns.append(present.whose)
        left.remove(present)
        line.leave(present)
    return "".join(turns)


def test_addresses_take_turns_however_many_requests_each_has():
    line = Line(100)
    assert order(line, entered(line, "aaaabbc")) == "abcabaa"


def test_whoever_comes_during_a_turn_is_before_the_address_that_has_it():
    line = Line(100)
    places = entered(line, "aaa")
    places += entered(line, "b")
    assert order(line, places) == "abaa"


def test_only_one_place_has_the_turn():
    line = Line(100)
    places = entered(line, "aabb")
    assert sum(line.has_turn(place) for place in places) == 1


def test_a_place_that_did_not_ask_gets_no_turn_and_holds_nobody_up():
    line = Line(100)
    refused = line.enter("a")
    waiting = entered(line, "b")
    assert not line.has_turn(refused)
    line.leave(refused)
    assert order(line, waiting) == "b"


def test_an_address_takes_half_of_what_is_free_at_most_and_leaves_one_for_each_other():
    line = Line(5)
    assert [place.whose for place in entered(line, "aaaaabbbbcccddde")] == list("aabcd")


def test_a_place_that_was_given_back_is_free_again():
    line = Line(1)
    for _time in range(3):
        (place,) = entered(line, "a")
        assert line.enter("a") is None
        assert line.enter("b") is None
        line.leave(place)
