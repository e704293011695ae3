"""The Clerk for asyncio: every call is a future, all calls of one moment travel in one frame.

async with AsyncClerk("config.yaml") as clerk:
    await clerk.put("colour", "red")
    assert await clerk.get("colour") == b"red"
"""

import asyncio
import os
import time
from asyncio import Future
from typing import Any, Self

from actors.clerkcalls import TIMEOUT_S, Servers, Text, endpoints_of, key_of, level_of, value_of
from actors.clerkerrors import ClerkClosed, error_of
from actors.lines import Lines
from actors.rounds import Part, rounds_of
from actors.status import ask_all
from kv.outcomes import WRITTEN, Ok, Settled, Why
from kv.readcalls import ReadCall
from messages.client import APPEND, PUT, Operation, Status


class AsyncClerk:
    """One cluster's keys, for the tasks of one event loop; made anew after a fork."""

    def __init__(self, servers: Servers, timeout: float = TIMEOUT_S) -> None:
        """Servers: config.yaml, or host:port of some nodes; timeout: of calls, in seconds."""
        self._timeout_s = timeout
        self._process = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the first call
        self._descriptors: list[int] = []
        self._lines = Lines(endpoints_of(servers), self._on_line)
        self._router = self._lines.router
        self._part: Part | None = None
        self._is_closed = False

    def put(self, key: Text, value: Text, timeout: float | None = None) -> Future[None]:
        """Set the value of a key."""
        return self._write(PUT, key, value, timeout)

    def append(self, key: Text, value: Text, timeout: float | None = None) -> Future[None]:
        """Add to the end of the value; a missing key is an empty value."""
        return self._write(APPEND, key, value, timeout)

    def get(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> Future[bytes]:
        """The value of a key; a missing key reads as the empty value."""
        return self._read(key, level, timeout, b"")

    def lookup(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> Future[bytes | None]:
        """The value of a key, None if it has none."""
        return self._read(key, level, timeout, None)

    async def status(self, timeout: float = 1.0) -> dict[str, Status | None]:  # noqa: ASYNC109
        """What each known server says of itself; None for those that say nothing in time."""
        endpoints = self._router.endpoints
        named = {endpoint: endpoint for endpoint in endpoints}
        answers = await asyncio.to_thread(ask_all, named, timeout)
        return {at: answers[at].status if at in answers else None for at in endpoints}

    def close(self) -> None:
        """End what waits, as not applied or unknown; calling it again does nothing."""
        if self._is_closed or self._process != os.getpid():
            return
        self._is_closed = True
        if self._loop is not None and not self._loop.is_closed():
            for descriptor in self._descriptors:
                self._loop.remove_reader(descriptor)
        self._tell(self._lines.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _write(self, kind: int, key: Text, value: Text, timeout: float | None) -> Future[Any]:
        if type(key) is not bytes or not key:  # asked here, as a call costs as much as the rest
            key = key_of(key)
        if type(value) is not bytes:
            value = value_of(value)
        future = self._begin(key)
        deadline = time.monotonic() + (self._timeout_s if timeout is None else timeout)
        self._router.write((future, key), Operation(kind, key, value), deadline)
        return future

    def _read(
        self, given: Text, level: str, timeout: float | None, missing: bytes | None
    ) -> Future[Any]:
        key = given if type(given) is bytes and given else key_of(given)
        future = self._begin(key)
        deadline = time.monotonic() + (self._timeout_s if timeout is None else timeout)
        self._router.read(level_of(level), ReadCall((future, key), key, deadline, missing))
        return future

    def _begin(self, key: bytes) -> Future[Any]:
        """A future for one more call, which leaves with all others of this moment."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop, key)
        if self._is_closed:
            raise ClerkClosed(key, Why.CLOSED.value)
        assert self._part is not None
        if not self._part.is_called:
            self._part.call()
        return loop.create_future()

    def _adopt(self, loop: asyncio.AbstractEventLoop, key: bytes) -> None:
        if self._process != os.getpid():
            raise ClerkClosed(key, "a clerk does not survive a fork: make another one in here")
        if self._loop is not None:
            raise ClerkClosed(key, "an AsyncClerk serves the event loop of its first call only")
        self._loop = loop
        self._part = Part(rounds_of(loop), self._lines, self._tell)

    def _on_line(self, descriptor: int) -> None:
        assert self._loop is not None and self._part is not None
        self._descriptors.append(descriptor)
        self._loop.add_reader(descriptor, self._part.hear, (descriptor,))

    def _tell(self, settled: list[Settled]) -> None:
        for token, outcome in settled:
            future, key = token
            if future.done():
                continue  # cancelled by whoever waited
            if outcome is WRITTEN:
                future.set_result(None)
            elif isinstance(outcome, Ok):
                future.set_result(outcome.value)
            else:
                future.set_exception(error_of(outcome, key, self._router.limits))
