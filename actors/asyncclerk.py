"""The Clerk for asyncio: every call is a future, all calls of one moment travel in one frame.

async with AsyncClerk("config.yaml") as clerk:
    await clerk.put("colour", "red")
    assert await clerk.get("colour") == b"red"
"""

import asyncio
import math
import os
import time
from asyncio import Future
from collections.abc import Iterable
from typing import Any, Self

from actors.clerkcalls import TIMEOUT_S, Servers, Text, endpoints_of, key_of, level_of, value_of
from actors.clerkerrors import ClerkClosed, error_of
from actors.lines import Lines
from actors.status import ask_all
from kv.outcomes import Ok, Settled, Why
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
        self._is_closed = False
        self._is_due = False
        self._timer: asyncio.TimerHandle | None = None

    def put(self, key: Text, value: Text, timeout: float | None = None) -> Future[None]:
        """Set the value of a key."""
        return self._write(PUT, key_of(key), value, timeout)

    def append(self, key: Text, value: Text, timeout: float | None = None) -> Future[None]:
        """Add to the end of the value; a missing key is an empty value."""
        return self._write(APPEND, key_of(key), value, timeout)

    def get(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> Future[bytes]:
        """The value of a key; a missing key reads as the empty value."""
        return self._read(key_of(key), level, timeout, b"")

    def lookup(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> Future[bytes | None]:
        """The value of a key, None if it has none."""
        return self._read(key_of(key), level, timeout, None)

    async def status(self, timeout: float = 1.0) -> dict[str, Status | None]:  # noqa: ASYNC109
        """What each known server says of itself; None for those that say nothing in time."""
        endpoints = self._lines.router.endpoints
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
        if self._timer is not None:
            self._timer.cancel()
        self._tell(self._lines.close())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def _write(self, kind: int, key: bytes, value: Text, timeout: float | None) -> Future[Any]:
        future = self._begin(key)
        operation = Operation(kind, key, value_of(value))
        deadline = time.monotonic() + (self._timeout_s if timeout is None else timeout)
        self._lines.router.write((future, key), operation, deadline)
        return future

    def _read(
        self, key: bytes, level: str, timeout: float | None, missing: bytes | None
    ) -> Future[Any]:
        future = self._begin(key)
        deadline = time.monotonic() + (self._timeout_s if timeout is None else timeout)
        call = ReadCall((future, key), key, deadline, missing)
        self._lines.router.read(level_of(level), call)
        return future

    def _begin(self, key: bytes) -> Future[Any]:
        """A future for one more call, which leaves with all others of this moment."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop, key)
        if self._is_closed:
            raise ClerkClosed(key, Why.CLOSED.value)
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._send)
        return loop.create_future()

    def _adopt(self, loop: asyncio.AbstractEventLoop, key: bytes) -> None:
        if self._process != os.getpid():
            raise ClerkClosed(key, "a clerk does not survive a fork: make another one in here")
        if self._loop is not None:
            raise ClerkClosed(key, "an AsyncClerk serves the event loop of its first call only")
        self._loop = loop

    def _on_line(self, descriptor: int) -> None:
        assert self._loop is not None
        self._descriptors.append(descriptor)
        self._loop.add_reader(descriptor, self._turn, (descriptor,))

    def _send(self) -> None:
        """All calls of this moment have come."""
        self._is_due = False
        self._turn(())

    def _on_timer(self) -> None:
        self._timer = None
        self._turn(None)

    def _turn(self, descriptors: Iterable[int] | None) -> None:
        if not self._is_closed:
            self._tell(self._lines.turn(descriptors))
            self._set_timer()

    def _set_timer(self) -> None:
        """Let a turn come when it is due, even if nothing happens; never, if nobody waits."""
        assert self._loop is not None
        wait_s = self._lines.wait_s()
        if wait_s == math.inf:
            return
        at = self._loop.time() + wait_s
        if self._timer is not None:
            if self._timer.when() <= at:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._on_timer)

    def _tell(self, settled: list[Settled]) -> None:
        for token, outcome in settled:
            future, key = token
            if future.done():
                continue  # cancelled by whoever waited
            if isinstance(outcome, Ok):
                future.set_result(outcome.value)
            else:
                future.set_exception(error_of(outcome, key, self._lines.router.limits))
