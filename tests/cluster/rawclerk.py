"""A clerk of forty lines, from docs/wire.md alone: one call at a time, over one plain socket.

The tests' clients are the product's Clerk; this one says what a test wants said, to whom it wants.
"""

import time
from typing import Self

import zmq

from messages.client import (
    PUT,
    STALE,
    VERSION,
    ClientReply,
    ClientRequest,
    Hello,
    OpenSession,
    Operation,
    Reads,
    SessionOpened,
    Values,
    Writes,
)
from messages.clientcodec import decode_reply, encode


class RawClerk:
    """One connection to one node; every call is one frame there and one back, or None in time."""

    def __init__(self, endpoint: str, timeout_s: float = 5.0, *, deaf: bool = False) -> None:
        """Dial; a deaf one takes next to nothing that it is not asked to hear."""
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        if deaf:
            self._socket.setsockopt(zmq.RCVHWM, 1)
            self._socket.setsockopt(zmq.RCVBUF, 65_536)
        self._socket.connect(f"tcp://{endpoint}")
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._number = 0
        self.session = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._context.destroy(linger=0)

    def send(self, request: ClientRequest) -> None:
        """Say it, and wait for nothing."""
        self.send_bytes(encode(request))

    def send_bytes(self, *frames: bytes) -> None:
        """Say anything."""
        self._socket.send_multipart(frames)

    def hear(self, timeout_s: float | None = None) -> ClientReply | None:
        """The next answer."""
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        if self._socket.poll(int(wait_s * 1000)):
            return decode_reply(self._socket.recv())
        return None

    def ask(self, request: ClientRequest) -> ClientReply | None:
        """Say it and hear the answer."""
        self.send(request)
        return self.hear()

    def hello(self, version: int = VERSION) -> ClientReply | None:
        """Who are you?"""
        return self.ask(Hello(self._next(), version))

    def open_session(self) -> bool:
        """Whether this node opened one: it leads, and has a majority."""
        reply = self.ask(OpenSession(self._next()))
        if isinstance(reply, SessionOpened):
            self.session = reply.session
        return isinstance(reply, SessionOpened)

    def write(self, sequence: int, *operations: Operation) -> ClientReply | None:
        """Operations of this session from that number on."""
        return self.ask(Writes(self.session, sequence, sequence, operations))

    def put(self, sequence: int, key: bytes, value: bytes) -> ClientReply | None:
        """One write."""
        return self.write(sequence, Operation(PUT, key, value))

    def read(self, *keys: bytes, level: int = STALE) -> tuple[bytes | None, ...] | None:
        """What this node has, as old as it may be; None if it does not say."""
        number = self._next()
        reply = self.ask(Reads(number, level, keys))
        deadline = time.monotonic() + self._timeout_s
        while reply is not None and time.monotonic() < deadline:
            if isinstance(reply, Values) and reply.request_id == number:
                return reply.values
            reply = self.hear()
        return None

    def _next(self) -> int:
        self._number += 1
        return self._number
