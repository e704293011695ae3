"""A clerk's connections, and the turn that both of its shells run: hear, decide, speak."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from random import SystemRandom
from typing import cast

import zmq

from actors.actor import DRAIN_MAX
from actors.sockets import Context, tcp_dealer
from kv.outcomes import Settled
from kv.routing import Router
from messages.clientcodec import REPLY_BYTES_MAX, decode_reply, encode
from messages.codec import CodecError

CONNECT_S = 0.1
"""What is sent to a server that we have just begun to connect to waits for so long."""


READABLE, WRITABLE, AT_ONCE = int(zmq.POLLIN), int(zmq.POLLOUT), int(zmq.NOBLOCK)
"""As plain integers: Python's enumerations cost half of what a look at a socket does."""


class Line:
    """One server's connection; frames wait only while it is being made for the first time."""

    def __init__(self, context: Context, endpoint: str, now: float) -> None:
        self.endpoint = endpoint
        self.socket = tcp_dealer(context, endpoint, REPLY_BYTES_MAX)
        self.descriptor = cast("int", self.socket.getsockopt(zmq.FD))
        self.made_at = now
        self.is_up = False
        self.waiting: list[bytes] | None = []  # None once it was up, or took too long

    def events(self) -> int:
        """What the connection is ready for."""
        return cast("int", self.socket.getsockopt(zmq.EVENTS))

    def has_news(self) -> bool:
        """Whether something waits to be read, or the connection came or went."""
        events = self.events()
        return bool(events & READABLE) or bool(events & WRITABLE) is not self.is_up


class Lines:
    """One clerk's brain and its connections."""

    def __init__(self, endpoints: Iterable[str], on_line: Callable[[int], None]) -> None:
        """on_line is told the file descriptor of each new connection: readable means a turn is due.

        ZeroMQ makes it so only once for all that came: whoever waits for it asks wait_s() first.
        """
        self.router = Router(endpoints, SystemRandom(), time.monotonic())
        self.bad_replies = 0
        self._context = _share()
        self._on_line = on_line
        self._lines: dict[str, Line] = {}
        self._by_descriptor: dict[int, Line] = {}
        self._behind: list[int] = []  # of whom more came than one turn takes

    def turn(self, descriptors: Iterable[int] | None = ()) -> list[Settled]:
        """Take what came there, None: everywhere; send what is due; the calls that ended."""
        settled: list[Settled] = []
        behind, self._behind = self._behind, []
        ready = self._by_descriptor if descriptors is None else [*descriptors, *behind]
        lines = [self._by_descriptor[descriptor] for descriptor in ready]
        while True:
            now = time.monotonic()
            for line in lines:
                self._look(line, now)
            requests, ended = self.router.turn(now)
            settled += ended
            for endpoint, request in requests:
                self._send(endpoint, encode(request), now)
            # Sending may have taken the notice that something came: nobody would tell us again.
            asked = {endpoint for endpoint, _ in requests} & self._lines.keys()
            lines = [line for line in map(self._lines.__getitem__, asked) if line.has_news()]
            if not lines:
                return settled

    def wait_s(self) -> float:
        """How long nothing need happen, if nothing comes."""
        now = time.monotonic()
        return 0.0 if self._behind else max(0.0, self.router.due(now) - now)

    def close(self) -> list[Settled]:
        """Close all connections; the calls that waited."""
        for line in self._lines.values():
            line.socket.close()
        self._lines.clear()
        self._by_descriptor.clear()
        _release(self._context)
        return self.router.close()

    def _look(self, line: Line, now: float) -> None:
        """What came, and whether the connection is still, or only now, there."""
        events = self._receive(line, now)
        was_up, line.is_up = line.is_up, bool(events & WRITABLE)
        if line.is_up and line.waiting is not None:
            for frame in line.waiting:
                line.socket.send(frame, AT_ONCE)
            line.waiting = None
        elif was_up and not line.is_up:
            self.router.on_unreachable(line.endpoint, now)
        elif line.waiting is not None and now - line.made_at >= CONNECT_S:
            line.waiting = None
            self.router.on_unreachable(line.endpoint, now)

    def _receive(self, line: Line, now: float) -> int:
        """Take all that came, up to a bound; what the connection is ready for then."""
        for _ in range(DRAIN_MAX):
            events = line.events()
            if not events & READABLE:
                return events
            frame = line.socket.recv(AT_ONCE)
            try:
                reply = decode_reply(frame)
            except CodecError:
                self.bad_replies += 1
                continue
            self.router.on_reply(line.endpoint, reply, now)
        self._behind.append(line.descriptor)
        return line.events()

    def _send(self, endpoint: str, frame: bytes, now: float) -> None:
        try:
            line = self._lines.get(endpoint) or self._connect(endpoint, now)
            if line.waiting is None:
                line.socket.send(frame, AT_ONCE)
            else:
                line.waiting.append(frame)
        except zmq.ZMQError:  # nobody there, or a name that is none
            self.router.on_unreachable(endpoint, now)

    def _connect(self, endpoint: str, now: float) -> Line:
        line = self._lines[endpoint] = Line(self._context, endpoint, now)
        self._by_descriptor[line.descriptor] = line
        self._on_line(line.descriptor)
        return line


_shared: dict[int, tuple[Context, int]] = {}  # by process: a fork must not use its parent's
_sharing = threading.Lock()


def _share() -> Context:
    """One context, and so one thread for input and output, serves all clerks of a process."""
    with _sharing:
        context, users = _shared.get(os.getpid(), (None, 0))
        context = context or zmq.Context()
        _shared[os.getpid()] = context, users + 1
        return context


def _release(context: Context) -> None:
    with _sharing:
        users = _shared[os.getpid()][1] - 1
        _shared[os.getpid()] = context, users
        if users == 0:
            del _shared[os.getpid()]
            context.term()
