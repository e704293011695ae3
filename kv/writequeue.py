"""A clerk's writes that are not settled, in the order in which they take effect.

The session numbers them without a gap, so a call's number follows from its place. One that was
given up keeps its place and from then on does nothing, or the numbers behind it would never be
executed.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from kv.outcomes import Failed, Ok, Outcome, Unknown, Why
from messages.client import NOTHING, VALUE_TOO_LONG, Operation, Writes
from messages.clientcodec import OPERATIONS_MAX

FRAME_BYTES_MAX = 256 * 1024
"""A frame is closed here; a larger operation has one of its own."""

NOTHING_AT_ALL = Operation(NOTHING, b"", b"")

Token = object
Settled = tuple[Token, Outcome]


@dataclass(slots=True)
class Call:
    """One write; token is None once it is settled and only keeps its place."""

    token: Token | None
    operation: Operation
    deadline: float
    doubts: int = 0  # transmissions that may have been executed

    def give_up(self, why: Why) -> Settled:
        """Settle it by what is known, and let its place do nothing from now on."""
        outcome = Unknown(why) if self.doubts else Failed(why)
        settled = (self.token, outcome)
        self.token, self.operation = None, NOTHING_AT_ALL
        return settled


class Sent(NamedTuple):
    """One frame on its way to one server, or lost."""

    endpoint: str
    first: int
    calls: tuple[Call, ...]


class WriteQueue:
    """One session's writes; at the bound of calls no more are taken."""

    def __init__(self, calls_max: int, window_operations: int) -> None:
        self.session = 0
        self._calls_max = calls_max
        self._window = window_operations
        self._calls: deque[Call] = deque()
        self._first = 1  # the number of _calls[0]
        self._sent = 0  # how many of them are on their way to the server in use
        self._frames: deque[Sent] = deque()
        self._live = 0

    @property
    def has_work(self) -> bool:
        """Whether anybody waits for a write."""
        return self._live > 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is due."""
        return self._sent > 0

    @property
    def is_empty(self) -> bool:
        """Whether every number that was given out is settled."""
        return not self._calls

    def submit(self, token: Token, operation: Operation, deadline: float) -> bool:
        """Take a write; False at the bound."""
        if len(self._calls) >= self._calls_max:
            return False
        self._calls.append(Call(token, operation, deadline))
        self._live += 1
        return True

    def frames(self, endpoint: str) -> Iterator[Writes]:
        """What may be sent to that server now, within the window."""
        while self._live and self._sent < min(len(self._calls), self._window):
            calls = self._next_frame()
            first = self._first + self._sent
            self._sent += len(calls)
            self._frames.append(Sent(endpoint, first, calls))
            for call in calls:
                call.doubts += 1
            operations = tuple(call.operation for call in calls)
            yield Writes(self.session, first, self._first, operations)

    def resend(self) -> None:
        """Whoever is asked next hears all of it again, from the first that is not settled."""
        self._sent = 0

    def on_wrote(self, through: int, results: Sequence[tuple[int, bytes]]) -> Iterator[Settled]:
        """Everything up to through was executed, once."""
        said = dict(results)
        while self._calls and self._first <= through:
            call = self._calls.popleft()
            if call.token is not None:
                self._live -= 1
                too_long = said.get(self._first) == VALUE_TOO_LONG
                yield call.token, Failed(Why.TOO_LARGE) if too_long else Ok(None)
            self._first += 1
            self._sent = max(0, self._sent - 1)
        while self._frames and self._frames[0].first + len(self._frames[0].calls) <= self._first:
            self._frames.popleft()

    def on_refused(self, endpoint: str, number: int) -> tuple[Call, ...]:
        """That server did not execute the frame this number is in: the calls of it."""
        for sent in self._frames:
            if sent.endpoint == endpoint and sent.first <= number < sent.first + len(sent.calls):
                self._frames.remove(sent)
                for call in sent.calls:
                    call.doubts -= 1
                return sent.calls
        return ()

    def call_of(self, number: int) -> Call | None:
        """The unsettled call of that number."""
        place = number - self._first
        return self._calls[place] if 0 <= place < len(self._calls) else None

    def give_up(self, call: Call, why: Why) -> Iterator[Settled]:
        """Settle one call, if it is not settled yet."""
        if call.token is not None:
            self._live -= 1
            yield call.give_up(why)

    def give_up_all(self, why: Why) -> Iterator[Settled]:
        """Settle every call."""
        for call in self._calls:
            yield from self.give_up(call, why)

    def expire(self, now: float, why: Why) -> Iterator[Settled]:
        """Settle the calls whose deadline has passed."""
        for call in self._calls:
            if call.deadline <= now:
                yield from self.give_up(call, why)

    def restart(self, session: int) -> Iterator[Settled]:
        """Another session: what may have been executed in the old one is unknown for ever."""
        for call in self._calls:
            if call.doubts:
                yield from self.give_up(call, Why.SESSION_EXPIRED)
        self._calls = deque(call for call in self._calls if call.token is not None)
        self._frames.clear()
        self.session = session
        self._first, self._sent = 1, 0

    def _next_frame(self) -> tuple[Call, ...]:
        calls: list[Call] = []
        size = 0
        for place in range(self._sent, min(len(self._calls), self._window)):
            _, key, value = self._calls[place].operation
            size += len(key) + len(value)
            if calls and (size > FRAME_BYTES_MAX or len(calls) == OPERATIONS_MAX):
                break
            calls.append(self._calls[place])
        return tuple(calls)
