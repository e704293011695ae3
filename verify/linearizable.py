"""Whether a history of puts, appends and gets could have happened one after the other.

Wing and Gong's search with Lowe's memory: try the operations that nothing precedes, remember every
(set of done operations, value) that was reached, go back when stuck. Keys do not touch each other,
so each is checked alone. An operation whose end nobody knows may take effect at any time after its
call, or never; a read that failed says nothing and is left out.

Three things keep the search short where many writes overlap: a read that fits is taken at once, as
it changes nothing, and a value from which a coming read cannot come about is a dead end. And who
knows in which order things happened may list them so: that order is tried first.
"""

from collections.abc import Iterable, Sequence
from enum import Enum
from typing import NamedTuple

NEVER = float("inf")
"""The return time of an operation that was never answered."""

STATES_MAX = 2_000_000
"""A key whose search has seen so many states is given up: neither good nor bad."""


LOOKED_AHEAD = 8
"""So many reads that are still to come must be possible."""


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
        found = check_key(operations, states_max)
        if found.verdict is Verdict.NOT_LINEARIZABLE:
            return found._replace(key=key)
        if found.verdict is Verdict.UNDECIDED:
            finding = found._replace(key=key)
    return finding


def check_key(operations: list[Operation], states_max: int) -> Finding:
    """Search for an order of one key's operations, first for the one in which they are listed."""
    order = sorted(range(len(operations)), key=lambda listed: operations[listed].called)
    operations = [operations[listed] for listed in order]
    search = _Search(operations, order)
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
    first_read: int


class _Read(NamedTuple):
    """One read, and the puts that what it returned may have begun with."""

    place: int
    value: bytes
    puts: tuple[int, ...]

    @classmethod
    def of(cls, place: int, operations: Sequence[Operation]) -> "_Read":
        """The read at that place."""
        _, returned, _, _, value = operations[place]
        puts = [
            at
            for at, operation in enumerate(operations)
            if operation.kind is Kind.PUT
            and operation.called <= returned
            and value.startswith(operation.value)
        ]
        return cls(place, value, tuple(puts))

    def is_possible(self, value: bytes, done: int) -> bool:
        """Whether it can still come about: by appends to this value, or by a put to come."""
        return self.value.startswith(value) or not all(done >> put & 1 for put in self.puts)


class _Search:
    """Depth first over orders; `done` is the set of operations in the order, one bit each.

    All before `first` are done. Whoever may come next was called before every operation that is
    not done returned: that window is short, however long the history.
    """

    def __init__(self, operations: list[Operation], ranks: list[int]) -> None:
        self._operations = operations  # by their calls
        self._ranks = ranks  # in which they are tried
        self._needed = sum(1 for found in operations if found.returned != NEVER)
        self._answered = 0
        self._done = 0
        self._value = b""
        self._first = 0
        self._next = 0  # the first rank to try from here
        self._steps: list[_Step] = []
        self._seen: set[tuple[int, int, bytes]] = set()
        self._reads = [_Read.of(place, operations) for place in _reads_among(operations)]
        self._first_read = 0  # all reads before it are done
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
        fitting = [place for place in window if self._fits(place)] if not self._next else []
        for place in fitting[:1] or sorted(window, key=self._ranks.__getitem__):
            if self._ranks[place] < self._next:
                continue
            value = _effect(self._operations[place], self._value)
            if value is not None and self._enter(place, value):
                return True
        return False

    def go_back(self) -> bool:
        """Take back the last write and go on with the next candidate; False at the start.

        A read that fitted is taken back as well: without it the search would be stuck just so.
        """
        while self._steps:
            place, self._done, self._value, self._first, self._first_read = self._steps.pop()
            operation = self._operations[place]
            self._answered -= operation.returned != NEVER
            self._next = self._ranks[place] + 1
            if operation.kind is not Kind.GET:
                return True
        return False

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
        first_read = self._first_read
        while first_read < len(self._reads) and done >> self._reads[first_read].place & 1:
            first_read += 1
        coming = self._reads[first_read : first_read + LOOKED_AHEAD]
        if not all(done >> read.place & 1 or read.is_possible(value, done) for read in coming):
            return False
        self._steps.append(_Step(place, self._done, self._value, self._first, self._first_read))
        self._first_read = first_read
        self._answered += self._operations[place].returned != NEVER
        self._done, self._value, self._first, self._next = done, value, first, 0
        return True

    def _fits(self, place: int) -> bool:
        """Whether that is a read of the value as it is now."""
        operation = self._operations[place]
        return operation.kind is Kind.GET and operation.value == self._value

    def _is_done_at(self, place: int) -> bool:
        return bool(self._done >> place & 1)


def _reads_among(operations: Sequence[Operation]) -> Iterable[int]:
    """The places of those that were answered with a value."""
    return (place for place, found in enumerate(operations) if found.kind is Kind.GET)


def _effect(operation: Operation, value: bytes) -> bytes | None:
    """The value after it; None where it cannot have seen this one."""
    if operation.kind is Kind.PUT:
        return operation.value
    if operation.kind is Kind.APPEND:
        return value + operation.value
    return value if value == operation.value else None
