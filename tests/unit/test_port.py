"""actors/port.py: what a node does when more arrives at a port than it can look at."""

import time

import pytest
import zmq

from actors.port import Port
from actors.zap import ZapActor

DEADLINE_S = 30.0
ASK_AGAIN_MS = 50


class Line:
    """A port, who may connect to it, and a client that connects again when it is hung up on."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.zap = ZapActor(self.context)
        self.port = Port(self.context, "127.0.0.1", 0, message_bytes_max=100)
        self._client = self.context.socket(zmq.DEALER)
        self._client.setsockopt(zmq.RECONNECT_IVL, 10)
        self._client.connect(self.port.router.getsockopt_string(zmq.LAST_ENDPOINT))

    def carry(self, word):
        """Say it until it arrives."""
        (questions, answer), *_ = self.zap.sockets().items()
        poller = zmq.Poller()
        for socket in (questions, self.port.router):
            poller.register(socket, zmq.POLLIN)
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            self._client.send(word)
            ready = dict(poller.poll(ASK_AGAIN_MS))
            if questions in ready:
                answer(questions.recv_multipart())
            if self.port.router in ready:
                return self.port.router.recv_multipart()[-1]
        raise AssertionError("nothing arrived")

    def close(self):
        """Nobody speaks any more."""
        self.port.close()
        self.zap.close()
        self.context.destroy(linger=0)


@pytest.fixture
def line():
    """A port that is heard."""
    made = Line()
    yield made
    made.close()


def test_a_port_that_is_flooded_hangs_up_and_is_open_all_the_same(line):
    """O3: what waited in libzmq is gone; who connects again is heard."""
    first = line.port.router
    line.carry(b"much")

    line.port.hang_up()

    assert first.closed and line.port.floods == 1
    while line.carry(b"again") != b"again":
        pass  # a word that was said twice
