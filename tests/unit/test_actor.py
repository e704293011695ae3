"""actors/actor.py: the order of a turn, also where the process was stopped in the middle of it."""

from types import SimpleNamespace

import zmq
from zmq.backend import zmq_poll

from actors import actor
from actors.actor import MESSAGE_BYTES, WAITED_S, Actor, drain

TICK_S = 0.01


class Listener:
    """A brain that writes down what it is told, and ends the loop when it has heard enough."""

    expects_more = False

    def __init__(self, mailbox: zmq.Socket[bytes], messages: int) -> None:
        self.said: list[object] = []
        self.ended = False
        self._mailbox = mailbox
        self._messages = messages

    def sockets(self):
        """One mailbox."""
        return {self._mailbox: lambda frames: self.said.append(frames[0])}

    def tick(self):
        """Write it down."""
        self.said.append("tick")

    def flush(self):
        """Write it down."""
        self.said.append("flush")

    def on_flood(self, at):
        """Write it down."""
        assert at is self._mailbox
        self.said.append("flood")

    def wait_ms(self, until_tick_ms):
        return until_tick_ms

    def is_done(self):
        """Everything was heard."""
        return sum(isinstance(word, bytes) for word in self.said) >= self._messages

    def close(self):
        """The loop is over."""
        self.ended = True


def test_what_came_while_the_process_stood_still_is_handed_in_behind_its_ticks(monkeypatch):
    """R2: a promise of silence, or a lease, never counts from before what it answers was sent."""
    clock = SimpleNamespace(now_s=0.0)

    def drain_slowly(socket, *, has_address, is_alone):
        clock.now_s += 5 * TICK_S
        return drain(socket, has_address=has_address, is_alone=is_alone)

    monkeypatch.setattr(actor, "drain", drain_slowly)
    monkeypatch.setattr(actor, "time", SimpleNamespace(monotonic=lambda: clock.now_s))

    assert turns_of(b"heartbeat") == [*["tick"] * 5, b"heartbeat", "flush"]


def test_a_turn_hands_in_all_that_waits_and_flushes_once(monkeypatch):
    """DESIGN 1: batching falls out of the loop."""
    monkeypatch.setattr(actor, "time", SimpleNamespace(monotonic=lambda: 0.0))

    assert turns_of(b"a", b"b", b"c") == [b"a", b"b", b"c", "flush"]


def test_who_was_woken_takes_what_woke_it_and_then_all_the_others(monkeypatch):
    """Most often there are none, and to look for them takes time."""
    clock = SimpleNamespace(now_s=0.0)

    def poll_and_wait_once(sockets, timeout_ms):
        clock.now_s = 2 * WAITED_S
        return zmq_poll(sockets, timeout_ms)

    monkeypatch.setattr(actor, "zmq_poll", poll_and_wait_once)
    monkeypatch.setattr(actor, "time", SimpleNamespace(monotonic=lambda: clock.now_s))

    assert turns_of(b"a", b"b", b"c") == [b"a", "flush", b"b", b"c", "flush"]


def test_a_turn_takes_no_more_than_its_bound(monkeypatch):
    """O3: ticks go on, however much waits."""
    monkeypatch.setattr(actor, "time", SimpleNamespace(monotonic=lambda: 0.0))
    monkeypatch.setattr(actor, "DRAIN_BYTES_MAX", 2 * (MESSAGE_BYTES + len(b"word")))

    said = turns_of(*[b"word"] * 3)

    assert said == [b"word", b"word", "flush", "flood", b"word", "flush"]


def test_who_looked_out_for_long_does_not_tick_later_for_it(monkeypatch):
    """Others had the core meanwhile; a beat must not wait for another tick."""
    clock, waits = SimpleNamespace(now_s=0.0), []

    def look_out(_):
        clock.now_s = 2 * TICK_S
        return []

    monkeypatch.setattr(actor, "time", SimpleNamespace(monotonic=lambda: clock.now_s))
    monkeypatch.setattr(actor, "zmq_poll", lambda _, wait_ms: waits.append(wait_ms))
    brain = Listener(zmq.Socket.__new__(zmq.Socket), 0)
    listening = Actor("listener", lambda: brain, TICK_S, lambda _: None)
    monkeypatch.setattr(listening, "vigil", SimpleNamespace(keep=look_out))

    for brain.expects_more, listening.is_quiet in ((False, True), (True, False), (True, True)):
        listening._wait(brain, [], tick_due=TICK_S, now=0.0)

    assert waits == [11, 11, 0]


def turns_of(*words: bytes):
    """What a brain is told when these words wait for it, up to the turn of the last one."""
    with zmq.Context() as context, context.socket(zmq.PAIR) as ours, context.socket(zmq.PAIR) as at:
        for socket in (ours, at):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.SNDHWM, 0)
            socket.setsockopt(zmq.RCVHWM, 0)
        at.bind("inproc://mailbox")
        ours.connect("inproc://mailbox")
        for word in words:
            ours.send(word)
        listener = Listener(at, len(words))
        listening = Actor("listener", lambda: listener, TICK_S, lambda _: None)
        listening.is_quiet = True
        listening.start()
        assert listening.stop(timeout_s=5), "it ends when it has heard everything"
        assert listening.failure is None and listener.ended
        while listener.said[-2:] == ["flush", "flush"]:
            listener.said.pop()  # it was not told to stop yet
        return listener.said
