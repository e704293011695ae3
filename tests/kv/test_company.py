"""kv/company.py: for whom a wave waits, for how long, and that it stops where that is in vain."""

import pytest

from kv.company import CLIENTS_PER_MS, ENOUGH_BYTES, SILENCE_MS, SLOW_OF, WAIT_MS_MAX, Company
from kv.worth import SKIPPED_MAX

FRAME_BYTES = 300


class Wave:
    """What one server gathers, in time that passes only here."""

    def __init__(self) -> None:
        self.now_ms = 1_000
        self.company = Company()
        self.here: list[bytes] = []
        self.size = 0

    def begin(self, *answered: bytes) -> None:
        """The wave that these were in is settled."""
        self.company.begin(set(answered), self.here, self.now_ms)

    def comes(self, *clients: bytes, size: int = FRAME_BYTES) -> None:
        """These ask for something, in one turn."""
        for client in clients:
            self.here.append(client)
            self.size += size
            self.company.on_frame(client)

    @property
    def waits(self) -> bool:
        """Whether it waits for more at the end of this turn; what does not has left."""
        waits = self.company.is_awaited(self.size, self.now_ms)
        if not waits:
            self.here, self.size = [], 0
        return waits

    def waited_ms(self) -> int:
        """How long until it does not."""
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
    return [bytes([number]) for number in range(count)]


def test_two_who_ask_without_a_pause_share_each_wave(wave):
    """Else each would wait for the other's wave, and then for its own."""
    wave.comes(b"b")
    wave.begin(b"a")
    assert wave.waits
    wave.comes(b"a")
    assert not wave.waits


def test_who_is_alone_waits_for_nobody(wave):
    """A lone client's frame leaves with its turn."""
    for _ in range(3):
        wave.begin(b"a")
        wave.comes(b"a")
        assert not wave.waits


def test_it_does_not_wait_for_the_slowest(wave):
    """Of twenty one may be missing."""
    *clients, slow = many(SLOW_OF)
    wave.begin(*clients, slow)
    wave.comes(*clients[1:])
    assert wave.waits
    wave.comes(clients[0])
    assert not wave.waits


def test_strangers_are_no_company(wave):
    """Who was not answered does not bring those who were."""
    wave.comes(b"x")
    wave.begin(*many(3))
    wave.comes(b"y", b"z", b"y")
    assert wave.waits


def test_it_waits_for_whom_it_waits_once(wave):
    """A client that sends many frames is one client."""
    wave.begin(*many(3))
    wave.comes(b"\0", b"\0", b"\0")
    assert wave.waits


def test_nobody_comes_and_it_leaves(wave):
    """They have nothing to ask, or are far away."""
    wave.comes(b"b")
    wave.begin(b"a")
    assert wave.waited_ms() == SILENCE_MS + 1


def test_many_clients_are_given_longer(wave):
    """They share a machine that has to tell all of them."""
    wave.comes(b"x")
    wave.begin(*many(4 * CLIENTS_PER_MS - 1))
    assert wave.waited_ms() == SILENCE_MS + 4 + 1


def test_as_long_as_they_come_it_waits(wave):
    """Up to a bound."""
    clients = many(64)
    wave.begin(*clients)
    began_ms = wave.now_ms
    wave.comes(clients.pop())
    while wave.waits:
        wave.now_ms += 1
        wave.comes(clients.pop())
    assert wave.now_ms - began_ms == WAIT_MS_MAX


def test_who_comes_late_waits_for_nobody(wave):
    """One that asks after a pause must not wait for another one that pauses."""
    wave.begin(b"a", b"b")
    wave.now_ms += SILENCE_MS + 1
    wave.comes(b"a")
    assert not wave.waits


def test_a_large_wave_waits_for_nobody(wave):
    """It has nothing to gain."""
    wave.comes(b"x", size=ENOUGH_BYTES)
    wave.begin(*many(64))
    assert not wave.waits


def waits_of(wave, waves):
    """In how many of so many waves it waited for one who does not come."""
    waited = 0
    for _ in range(waves):
        wave.comes(b"b")
        wave.begin(b"a")
        waited += wave.waited_ms() > 0
    return waited


def test_where_it_is_in_vain_it_waits_less_and_less(wave):
    """Clients that ask now and then pay next to nothing."""
    assert waits_of(wave, 11) == 4  # the 1st, 3rd, 6th and 11th: 1, 2 and 4 are left out
    waits_of(wave, 1_000)
    assert waits_of(wave, 10 * (SKIPPED_MAX + 1)) == 10


def test_what_needs_no_wait_does_not_make_the_next_one_worth_it(wave):
    """Else one that asks at once would wait for one that does not, in every second wave."""
    waits_of(wave, 1_000)
    for _ in range(SKIPPED_MAX):
        wave.begin(b"b")
        wave.comes(b"b")
        assert not wave.waits
    assert waits_of(wave, 10 * (SKIPPED_MAX + 1)) == 10


def test_once_it_is_worth_it_again_it_waits_each_time(wave):
    """Clients that begin to ask without a pause are found out."""
    waits_of(wave, 1_000)
    tried = 0
    for _ in range(SKIPPED_MAX + 10):
        wave.comes(b"b")
        wave.begin(b"a")
        tried += wave.waits
        wave.comes(b"a")
        assert not wave.waits
    assert tried >= 10
