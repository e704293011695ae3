"""A clerk's connections, and the steps of the turn that both shells run: hear, decide, speak."""

import os
import threading
import time
from collections.abc import Callable, Iterable
from errno import EMFILE, ENFILE
from random import SystemRandom

import zmq

from actors.sockets import (
    Context,
    option_of,
    receive_frame,
    roomy_context,
    send_frame,
    tcp_dealer,
)
from kv.outcomes import Settled
from kv.routing import Router
from messages.clientcodec import REPLY_BYTES_MAX, decode_reply, encode
from messages.codec import CodecError

DRAIN_MAX = 1_024
"""Frames taken from one connection in a turn; the rest waits for the next turn."""

CONNECT_S = 0.1
"""What is sent to a server that we have just begun to connect to waits for so long."""


READABLE, WRITABLE = int(zmq.POLLIN), int(zmq.POLLOUT)
AT_ONCE, EVENTS = int(zmq.NOBLOCK), int(zmq.EVENTS)
"""As plain integers: Python's enumerations cost half of what a look at a socket does."""


class Line:
    """One server's connection; frames wait only while it is being made for the first time."""

    def __init__(self, context: Context, endpoint: str, now: float) -> None:
        self.endpoint = endpoint
        self.socket = tcp_dealer(context, endpoint, REPLY_BYTES_MAX)
        self.descriptor = option_of(self.socket, zmq.FD)
        self.made_at = now
        self.is_up = False
        self.waiting: list[bytes] | None = []  # None once it was up, or took too long

    def events(self) -> int:
        """What the connection is ready for."""
        return option_of(self.socket, EVENTS)

    def has_news(self) -> bool:
        """Whether something waits to be read, or the connection came or went."""
        events = self.events()
        return bool(events & READABLE) or bool(events & WRITABLE) is not self.is_up


class Lines:
    """One clerk's brain and its connections."""

    def __init__(self, endpoints: Iterable[str], on_line: Callable[[int], None]) -> None:
        """on_line is told the file descriptor of each new connection: readable means hear.

        ZeroMQ makes it so only once for all that came, and a look at a socket may take the notice:
        whoever spoke, or was told of news, goes on until there is none.
        """
        self.router = Router(endpoints, SystemRandom(), time.monotonic())
        self.bad_replies = 0
        self._context = _share()
        self._on_line = on_line
        self._lines: dict[str, Line] = {}
        self._by_descriptor: dict[int, Line] = {}
        self._behind: list[int] = []  # of whom more came than is taken at a time
        self._outgoing: list[tuple[str, bytes]] = []
        self._unsure: set[Line] = set()  # a notice of theirs may be taken that was not heeded

    def hear(self, descriptors: Iterable[int] | None) -> list[Settled]:
        """Take what came there, None: everywhere; the calls that ended. listen() has to follow."""
        now = time.monotonic()
        behind, self._behind = self._behind, []
        for descriptor in self._by_descriptor if descriptors is None else behind:
            self._look(self._by_descriptor[descriptor], now)
        for descriptor in descriptors or ():
            line = self._by_descriptor[descriptor]
            self._unsure.add(line)
            self._take(line, now)  # mostly the only one; when those it wakes have spoken, we look
        return self.router.take_settled()

    def decide(self) -> list[Settled]:
        """Find what is to be sent; the calls that ended."""
        requests, settled = self.router.turn(time.monotonic())
        for endpoint, request in requests:
            self._outgoing.append((endpoint, encode(request)))
        return settled

    def speak(self) -> None:
        """Send it: nothing else, for frames right behind each other wake libzmq's thread once."""
        outgoing, self._outgoing = self._outgoing, []
        for endpoint, frame in outgoing:
            self._send(endpoint, frame)

    def listen(self) -> bool:
        """Whether there was news that nobody would tell of, where we spoke or heard; heard now.

        A call may have ended while we spoke, too: for want of a descriptor.
        """
        unsure, self._unsure = self._unsure, set()
        found = [line for line in unsure if line.has_news()]
        for line in found:
            self._look(line, time.monotonic())
        return bool(found) or self.router.has_settled

    def due(self) -> float:
        """When to hear and to decide again, if nothing comes."""
        now = time.monotonic()
        return now if self._behind else self.router.due(now)

    def close(self) -> list[Settled]:
        """Close all connections; the calls that waited. All that is asked later finds nothing."""
        for line in self._lines.values():
            line.socket.close()
        for left in (self._lines, self._by_descriptor, self._behind, self._outgoing, self._unsure):
            left.clear()
        _release(self._context)
        return self.router.close()

    def _look(self, line: Line, now: float) -> None:
        """What came, and whether the connection is still, or only now, there."""
        is_up = bool(self._receive(line, now) & WRITABLE)
        if line.waiting is None and is_up is line.is_up:
            return
        was_up, line.is_up = line.is_up, is_up
        if is_up and line.waiting is not None:
            for frame in line.waiting:
                send_frame(line.socket, frame, AT_ONCE)
            line.waiting = None
        elif was_up and not is_up:
            self.router.on_unreachable(line.endpoint, now)
        elif line.waiting is not None and now - line.made_at >= CONNECT_S:
            line.waiting = None
            self.router.on_unreachable(line.endpoint, now)

    def _receive(self, line: Line, now: float) -> int:
        """Take all that came, up to a bound; what the connection is ready for then.

        Nothing is looked at before: a look at the events is a system call, and mostly one came.
        """
        for _ in range(DRAIN_MAX):
            self._take(line, now)
            events = line.events()
            if not events & READABLE:
                return events
        self._behind.append(line.descriptor)
        return line.events()

    def _take(self, line: Line, now: float) -> None:
        """One frame, if there is one."""
        try:
            frame = receive_frame(line.socket, AT_ONCE)
            self.router.on_reply(line.endpoint, decode_reply(frame), now)
        except zmq.Again:
            pass
        except CodecError:
            self.bad_replies += 1

    def _send(self, endpoint: str, frame: bytes) -> None:
        try:
            line = self._lines.get(endpoint) or self._connect(endpoint)
            self._unsure.add(line)
            if line.waiting is None:
                send_frame(line.socket, frame, AT_ONCE)
            else:
                line.waiting.append(frame)
        except zmq.ZMQError as error:
            if error.errno in (EMFILE, ENFILE):
                self.router.on_no_descriptor(endpoint, time.monotonic())
            else:  # nobody there, or a name that is none
                self.router.on_unreachable(endpoint, time.monotonic())

    def _connect(self, endpoint: str) -> Line:
        line = self._lines[endpoint] = Line(self._context, endpoint, time.monotonic())
        self._by_descriptor[line.descriptor] = line
        self._on_line(line.descriptor)
        return line


_shared: dict[int, tuple[Context, int]] = {}  # by process: a fork must not use its parent's
_sharing = threading.Lock()


def _share() -> Context:
    """One context, and so one thread for input and output, serves all clerks of a process."""
    with _sharing:
        context, users = _shared.get(os.getpid(), (None, 0))
        context = context or roomy_context()
        _shared[os.getpid()] = context, users + 1
        return context


def _release(context: Context) -> None:
    with _sharing:
        users = _shared[os.getpid()][1] - 1
        _shared[os.getpid()] = context, users
        if users == 0:
            del _shared[os.getpid()]
            context.term()
