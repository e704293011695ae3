"""A clerk's writes that are not settled, in the order in which they take effect.

The session numbers them without a gap, so a call's number follows from its place. One that was
given up after its number was used keeps its place and from then on does nothing, or the numbers
behind it would never be executed.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from kv.outcomes import NEVER, WRITTEN, Failed, Settled, Token, Unknown, Why
from messages.client import NOTHING, VALUE_TOO_LONG, Operation, Writes
from messages.clientcodec import OPERATIONS_MAX

FRAME_BYTES_MAX = 256 * 1024
"""A frame is closed here; a larger operation has one of its own."""

SENT_MAX = 1_024
"""Transmissions remembered; of a forgotten one no refusal is believed any more."""

NOTHING_AT_ALL = Operation(NOTHING, b"", b"")


class Bounds(NamedTuple):
    """How much may wait in the clerk, and how much of it be on its way at a time."""

    calls_max: int
    bytes_max: int
    window_bytes: int


@dataclass(slots=True)
class Call:
    """One write; token is None once it is settled and only keeps its place."""

    token: Token | None
    operation: Operation
    deadline: float
    size: int
    doubts: int = 0  # transmissions that may have been, or may yet be, executed


@dataclass(slots=True)
class Sent:
    """One transmission to one server of which not all is known to be executed or refused."""

    endpoint: str
    first: int
    last: int  # the numbers of its operations
    calls: list[Call]
    is_owed: bool = True  # a refusal of it may yet come
    is_last: bool = True  # nothing was sent all over again since


class Refusal(NamedTuple):
    """What the refusal of a number says."""

    cleared: list[Call]  # of one doubt each
    is_news: bool  # it is of what was sent last, not of what is sent again already


class WriteQueue:
    """One session's writes; at the bounds no more are taken."""

    def __init__(self, bounds: Bounds) -> None:
        self.session = 0
        self.due = NEVER  # no deadline passes before
        self.live = 0  # so many writes are waited for
        self.on_way = 0  # so many of those sent by their number are due from the server in use
        self._bounds = bounds
        self._calls: deque[Call] = deque()
        self._bytes = 0
        self._first = 1  # the number of _calls[0]
        self._used = 0  # so many of _calls, from the first on, were ever sent by their number
        self._sent_bytes = 0
        self._transmissions: deque[Sent] = deque()
        self._forgotten = 0  # the highest number in a transmission that is not remembered

    def submit(self, token: Token, operation: Operation, deadline: float) -> bool:
        """Take a write; False at a bound."""
        _, key, value = operation
        size = len(key) + len(value)
        bounds = self._bounds
        if len(self._calls) >= bounds.calls_max or self._bytes + size > bounds.bytes_max:
            return False
        self._calls.append(Call(token, operation, deadline, size))
        self._bytes += size
        self.live += 1
        if deadline < self.due:
            self.due = deadline
        return True

    def frames(self, endpoint: str, calls_max: int) -> list[Writes]:
        """What may be sent to that server now, within the window and so many calls on their way."""
        frames: list[Writes] = []
        while self.live and self.on_way < len(self._calls):
            calls = self._next_calls(calls_max)
            if not calls:
                break
            first = self._first + self.on_way
            self.on_way += len(calls)
            if self.on_way > self._used:
                self._used = self.on_way
            self._remember(Sent(endpoint, first, self._first + self.on_way - 1, calls))
            operations = tuple([call.operation for call in calls])
            frames.append(Writes(self.session, first, self._first, operations))
        return frames

    def send_all_again(self) -> None:
        """Whoever is asked next hears everything; refusals of what was sent before are old."""
        for sent in self._transmissions:
            sent.is_last = False
        self.resend()

    def write_off(self, endpoint: str) -> None:
        """What was sent there so far will not be refused any more: it, or the answer, is lost."""
        for sent in self._transmissions:
            if sent.endpoint == endpoint:
                sent.is_owed = False

    def resend(self, number: int = 0) -> None:
        """Send again from that number on, or from the first that is not settled."""
        self.on_way = max(0, min(self.on_way, number - self._first))
        self._sent_bytes = sum(call.size for call in islice(self._calls, self.on_way))

    def on_wrote(self, through: int, results: Sequence[tuple[int, bytes]]) -> list[Settled]:
        """Everything up to through was executed, once."""
        count = min(through + 1 - self._first, self._used)
        if count <= 0:
            return []
        settled: list[Settled] = []
        said = dict(results)
        size = 0
        popleft = self._calls.popleft
        for number in range(self._first, self._first + count):
            call = popleft()
            size += call.size
            if call.token is not None:
                too_long = said and said.get(number) == VALUE_TOO_LONG
                settled.append((call.token, Failed(Why.TOO_LARGE) if too_long else WRITTEN))
        self._first += count
        self._used -= count
        self._bytes -= size
        self.live -= len(settled)
        if count < self.on_way:
            self.on_way -= count
            self._sent_bytes -= size
        else:
            self.on_way = self._sent_bytes = 0
        while self._transmissions and self._transmissions[0].last < self._first:
            self._transmissions.popleft()
        return settled

    def on_refused(self, endpoint: str, number: int, *, is_certain: bool) -> Refusal:
        """That server refused the transmission this number is in; certain: it did not execute it.

        Where it may be one of several transmissions, none of them is cleared of doubt: the other
        one may be the one that is executed. That no transmission arrives twice is TCP's promise.
        Each is refused once, so of several this is taken for the oldest.
        """
        if number < self._first:
            return Refusal([], is_news=False)
        if number <= self._forgotten:
            return Refusal([], is_news=True)
        found = [
            sent
            for sent in self._transmissions
            if sent.endpoint == endpoint and sent.first <= number <= sent.last
        ]
        refused = next((sent for sent in found if sent.is_owed), None)
        is_news = refused is not None and refused.is_last
        if refused is not None:
            refused.is_owed = False
        if not is_certain or len(found) != 1:
            return Refusal([], is_news)
        self._transmissions = deque(sent for sent in self._transmissions if sent is not found[0])
        for call in found[0].calls:
            call.doubts -= 1
        return Refusal(found[0].calls, is_news)

    def call_of(self, number: int) -> Call | None:
        """The unsettled call that number was used for."""
        place = number - self._first
        return self._calls[place] if 0 <= place < self._used else None

    def give_up(self, calls: Sequence[Call], why: Why) -> list[Settled]:
        """Settle these by what is known of each; from now on their places do nothing."""
        settled: list[Settled] = []
        for call in calls:
            if call.token is not None:
                settled.append((call.token, Unknown(why) if call.doubts else Failed(why)))
                call.token, call.operation = None, NOTHING_AT_ALL
        self.live -= len(settled)
        if settled:
            self._drop_unused()
        return settled

    def give_up_all(self, why: Why) -> list[Settled]:
        """Settle every call."""
        return self.give_up(list(self._calls), why)

    def expire(self, now: float, why: Why) -> list[Settled]:
        """Settle the calls whose deadline has passed."""
        if now < self.due:
            return []
        settled = self.give_up([call for call in self._calls if call.deadline <= now], why)
        live = (call.deadline for call in self._calls if call.token is not None)
        self.due = min(live, default=NEVER)
        return settled

    def restart(self, session: int, why: Why) -> list[Settled]:
        """Another session: what may have been executed in the old one is unknown for ever."""
        settled = self.give_up([call for call in self._calls if call.doubts], why)
        self.session = session
        self._first, self._used, self._forgotten = 1, 0, 0
        self._transmissions.clear()
        self.resend()
        self._drop_unused()
        return settled

    def _next_calls(self, calls_max: int) -> list[Call]:
        """The calls of one more frame; none at the end of the window."""
        calls: list[Call] = []
        size = 0
        room = self._bounds.window_bytes - self._sent_bytes
        for call in islice(self._calls, self.on_way, min(calls_max, self.on_way + OPERATIONS_MAX)):
            size += call.size
            is_full = calls and size > FRAME_BYTES_MAX
            if is_full or (size > room and (calls or self.on_way)):
                size -= call.size
                break
            call.doubts += 1
            calls.append(call)
        self._sent_bytes += size
        return calls

    def _remember(self, sent: Sent) -> None:
        if len(self._transmissions) == SENT_MAX:
            self._forgotten = max(self._forgotten, self._transmissions.popleft().last)
        self._transmissions.append(sent)

    def _drop_unused(self) -> None:
        """A settled call whose number was never used needs no place."""
        used = list(islice(self._calls, self._used))
        rest = [call for call in islice(self._calls, self._used, None) if call.token is not None]
        self._calls = deque(used + rest)
        self._bytes = sum(call.size for call in self._calls)
