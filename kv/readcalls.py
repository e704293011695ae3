"""A clerk's reads that are not settled; they change nothing, so any of them may be asked again."""

from collections.abc import Iterator
from typing import NamedTuple

from kv.outcomes import Failed, Ok, Why
from kv.writequeue import Settled, Token
from messages.client import LINEARIZABLE, Reads, Values
from messages.clientcodec import OPERATIONS_MAX


class ReadCall(NamedTuple):
    """One key that somebody waits for."""

    token: Token
    key: bytes
    level: int
    deadline: float


class Asked(NamedTuple):
    """A question on its way, and the answers to it that have come."""

    calls: list[ReadCall | None]  # None: settled meanwhile, its place stays
    values: dict[int, bytes | None]
    level: int


class ReadCalls:
    """Reads that wait to be asked, and those that were; at the bound no more are taken."""

    def __init__(self, calls_max: int) -> None:
        self._calls_max = calls_max
        self._waiting: dict[int, list[ReadCall]] = {}  # by level
        self._asked: dict[int, Asked] = {}
        self._count = 0

    @property
    def has_work(self) -> bool:
        """Whether anybody waits for a read."""
        return self._count > 0

    @property
    def is_waiting(self) -> bool:
        """Whether an answer is due."""
        return bool(self._asked)

    def submit(self, call: ReadCall) -> bool:
        """Take a read; False at the bound."""
        if self._count >= self._calls_max:
            return False
        self._count += 1
        self._waiting.setdefault(call.level, []).append(call)
        return True

    def questions(self, request_id: int) -> Iterator[Reads]:
        """One question a level for all that wait, numbered from request_id on, never reused."""
        for level, calls in self._waiting.items():
            for first in range(0, len(calls), OPERATIONS_MAX):
                part = calls[first : first + OPERATIONS_MAX]
                self._asked[request_id] = Asked(list(part), {}, level)
                yield Reads(request_id, level, tuple(call.key for call in part))
                request_id += 1
        self._waiting.clear()

    def level_of(self, message: Values) -> int:
        """What was asked for; of a question that is settled it does not matter."""
        asked = self._asked.get(message.request_id)
        return asked.level if asked else LINEARIZABLE

    def on_values(self, message: Values) -> Iterator[Settled]:
        """Some or all of the answers to one question."""
        asked = self._asked.get(message.request_id)
        if asked is None:
            return
        asked.values.update(enumerate(message.values, message.first))
        if len(asked.values) < len(asked.calls):
            return
        del self._asked[message.request_id]
        for place, call in enumerate(asked.calls):
            if call is not None:
                self._count -= 1
                yield call.token, Ok(asked.values.get(place))

    def ask_again(self, request_id: int | None = None) -> None:
        """That question, or every one, was not answered: its reads wait again."""
        numbers = list(self._asked) if request_id is None else [request_id]
        for number in numbers:
            for call in self._asked.pop(number, Asked([], {}, LINEARIZABLE)).calls:
                if call is not None:
                    self._waiting.setdefault(call.level, []).append(call)

    def expire(self, now: float, why: Why) -> Iterator[Settled]:
        """Settle the reads whose deadline has passed."""
        late: list[ReadCall] = []
        for asked in self._asked.values():
            for place, call in enumerate(asked.calls):
                if call is not None and call.deadline <= now:
                    late.append(call)
                    asked.calls[place] = None
        for level, calls in self._waiting.items():
            late += [call for call in calls if call.deadline <= now]
            self._waiting[level] = [call for call in calls if call.deadline > now]
        self._count -= len(late)
        for call in late:
            yield call.token, Failed(why)

    def give_up_all(self, why: Why) -> Iterator[Settled]:
        """Settle every read."""
        yield from self.expire(float("inf"), why)
