"""What clerks asked, what was executed of it, and what they were told.

Every value that is written is written once in a world, so an operation in the log names its call.
That makes laws of what no history of answers could show: a call that failed is never executed, none
is executed twice, and those of one clerk are executed in the order it made them.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from kv.outcomes import Failed, Ok, Outcome, Unknown
from messages.client import APPEND, NOTHING, PUT, Operation
from verify import linearizable
from verify.linearizable import NEVER, Kind, Verdict

STATES_MAX = 100_000
"""A search that has the log's order to begin with never needs as many, unless that one is wrong."""

KINDS = {Kind.PUT: PUT, Kind.APPEND: APPEND}


@dataclass(slots=True, eq=False)
class Call:
    """One call of one clerk; times are places in the order of all that clerks did and heard."""

    clerk: str
    number: int
    kind: Kind
    key: bytes
    value: bytes  # what it writes, or what it read
    called: int
    is_stale: bool = False  # a read that promises no more than some state that was
    returned: float = NEVER
    outcome: Outcome | None = None
    executed: bool = False

    def __str__(self) -> str:
        what = f"{self.kind.value} {self.key.decode()} {self.value[:40].decode()}"
        return f"{self.clerk} #{self.number} [{self.called}, {self.returned}] {what}"


class Calls:
    """All calls of a world, and the values that executing them must have led to."""

    def __init__(self, facts: Counter[str], *, repeats: bool) -> None:
        self.values: dict[bytes, bytes] = {}
        self.pending: set[Call] = set()
        self.acknowledged_index = 0  # of the log: some clerk was told of a write there
        self._facts = facts
        self._repeats = repeats
        self._calls: list[Call] = []
        self._by_value: dict[bytes, Call] = {}
        self._executed: list[Call] = []
        self._past: dict[bytes, set[bytes]] = {}
        self._latest: dict[str, int] = {}  # the number that was last executed, by clerk
        self._moment = 0

    def begin(self, clerk: str, kind: Kind, key: bytes, value: bytes, *, stale: bool) -> Call:
        """A clerk asks for something."""
        call = Call(clerk, len(self._calls) + 1, kind, key, value, self._next(), stale)
        self._calls.append(call)
        self.pending.add(call)
        if kind is not Kind.GET:
            assert value not in self._by_value, "the world writes a value twice"
            self._by_value[value] = call
        return call

    def settle(self, call: Call, outcome: Outcome) -> None:
        """The clerk is told how it ended, once."""
        assert call.outcome is None, f"outcome: told twice: {call}"
        self.pending.discard(call)
        self._facts[f"calls: {type(outcome).__name__.lower()}"] += 1
        if isinstance(outcome, Failed) and self._repeats and call.kind is not Kind.GET:
            # What a network repeats may be refused once and taken up once. TCP repeats nothing.
            outcome = Unknown(outcome.why)
        call.outcome = outcome
        if isinstance(outcome, Ok):
            call.returned = self._next()
            self._on_ok(call, outcome)
        elif isinstance(outcome, Failed):
            assert not call.executed, f"outcome: failed, but it was executed: {call}"

    def abandon(self, clerk: str) -> None:
        """That clerk is gone, and hears no answer."""
        self.pending = {call for call in self.pending if call.clerk != clerk}

    def on_executed(self, operation: Operation) -> None:
        """The log's next operation takes effect: once, in its clerk's order, unless it failed."""
        kind, key, value = operation
        if kind == NOTHING:
            return
        call = self._by_value[value]
        assert (KINDS[call.kind], call.key) == (kind, key), f"another operation than {call}"
        assert not call.executed, f"exactly once: executed again: {call}"
        assert not isinstance(call.outcome, Failed), f"outcome: executed, but it failed: {call}"
        latest = self._latest.get(call.clerk, 0)
        assert call.number > latest, f"order: executed after #{latest} of its clerk: {call}"
        call.executed = True
        self._executed.append(call)
        self._latest[call.clerk] = call.number
        self.values[key] = value if kind == PUT else self.values.get(key, b"") + value
        self._past.setdefault(key, {b""}).add(self.values[key])

    def check(self) -> None:
        """Assert that what clerks were told could have happened one after the other."""
        finding = linearizable.check(self._history(), STATES_MAX)
        stuck = "".join(f"\n  {operation}" for operation in finding.stuck)
        assert finding.verdict is Verdict.LINEARIZABLE, (
            f"linearizability: {finding.verdict.value}: {finding.key!r}, stuck at{stuck}"
        )

    def _history(self) -> Iterator[linearizable.Operation]:
        """What answers tell; the order in which it was executed is only where the search begins."""
        rest = [call for call in self._calls if not call.executed]
        for call in [*self._executed, *rest]:
            if not call.is_stale and not isinstance(call.outcome, Failed):
                yield linearizable.Operation(
                    call.called, call.returned, call.kind, call.key, call.value
                )

    def _on_ok(self, call: Call, outcome: Ok) -> None:
        if call.kind is not Kind.GET:
            assert call.executed, f"outcome: done, but nobody executed it: {call}"
            return
        call.value = outcome.value or b""
        past = self._past.get(call.key, {b""})
        assert call.value in past, f"read: a value that never was: {call}"

    def _next(self) -> int:
        self._moment += 1
        return self._moment
