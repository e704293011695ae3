"""The checker of histories: it finds what cannot have happened, and accepts what can."""

from itertools import permutations
from random import Random

import pytest

from verify.linearizable import NEVER, Kind, Operation, Verdict, check

KEY = b"k"


def put(called, returned, value):
    """One put of KEY."""
    return Operation(called, returned, Kind.PUT, KEY, value)


def append(called, returned, value):
    """One append of KEY."""
    return Operation(called, returned, Kind.APPEND, KEY, value)


def get(called, returned, value):
    """One get of KEY."""
    return Operation(called, returned, Kind.GET, KEY, value)


GOOD = {
    "nothing happened": [],
    "one after the other": [put(0, 1, b"a"), get(2, 3, b"a"), append(4, 5, b"b"), get(6, 7, b"ab")],
    "a read beside a write sees the old": [put(0, 9, b"a"), get(1, 2, b"")],
    "a read beside a write sees the new": [put(0, 9, b"a"), get(1, 2, b"a")],
    "an unanswered write happened late": [put(0, NEVER, b"a"), get(1, 2, b""), get(3, 4, b"a")],
    "an unanswered write never happened": [put(0, NEVER, b"a"), get(5, 6, b"")],
    "appends beside each other in any order": [
        append(0, 5, b"x"),
        append(0, 5, b"y"),
        get(6, 7, b"yx"),
    ],
    "an unanswered read says nothing": [put(0, 1, b"a"), get(2, NEVER, b"what")],
}

BAD = {
    "a read of what nobody wrote": [get(0, 1, b"a")],
    "a stale read": [put(0, 1, b"a"), put(2, 3, b"b"), get(4, 5, b"a")],
    "a lost write": [put(0, 1, b"a"), get(2, 3, b"")],
    "a write that came and went": [put(0, 9, b"a"), get(1, 2, b"a"), get(3, 4, b"")],
    "an append executed twice": [append(0, 1, b"x"), get(2, 3, b"xx")],
    "an unanswered append executed twice": [append(0, NEVER, b"x"), get(2, 3, b"xx")],
    "two readers disagree about the order": [
        append(0, 9, b"x"),
        append(0, 9, b"y"),
        get(1, 2, b"xy"),
        get(10, 11, b"yx"),
    ],
    "a write before its call": [get(0, 1, b"a"), put(2, 3, b"a")],
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_have_happened_is_accepted(name):
    """An order exists in which each operation lies between its call and its return."""
    assert check(GOOD[name]).verdict is Verdict.LINEARIZABLE


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_have_happened_is_found(name):
    """No order exists, and the finding names the key and what it is stuck at."""
    finding = check(BAD[name])

    assert finding.verdict is Verdict.NOT_LINEARIZABLE
    assert finding.key == KEY
    assert finding.stuck


def test_keys_do_not_touch_each_other():
    """A bad key is found among good ones."""
    other = [found._replace(key=b"other") for found in BAD["a stale read"]]

    finding = check([*GOOD["one after the other"], *other])

    assert finding.key == b"other"


def test_a_search_without_end_is_given_up():
    """Beside each other, thirty appends of one value have more orders than anybody can try."""
    history = [append(0, 99, b"a")] * 30 + [get(100, 101, b"a" * 30 + b"b")]

    assert check(history, states_max=1_000).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("seed", range(300))
def test_the_search_agrees_with_trying_every_order(seed):
    """Against brute force, on small histories of all kinds."""
    history = drawn(Random(seed))

    assert (check(history).verdict is Verdict.LINEARIZABLE) == has_an_order(history)


def test_a_long_history_is_checked_quickly():
    """Two thousand operations of a real register, some ten beside each other at any time."""
    random = Random(4)
    value, history = b"", []
    for now in range(2_000):
        called, returned = now - random.uniform(0, 5), now + random.uniform(0, 5)
        kind = random.choice([Kind.PUT, Kind.GET])
        value = b"%d" % now if kind is Kind.PUT else value
        history.append(Operation(called, returned, kind, KEY, value))

    assert check(history).verdict is Verdict.LINEARIZABLE


def drawn(random):
    """Up to six operations that overlap at random, some of them without an answer."""
    history = []
    for _ in range(random.randint(1, 6)):
        called = random.uniform(0, 6)
        returned = called + random.uniform(0.1, 4)
        kind = random.choice(list(Kind))
        value = (
            random.choice([b"", b"a", b"b", b"ab"])
            if kind is Kind.GET
            else random.choice([b"a", b"b"])
        )
        if kind is not Kind.GET and random.random() < 0.2:
            returned = NEVER
        history.append(Operation(called, returned, kind, KEY, value))
    return history


def has_an_order(history):
    """Try every order of every choice of the unanswered."""
    open_ended = [found for found in history if found.returned == NEVER]
    answered = [found for found in history if found.returned != NEVER]
    for choice in range(1 << len(open_ended)):
        chosen = [found for at, found in enumerate(open_ended) if choice >> at & 1]
        if any(explains(order) for order in permutations(answered + chosen)):
            return True
    return False


def explains(order):
    """Whether this order keeps to the times and every read saw its value."""
    value = b""
    for place, operation in enumerate(order):
        if any(later.returned < operation.called for later in order[place + 1 :]):
            return False
        if operation.kind is Kind.GET and operation.value != value:
            return False
        if operation.kind is Kind.PUT:
            value = operation.value
        elif operation.kind is Kind.APPEND:
            value += operation.value
    return True
