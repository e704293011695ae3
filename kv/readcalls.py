"""A clerk's reads that are not settled; they change nothing, so any of them may be asked again."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from kv.outcomes import NEVER, Failed, Ok, Settled, Token, Why
from messages.client import STALE, Reads, Values
from messages.clientcodec import OPERATIONS_MAX


@dataclass(slots=True)
class ReadCall:
    """One key that somebody waits for; token is None once it is settled."""

    token: Token | None
    key: bytes
    deadline: float
    missing: bytes | None  # what a key without a value reads as


@dataclass(slots=True)
class Asked:
    """A question on its way, and the answers to it that have come."""

    level: int
    calls: list[ReadCall]
    pieces: dict[int, bytes | None] | None = None  # by place, of an answer that comes in several

    def join(self, message: Values) -> Sequence[bytes | None]:
        """The values of all calls, nothing if this piece does not complete them."""
        pieces = self.pieces = self.pieces or {}
        room = len(self.calls) - message.first
        pieces.update(enumerate(islice(message.values, max(0, room)), message.first))
        places = range(len(self.calls))
        return [pieces[place] for place in places] if len(pieces) == len(places) else ()


class ReadCalls:
    """All reads of a clerk, waiting or asked; at the bound no more are taken."""

    def __init__(self, calls_max: int) -> None:
        self.due = NEVER  # no deadline passes before
        self.live = 0  # so many reads are waited for
        self.on_way = 0  # so many are in questions whose answers are due
        self._calls_max = calls_max
        self._waiting: defaultdict[int, list[ReadCall]] = defaultdict(list)  # by level
        self._asked: dict[int, Asked] = {}  # by the id of the question

    def submit(self, level: int, call: ReadCall) -> bool:
        """Take a read; False at the bound."""
        if self.live >= self._calls_max:
            return False
        self.live += 1
        self._waiting[level].append(call)
        if call.deadline < self.due:
            self.due = call.deadline
        return True

    def questions(self, first_id: int, calls_max: int) -> list[Reads]:
        """What may be asked now, so many reads on their way; an id is never used again (R1)."""
        questions: list[Reads] = []
        for level, waiting in self._waiting.items():
            while waiting and self.on_way < calls_max:
                calls = waiting[: calls_max - self.on_way][:OPERATIONS_MAX]
                del waiting[: len(calls)]
                request_id = first_id + len(questions)
                self._asked[request_id] = Asked(level, calls)
                self.on_way += len(calls)
                questions.append(Reads(request_id, level, tuple([call.key for call in calls])))
        return questions

    def is_older(self, message: Values, applied_index: int) -> bool:
        """Whether it answers a question that allows no older state with an older one (R5)."""
        asked = self._asked.get(message.request_id)
        return asked is not None and asked.level != STALE and message.applied_index < applied_index

    def on_values(self, message: Values) -> list[Settled]:
        """Some or all of the answers to one question."""
        asked = self._asked.get(message.request_id)
        if asked is None:
            return []  # asked again meanwhile, and so answered by another id
        calls = asked.calls
        values: Sequence[bytes | None] = message.values
        if message.first or len(values) != len(calls):
            values = asked.join(message)
            if not values:
                return []
        del self._asked[message.request_id]
        self.on_way -= len(calls)
        settled: list[Settled] = []
        for call, value in zip(calls, values, strict=True):
            if call.token is not None:
                settled.append((call.token, Ok(call.missing if value is None else value)))
        self.live -= len(settled)
        return settled

    def ask_again(self, request_id: int) -> bool:
        """That question was not answered: its reads wait again; False if it was not on its way."""
        asked = self._asked.pop(request_id, None)
        if asked is None:
            return False
        self.on_way -= len(asked.calls)
        live = [call for call in asked.calls if call.token is not None]
        self._waiting[asked.level] += live
        return True

    def ask_all_again(self) -> None:
        """Whoever is asked next hears all questions."""
        for request_id in list(self._asked):
            self.ask_again(request_id)

    def expire(self, now: float, why: Why) -> list[Settled]:
        """Settle the reads whose deadline has passed."""
        if now < self.due:
            return []
        settled: list[Settled] = []
        self.due = NEVER
        for calls in [*(asked.calls for asked in self._asked.values()), *self._waiting.values()]:
            for call in calls:
                if call.token is None:
                    continue
                if call.deadline <= now:
                    settled.append((call.token, Failed(why)))
                    call.token = None
                else:
                    self.due = min(self.due, call.deadline)
        self.live -= len(settled)
        self._forget_settled()
        return settled

    def give_up_all(self, why: Why) -> list[Settled]:
        """Settle every read."""
        return self.expire(NEVER, why)

    def _forget_settled(self) -> None:
        """Nobody asks for them any more; in a question on its way they keep their places."""
        for level, calls in list(self._waiting.items()):
            self._waiting[level] = [call for call in calls if call.token is not None]
        for request_id, asked in list(self._asked.items()):
            if all(call.token is None for call in asked.calls):
                del self._asked[request_id]
                self.on_way -= len(asked.calls)
