"""Whether a history of puts, appends and gets could have happened one after the other.

Wing and Gong's search with Lowe's memory: try the operations that nothing precedes, remember every
(set of done operations, value) that was reached, go back when stuck. Keys do not touch each other,
so each is checked alone. An operation whose end nobody knows may take effect at any time after its
call, or never; a read that failed says nothing and is left out.
"""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

NEVER = float("inf")
"""The return time of an operation that was never answered."""

STATES_MAX = 2_000_000
"""A key whose search has seen so many states is given up: neither good nor bad."""


class Kind(Enum):
    """What an operation does to its key."""

    PUT = "put"
    APPEND = "append"
    GET = "get"


class Operation(NamedTuple):
    """One call, as its client saw it; value is what was written, or what a get returned."""

    called: float
    returned: float
    kind: Kind
    key: bytes
    value: bytes


class Verdict(Enum):
    """What the search found."""

    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNDECIDED = "undecided"


class Finding(NamedTuple):
    """The verdict, and for a bad one the key and the operations that no order explains."""

    verdict: Verdict
    key: bytes = b""
    stuck: tuple[Operation, ...] = ()


def check(history: Iterable[Operation], states_max: int = STATES_MAX) -> Finding:
    """The worst finding of all keys."""
    by_key: dict[bytes, list[Operation]] = {}
    for operation in history:
        if operation.kind is not Kind.GET or operation.returned != NEVER:
            by_key.setdefault(operation.key, []).append(operation)
    finding = Finding(Verdict.LINEARIZABLE)
    for key, operations in by_key.items():
        found = check_key(sorted(operations), states_max)
        if found.verdict is Verdict.NOT_LINEARIZABLE:
            return found._replace(key=key)
        if found.verdict is Verdict.UNDECIDED:
            finding = found._replace(key=key)
    return finding


def check_key(operations: list[Operation], states_max: int) -> Finding:
    """Search for an order of one key's operations, which come sorted by their calls."""
    search = _Search(operations)
    while not search.is_done:
        if not search.advance() and not search.go_back():
            stuck = tuple(operations[place] for place in search.furthest)
            return Finding(Verdict.NOT_LINEARIZABLE, stuck=stuck)
        if search.states_seen > states_max:
            return Finding(Verdict.UNDECIDED)
    return Finding(Verdict.LINEARIZABLE)


class _Step(NamedTuple):
    """One operation of the order so far, and where the search stood before it."""

    place: int
    done: int
    value: bytes
    first: int


class _Search:
    """Depth first over orders; `done` is the set of operations in the order, one bit each.

    All before `first` are done. Whoever may come next was called before every operation that is
    not done returned: that window is short, however long the history.
    """

    def __init__(self, operations: list[Operation]) -> None:
        self._operations = operations
        self._needed = sum(1 for found in operations if found.returned != NEVER)
        self._answered = 0
        self._done = 0
        self._value = b""
        self._first = 0
        self._next = 0  # the first place to try from here
        self._steps: list[_Step] = []
        self._seen: set[tuple[int, int, bytes]] = set()
        self._deepest = -1
        self.furthest: list[int] = []

    @property
    def is_done(self) -> bool:
        """Whether all that was answered has its place; the others need none."""
        return self._answered == self._needed

    @property
    def states_seen(self) -> int:
        """What the search has cost so far."""
        return len(self._seen)

    def advance(self) -> bool:
        """Let one more operation take effect, one that leads to a state not seen before."""
        window = self._window()
        if self._answered > self._deepest:
            self._deepest, self.furthest = self._answered, window
        for place in window:
            if place < self._next:
                continue
            value = _effect(self._operations[place], self._value)
            if value is not None and self._enter(place, value):
                return True
        return False

    def go_back(self) -> bool:
        """Take back the last operation and go on with the next candidate; False at the start."""
        if not self._steps:
            return False
        place, self._done, self._value, self._first = self._steps.pop()
        self._answered -= self._operations[place].returned != NEVER
        self._next = place + 1
        return True

    def _window(self) -> list[int]:
        """The operations that may be next: none that is not done had returned before their call."""
        found = []
        earliest_return = NEVER
        for place in range(self._first, len(self._operations)):
            operation = self._operations[place]
            if operation.called > earliest_return:
                break
            if not self._is_done_at(place):
                found.append(place)
                earliest_return = min(earliest_return, operation.returned)
        return found

    def _enter(self, place: int, value: bytes) -> bool:
        done, first = self._done | 1 << place, self._first
        while first < len(self._operations) and done >> first & 1:
            first += 1
        state = (first, done >> first, value)
        if state in self._seen:
            return False
        self._seen.add(state)
        self._steps.append(_Step(place, self._done, self._value, self._first))
        self._answered += self._operations[place].returned != NEVER
        self._done, self._value, self._first, self._next = done, value, first, 0
        return True

    def _is_done_at(self, place: int) -> bool:
        return bool(self._done >> place & 1)


def _effect(operation: Operation, value: bytes) -> bytes | None:
    """The value after it; None where it cannot have seen this one."""
    if operation.kind is Kind.PUT:
        return operation.value
    if operation.kind is Kind.APPEND:
        return value + operation.value
    return value if value == operation.value else None
