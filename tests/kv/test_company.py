"""kv/company.py: for whom a wave waits, for how long, and that it stops where that is in vain."""

import pytest

from kv.company import (
    CLIENTS_PER_MS,
    ENOUGH_BYTES,
    FEW_OF,
    SLOW_MAX,
    SLOW_OF,
    WAIT_MS_MAX,
    Company,
)
from kv.worth import SKIPPED_MAX

FRAME_BYTES = 300
LONG_MS = 1_000


class Wave:
    """What one server gathers, in time that passes only here."""

    def __init__(self) -> None:
        self.now_ms = LONG_MS
        self.company = Company()
        self.here: list[bytes] = []
        self.size = 0

    def begin(self, *answered: bytes) -> None:
        """The wave that these were in is settled."""
        self.company.begin(set(answered), self.here, self.now_ms)

    def knows(self, *clients: bytes) -> None:
        """They were in a wave before."""
        self.begin(*clients)
        self.now_ms += LONG_MS

    def comes(self, *clients: bytes, size: int = FRAME_BYTES) -> None:
        """These ask for something, in one turn."""
        for client in clients:
            self.here.append(client)
            self.size += size
            self.company.on_frame(client)

    @property
    def waits(self) -> bool:
        """Whether it waits for more at the end of this turn; what does not has left."""
        waits = self.company.keeps_waiting(self.size, self.now_ms)
        if not waits:
            self.here, self.size = [], 0
        return waits

    def waited_ms(self) -> int:
        """How long until it does not, if nobody comes."""
        began_ms = self.now_ms
        while self.waits:
            self.now_ms += 1
        return self.now_ms - began_ms


@pytest.fixture
def wave():
    """Nothing was ever answered."""
    return Wave()


def many(count):
    """So many clients."""
    return [b"%d" % number for number in range(count)]


def test_two_who_ask_without_a_pause_share_each_wave(wave):
    """Else each would wait for the other's wave, and then for its own."""
    wave.begin(b"b")
    wave.begin(b"a")
    for _ in range(3):
        wave.comes(b"b")
        wave.begin(b"a", b"b")
        assert wave.waits
        wave.comes(b"a")
        assert not wave.waits


def test_two_halves_find_each_other(wave):
    """Each was in one of the two waves before, and not in the last."""
    wave.begin(b"a")
    wave.begin(b"b")
    wave.comes(b"b")
    wave.begin(b"a")
    assert wave.waits


def test_who_is_alone_waits_for_nobody(wave):
    """A lone client's frame leaves with its turn."""
    for _ in range(3):
        wave.begin(b"a")
        wave.comes(b"a")
        assert not wave.waits


def test_nobody_waits_for_who_asked_once(wave):
    """A client that never comes again must not cost the others anything."""
    wave.knows(b"a")
    wave.comes(b"a")
    wave.begin(b"a", b"once")
    assert not wave.waits


def test_it_does_not_wait_for_the_slowest(wave):
    """Of twenty one may be missing."""
    *clients, slow = many(SLOW_OF)
    wave.knows(*clients, slow)
    wave.begin(*clients, slow)
    wave.comes(*clients[1:])
    assert wave.waits
    wave.comes(clients[0])
    assert not wave.waits


def test_strangers_are_no_company(wave):
    """Who was not answered does not bring those who were."""
    wave.knows(*many(3))
    wave.comes(b"x")
    wave.begin(*many(3))
    wave.comes(b"y", b"z", b"y")
    assert wave.waits


def test_it_waits_for_each_once(wave):
    """A client that sends many frames is one client."""
    wave.knows(*many(3))
    wave.begin(*many(3))
    wave.comes(b"0", b"0", b"0")
    assert wave.waits


def test_nobody_comes_and_it_leaves(wave):
    """They have nothing to ask, or are far away."""
    wave.knows(*many(2))
    wave.comes(b"0")
    wave.begin(b"1")
    assert wave.waited_ms() == 1


def test_many_clients_are_given_longer(wave):
    """They share a machine that has to tell all of them."""
    clients = many(4 * CLIENTS_PER_MS - 1)
    wave.knows(*clients)
    wave.comes(b"x")
    wave.begin(*clients)
    assert wave.waited_ms() == 4 + 1


def test_the_last_few_of_many_are_not(wave):
    """All others wait for them."""
    count = 4 * CLIENTS_PER_MS
    clients = many(count)
    wave.knows(*clients)
    wave.begin(*clients)
    wave.comes(*clients[count // FEW_OF :])
    assert wave.waited_ms() == 1


def test_as_long_as_they_come_it_waits(wave):
    """Up to a bound."""
    clients = many(64)
    wave.knows(*clients)
    wave.begin(*clients)
    began_ms = wave.now_ms
    wave.comes(clients.pop())
    while wave.waits:
        wave.now_ms += 1
        wave.comes(clients.pop())
    assert wave.now_ms - began_ms == WAIT_MS_MAX


def test_who_comes_late_waits_for_nobody(wave):
    """One that asks after a pause must not wait for another one that pauses."""
    wave.knows(*many(2))
    wave.begin(*many(2))
    wave.now_ms += 2
    wave.comes(b"0")
    assert not wave.waits


def test_a_large_wave_waits_for_nobody(wave):
    """It has nothing to gain."""
    wave.knows(*many(64))
    wave.comes(b"x", size=ENOUGH_BYTES)
    wave.begin(*many(64))
    assert not wave.waits


def waits_of(wave, waves):
    """In how many of so many waves two quick ones waited for one who does not come at once."""
    waited = 0
    for _ in range(waves):
        wave.comes(b"quick")
        wave.begin(b"quick", b"another", b"slow")
        wave.comes(b"another")
        waited += wave.waited_ms() > 0
        wave.company.on_frame(b"slow")  # when the wave has left
    return waited


def test_who_is_slow_is_waited_for_less_and_less(wave):
    """However quick the others are: their being there does not make it worth it again."""
    wave.knows(b"quick", b"another", b"slow")
    assert waits_of(wave, 11) == 4  # the 1st, 3rd, 6th and 11th: 1, 2 and 4 are left out
    waits_of(wave, 1_000)
    assert waits_of(wave, 10 * (SKIPPED_MAX + 1)) == 10


def test_who_is_quick_again_is_waited_for_each_time(wave):
    """It is found out when it is tried again."""
    wave.knows(b"quick", b"another", b"slow")
    waits_of(wave, 1_000)
    tried = 0
    for _ in range(SKIPPED_MAX + 10):
        wave.comes(b"quick", b"another")
        wave.begin(b"quick", b"another", b"slow")
        tried += wave.waits
        wave.comes(b"slow")
        assert not wave.waits
    assert tried >= 10


def test_not_more_than_a_bound_are_known_to_be_slow(wave):
    """At the bound all are forgotten, and tried again."""
    clients = many(SLOW_MAX)
    wave.knows(*clients, b"last")
    wave.begin(*clients)
    wave.comes(b"x")
    assert wave.waited_ms() > 0
    wave.comes(b"x")
    wave.begin(*clients)
    assert not wave.waits, "all are known to be slow"

    wave.knows(b"another", b"last")
    wave.comes(b"another")
    wave.begin(b"another", b"last")
    assert wave.waited_ms() > 0
    wave.knows(*clients)
    wave.comes(b"x")
    wave.begin(*clients)
    assert wave.waits
