"""The turns of a Clerk: run by a caller that waits, or by a thread of its own while none does.

One thread at a time leads: it alone touches the brain and the sockets, all others hand it their
calls. A caller who finds nobody leading leads until its own call ends, which saves two changes of
threads; what is then still on its way, our own thread leads to its end (decision 0006).
"""

import math
import os
import select
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol, TypeVar

from actors.clerkerrors import ClerkClosed, error_of
from actors.lines import Lines
from kv.outcomes import Failed, Ok, Outcome, Settled, Why
from kv.readcalls import ReadCall
from messages.client import Operation

CLOSE_S = 5.0

NOBODY = 0
"""No thread has this identity."""


class Pending(Protocol):
    """Whoever waits for a call."""

    key: bytes

    def settle(self, outcome: Outcome, limits: tuple[int, int]) -> None:
        """The call ended; limits are the cluster's, for the sentence. A second time is nothing."""


Token = TypeVar("Token", bound=Pending)


class Waiter:
    """A call that at most one thread waits for; a tenth of a Future's price."""

    __slots__ = ("_limits", "_lock", "_outcome", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self._outcome: Outcome | None = None
        self._limits = (0, 0)
        self._lock: threading.Lock | None = None

    @property
    def has_ended(self) -> bool:
        """Whether result() returns at once."""
        return self._outcome is not None

    def settle(self, outcome: Outcome, limits: tuple[int, int]) -> None:
        """The call ended. Outcome first, then the lock: result() looks the other way round."""
        if self._outcome is None:
            self._limits = limits
            self._outcome = outcome
            if self._lock is not None:
                self._lock.release()

    def result(self) -> bytes | None:
        """What the call gives, when it has ended; raises what went wrong."""
        if self._outcome is None:
            lock = threading.Lock()
            lock.acquire()
            self._lock = lock
            if self._outcome is None:
                lock.acquire()
        outcome = self._outcome
        assert outcome is not None
        if isinstance(outcome, Ok):
            return outcome.value
        raise error_of(outcome, self.key, self._limits)


class Promise(Future[bytes | None]):
    """A call as a future."""

    def __init__(self, key: bytes) -> None:
        super().__init__()
        self.key = key
        self.set_running_or_notify_cancel()  # it is on its way: it cannot be taken back

    def settle(self, outcome: Outcome, limits: tuple[int, int]) -> None:
        """The call ended."""
        if self.done():
            return
        if isinstance(outcome, Ok):
            self.set_result(outcome.value)
        else:
            self.set_exception(error_of(outcome, self.key, limits))


Submitted = tuple[Pending, Operation, float] | tuple[int, ReadCall]


class ClerkLoop:
    """Runs the turns of one clerk."""

    def __init__(self, endpoints: Iterable[str]) -> None:
        self._process = os.getpid()
        self._woken, self._wake = os.pipe()
        # Not closed by the thread: a caller who is about to write would hit whoever has the number.
        weakref.finalize(self, _close_both, self._woken, self._wake)
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wake, False)
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._lines = Lines(endpoints, lambda fd: self._poll.register(fd, select.POLLIN))
        self._inbox: deque[Submitted] = deque()
        self._untold: deque[Settled] = deque()
        # A full fence, too: sockets change threads under it. Only its holder can let it go.
        self._leading = threading.RLock()
        self._leader = NOBODY
        self._is_in_turn = False
        self._is_asleep = False
        self._is_closing = False
        self._has_ended = False
        self._vacancies: SimpleQueue[None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="clerk", daemon=True)
        self._thread.start()

    @property
    def endpoints(self) -> tuple[str, ...]:
        """All servers known."""
        return self._lines.router.endpoints

    def write(self, token: Pending, operation: Operation, timeout_s: float) -> None:
        """Hand in a write; those of one thread take effect in this order."""
        self._hand_in((token, operation, time.monotonic() + timeout_s), token.key)

    def read(self, token: Pending, level: int, timeout_s: float, missing: bytes | None) -> None:
        """Hand in a read; a key without a value reads as missing."""
        deadline = time.monotonic() + timeout_s
        self._hand_in((level, ReadCall(token, token.key, deadline, missing)), token.key)

    def wait_for(self, waiter: Waiter) -> bytes | None:
        """The result of a call that was handed in; leads if nobody does."""
        try:
            if not waiter.has_ended and self._leading.acquire(blocking=False):
                self._lead(waiter)
        except BaseException:
            self._let_go()  # an interrupt may come when the lead is taken and not yet used
            raise
        return waiter.result()

    def leave(self, token: Token) -> Token:
        """What was handed in is waited for later, or never: see that somebody leads."""
        if self._leader == NOBODY:  # whoever leads looks at the inbox after letting go
            self._vacancies.put(None)
        return token

    def check_may_wait(self) -> None:
        """A callback of a future runs on the leader's thread: who would end what it waits for?"""
        if threading.get_ident() == self._leader:
            raise RuntimeError("a future's callback must not wait for another call of its clerk")

    def close(self) -> None:
        """End all that waits, and the thread; a fork of its process leaves both alone."""
        if self._is_closing or self._process != os.getpid():
            return
        self._is_closing = True
        self._vacancies.put(None)
        os.write(self._wake, b"\0")
        if threading.get_ident() not in (self._thread.ident, self._leader):
            self._thread.join(CLOSE_S)

    def _hand_in(self, submitted: Submitted, key: bytes) -> None:
        if self._process != os.getpid():
            raise ClerkClosed(key, "a clerk does not survive a fork: make another one in here")
        if self._is_closing:
            raise ClerkClosed(key, Why.CLOSED.value)
        self._inbox.append(submitted)
        if self._is_asleep:
            self._is_asleep = False
            os.write(self._wake, b"\0")
        if self._has_ended:
            self._refuse_inbox()  # it ended after we looked, and may have missed this

    def _run(self) -> None:
        """Our own thread: leads when there is work and nobody else leads; ends it all."""
        try:
            while not self._is_closing:
                self._vacancies.get()
                if self._leading.acquire(blocking=False):
                    self._lead(None)
        finally:
            self._is_closing = True
            with self._leading:
                self._untold += self._lines.close()
                self._has_ended = True
                self._tell()
                self._refuse_inbox()

    def _lead(self, waiter: Waiter | None) -> None:
        """Run turns until that call has ended, or every call; lets go of the lead."""
        self._leader = threading.get_ident()
        try:
            self._turn()
            while not self._is_over(waiter):
                self._hear(self._sleep())
                if not self._is_over(waiter):
                    self._turn()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        """Let others lead; once more does no harm: an interrupt may come between two steps."""
        if self._leader == threading.get_ident():
            # Interrupted between two steps, nobody knows what the brain has half done.
            self._is_closing |= self._is_in_turn
            self._leader = NOBODY
        is_left = self._lines.router.has_work or self._is_closing
        with suppress(RuntimeError):  # we do not hold it any more
            self._leading.release()
        if is_left or self._inbox:
            self._vacancies.put(None)

    def _is_over(self, waiter: Waiter | None) -> bool:
        if self._is_closing:
            return True
        if waiter is not None:
            return waiter.has_ended
        return not (self._inbox or self._lines.router.has_work)

    def _turn(self) -> None:
        self._is_in_turn = True
        inbox, router, lines = self._inbox, self._lines.router, self._lines
        is_news = True
        while is_news:
            while inbox:
                submitted = inbox.popleft()
                if len(submitted) == 3:
                    router.write(*submitted)
                else:
                    router.read(*submitted)
            self._untold += lines.decide()
            lines.speak()
            is_news = lines.listen()
            self._tell()
        self._is_in_turn = False

    def _hear(self, ready: Iterable[int] | None) -> None:
        self._is_in_turn = True
        self._untold += self._lines.hear(ready)
        self._tell()
        self._is_in_turn = False

    def _sleep(self) -> Iterable[int] | None:
        """Until something comes, somebody calls, or time is up; where to look then, None: all."""
        wait_s = self._lines.due() - time.monotonic()
        self._is_asleep = True
        try:
            if self._inbox or self._is_closing:  # who calls after this look will wake us
                return ()
            wait_ms = None if wait_s == math.inf else max(0, math.ceil(wait_s * 1000))
            events = self._poll.poll(wait_ms)
        finally:
            self._is_asleep = False
        if not events:
            return None
        ready = [descriptor for descriptor, _ in events]
        if self._woken in ready:
            os.read(self._woken, 4096)
            ready.remove(self._woken)
        return ready

    def _refuse_inbox(self) -> None:
        with suppress(IndexError):
            while True:
                submitted = self._inbox.popleft()
                token = submitted[0] if len(submitted) == 3 else submitted[1].token
                assert token is not None
                token.settle(Failed(Why.CLOSED), self._lines.router.limits)

    def _tell(self) -> None:
        """Each is told before it is taken off: one more time does no harm, never would."""
        untold, limits = self._untold, self._lines.router.limits
        while untold:
            token, outcome = untold[0]
            token.settle(outcome, limits)
            untold.popleft()


def _close_both(first: int, second: int) -> None:
    os.close(first)
    os.close(second)
