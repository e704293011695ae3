"""The Clerk for ordinary programs: blocking calls, futures and pipelines, from any thread.

with Clerk("127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103") as clerk:
    clerk.put("colour", "red")
    assert clerk.get("colour") == b"red"
"""

import importlib
import sys
import weakref
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Self, cast

from actors.packages import end_without

try:
    from actors.clerkcalls import TIMEOUT_S, Servers, Text, endpoints_of, key_of, level_of, value_of
    from actors.clerkerrors import KvorumError
    from actors.clerkloop import ClerkLoop, Promise, Token, Waiter
    from actors.status import ask_all
    from messages.client import APPEND, PUT, Operation, Status
except ModuleNotFoundError as missing:
    if __name__ != "__main__":
        raise
    end_without(missing)

PIPELINE_CALLS_MAX = 16_384
"""Calls of a pipeline on their way; at the bound the next one waits for the first of them."""


class Clerk:
    """One cluster's keys; safe to share between threads, made anew after a fork."""

    def __init__(self, servers: Servers, timeout: float = TIMEOUT_S) -> None:
        """Servers: config.yaml, or host:port of some nodes; timeout: of calls, in seconds."""
        self._timeout_s = timeout
        self._loop = ClerkLoop(endpoints_of(servers))
        self._end = weakref.finalize(self, self._loop.close)

    def put(self, key: Text, value: Text, timeout: float | None = None) -> None:
        """Set the value of a key."""
        self._loop.check_may_wait()
        self._loop.wait_for(self._write(Waiter(key_of(key)), PUT, value, timeout))

    def append(self, key: Text, value: Text, timeout: float | None = None) -> None:
        """Add to the end of the value; a missing key is an empty value."""
        self._loop.check_may_wait()
        self._loop.wait_for(self._write(Waiter(key_of(key)), APPEND, value, timeout))

    def get(self, key: Text, level: str = "linearizable", timeout: float | None = None) -> bytes:
        """The value of a key; a missing key reads as the empty value."""
        self._loop.check_may_wait()
        waiter = self._read(Waiter(key_of(key)), level, timeout, b"")
        return cast("bytes", self._loop.wait_for(waiter))

    def lookup(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> bytes | None:
        """The value of a key, None if it has none."""
        self._loop.check_may_wait()
        return self._loop.wait_for(self._read(Waiter(key_of(key)), level, timeout, None))

    def put_async(self, key: Text, value: Text, timeout: float | None = None) -> Future[None]:
        """As put; the future is done when the put is."""
        promise = self._write(Promise(key_of(key)), PUT, value, timeout)
        return cast("Future[None]", self._loop.leave(promise))

    def append_async(self, key: Text, value: Text, timeout: float | None = None) -> Future[None]:
        """As append; the future is done when the append is."""
        promise = self._write(Promise(key_of(key)), APPEND, value, timeout)
        return cast("Future[None]", self._loop.leave(promise))

    def get_async(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> Future[bytes]:
        """As get, as a future."""
        promise = self._read(Promise(key_of(key)), level, timeout, b"")
        return cast("Future[bytes]", self._loop.leave(promise))

    def lookup_async(
        self, key: Text, level: str = "linearizable", timeout: float | None = None
    ) -> Future[bytes | None]:
        """As lookup, as a future."""
        return self._loop.leave(self._read(Promise(key_of(key)), level, timeout, None))

    def pipeline(self, timeout: float | None = None) -> "Pipeline":
        """Many calls on their way at a time, for `with`: its end waits for all of them."""
        return Pipeline(self._loop, self._timeout_s if timeout is None else timeout)

    def status(self, timeout: float = 1.0) -> dict[str, Status | None]:
        """What each known server says of itself; None for those that say nothing in time."""
        endpoints = self._loop.endpoints
        answers = ask_all({endpoint: endpoint for endpoint in endpoints}, timeout)
        return {at: answers[at].status if at in answers else None for at in endpoints}

    def close(self) -> None:
        """End what waits, as not applied or unknown; calling it again does nothing."""
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, token: Token, kind: int, value: Text, timeout: float | None) -> Token:
        timeout_s = self._timeout_s if timeout is None else timeout
        self._loop.write(token, Operation(kind, token.key, value_of(value)), timeout_s)
        return token

    def _read(
        self, token: Token, level: str, timeout: float | None, missing: bytes | None
    ) -> Token:
        timeout_s = self._timeout_s if timeout is None else timeout
        self._loop.read(token, level_of(level), timeout_s, missing)
        return token


class Pipeline:
    """Calls that do not wait for each other; writes take effect in the order of the calls.

    Each call returns at once; its result() waits, and gives or raises what the call led to. The
    end of the `with` block waits for all, and raises the first error.
    """

    def __init__(self, loop: ClerkLoop, timeout_s: float) -> None:
        self._loop = loop
        self._timeout_s = timeout_s
        self._calls: deque[Waiter] = deque()
        self._error: KvorumError | None = None

    def put(self, key: Text, value: Text) -> Waiter:
        """Set the value of a key."""
        return self._write(PUT, key, value)

    def append(self, key: Text, value: Text) -> Waiter:
        """Add to the end of the value; a missing key is an empty value."""
        return self._write(APPEND, key, value)

    def get(self, key: Text, level: str = "linearizable") -> Waiter:
        """The value of a key, which may lack the writes of this pipeline that are not done yet."""
        return self._read(key, level, b"")

    def lookup(self, key: Text, level: str = "linearizable") -> Waiter:
        """As get, but None if the key has no value."""
        return self._read(key, level, None)

    def wait(self) -> None:
        """Until all calls have ended; raises the first error since the last wait."""
        while self._calls:
            self._wait_for_first()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.wait()

    def _write(self, kind: int, key: Text, value: Text) -> Waiter:
        self._make_room()
        call = Waiter(key_of(key))
        self._loop.write(call, Operation(kind, call.key, value_of(value)), self._timeout_s)
        self._calls.append(call)
        return self._loop.leave(call)

    def _read(self, key: Text, level: str, missing: bytes | None) -> Waiter:
        self._make_room()
        call = Waiter(key_of(key))
        self._loop.read(call, level_of(level), self._timeout_s, missing)
        self._calls.append(call)
        return self._loop.leave(call)

    def _make_room(self) -> None:
        self._loop.check_may_wait()
        if len(self._calls) >= PIPELINE_CALLS_MAX:
            self._wait_for_first()

    def _wait_for_first(self) -> None:
        try:
            self._calls.popleft().result()
        except KvorumError as error:
            self._error = self._error or error


def main(argv: Sequence[str] | None = None) -> int:
    """The command line, `clerk` and `python -m actors.clerk`."""
    code: int = importlib.import_module("actors.clerkcli").main(argv)
    return code


if __name__ == "__main__":
    sys.exit(main())
