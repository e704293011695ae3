"""Clients of a cluster under test: what each did and heard is kept, and judged at the end.

An append that nobody knows the end of may or may not be there; whatever was acknowledged is there
once, in its place; whatever was refused is not there.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from random import Random
from typing import NamedTuple

from kvorum import Clerk, KvorumError, NotApplied, OutcomeUnknown
from tests.cluster.harness import Cluster, until
from tests.cluster.rawclerk import RawClerk
from verify.linearizable import NEVER, Kind, Operation, Verdict, check

TIMEOUT_S = 30.0
"""Of calls: longer than a busy machine needs, so that most end with a known outcome."""

ACKNOWLEDGED, REFUSED, UNKNOWN = "acknowledged", "refused", "unknown"


OUTCOMES = {type(None): ACKNOWLEDGED, OutcomeUnknown: UNKNOWN}
"""By the type of what was raised; anything else says that nothing was done."""


class Attempt(NamedTuple):
    """An append, and how it ended."""

    text: bytes
    outcome: str


class Client:
    """One client that makes one call at a time, and remembers it."""

    def __init__(self, clerk: Clerk, timeout_s: float = TIMEOUT_S) -> None:
        self.history: list[Operation] = []
        self.attempts: dict[bytes, list[Attempt]] = {}  # on keys that nobody else writes
        self.acknowledged_at: list[float] = []
        self._clerk = clerk
        self._timeout_s = timeout_s

    def put(self, key: bytes, value: bytes) -> str:
        """Its outcome."""
        return self._write(Kind.PUT, self._clerk.put, key, value)

    def append(self, key: bytes, text: bytes) -> str:
        """Its outcome."""
        return self._write(Kind.APPEND, self._clerk.append, key, text)

    def append_own(self, key: bytes, text: bytes) -> Attempt:
        """An append to a key on which every text is another, kept as an attempt."""
        attempt = Attempt(text, self.append(key, text))
        self.attempts.setdefault(key, []).append(attempt)
        return attempt

    def append_together(self, key: bytes, texts: Sequence[bytes]) -> None:
        """All on their way at once, to a key of its own; they take effect in this order."""
        futures = [self._clerk.append_async(key, text, self._timeout_s) for text in texts]
        attempts = self.attempts.setdefault(key, [])
        for text, future in zip(texts, futures, strict=True):
            error = future.exception()
            outcome = OUTCOMES.get(type(error), REFUSED)
            attempts.append(Attempt(text, outcome))
            if outcome == ACKNOWLEDGED:
                self.acknowledged_at.append(time.monotonic())

    def get(self, key: bytes) -> bytes | None:
        """The value, linearizable; None where there was no answer."""
        called = time.monotonic()
        try:
            value = self._clerk.get(key, timeout=self._timeout_s)
        except NotApplied:
            return None
        self.history.append(Operation(called, time.monotonic(), Kind.GET, key, value))
        return value

    def _write(self, kind: Kind, write: Callable[..., None], key: bytes, value: bytes) -> str:
        called = time.monotonic()
        outcome = ACKNOWLEDGED
        try:
            write(key, value, timeout=self._timeout_s)
        except NotApplied:
            return REFUSED
        except OutcomeUnknown:
            outcome = UNKNOWN
        now = time.monotonic()
        returned = now if outcome == ACKNOWLEDGED else NEVER
        self.history.append(Operation(called, returned, kind, key, value))
        if outcome == ACKNOWLEDGED:
            self.acknowledged_at.append(now)
        return outcome


Work = Callable[[Client, int, Random], None]
"""One step of a client: itself, which one it is, its own chances."""


class Crowd:
    """Clients at work on threads of their own, each with a Clerk of its own."""

    def __init__(
        self, endpoints: Sequence[str], count: int, work: Work, timeout_s: float = TIMEOUT_S
    ) -> None:
        """They begin at once."""
        self._stopping = threading.Event()
        self._failures: list[BaseException] = []
        self._clerks = [Clerk(endpoints) for _ in range(count)]
        self.clients = [Client(clerk, timeout_s) for clerk in self._clerks]
        self._threads = [
            threading.Thread(target=self._run, args=(client, number, work), daemon=True)
            for number, client in enumerate(self.clients)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def acknowledged(self) -> int:
        """Writes that were done so far."""
        return sum(len(client.acknowledged_at) for client in self.clients)

    def wait_for(self, more: int, seconds: float = 60.0, *, ok: bool = False) -> bool:
        """Until so many more writes are done; with ok it may also take too long."""
        goal = self.acknowledged + more
        return until(
            lambda: bool(self._failures) or self.acknowledged >= goal,
            seconds,
            f"{more} more writes",
            ok=ok,
        )

    def stop(self) -> list[Operation]:
        """Let each end the call it is in; the history of all."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(TIMEOUT_S * 2)
        assert not any(thread.is_alive() for thread in self._threads), "a call never ended"
        for clerk in self._clerks:
            clerk.close()
        if self._failures:
            raise self._failures[0]
        return [found for client in self.clients for found in client.history]

    def attempts(self) -> dict[bytes, list[list[Attempt]]]:
        """Of each key, the appends of each client, in the order they were made."""
        found: dict[bytes, list[list[Attempt]]] = {}
        for client in self.clients:
            for key, attempts in client.attempts.items():
                found.setdefault(key, []).append(attempts)
        return found

    def longest_gap_s(self, since: float = 0) -> float:
        """The longest time from then on in which no write of anybody was done."""
        times = sorted(
            at for client in self.clients for at in list(client.acknowledged_at) if at >= since
        )
        return max((late - early for early, late in pairwise([since or times[0], *times])))

    def _run(self, client: Client, number: int, work: Work) -> None:
        chance = Random(number)
        try:
            while not self._stopping.is_set():
                work(client, number, chance)
        except BaseException as failure:  # noqa: BLE001 - told by stop() on the test's thread
            self._failures.append(failure)


def own_key(number: int) -> bytes:
    """The key that one client keeps to itself."""
    return b"own/%d" % number


def append_to_own_key(client: Client, number: int, chance: Random) -> None:
    """TinyKV's generic client: append to its own key, read it back now and then."""
    key = own_key(number)
    turn = len(client.attempts.get(key, ()))
    client.append_own(key, b"x %d %d y" % (number, turn))
    if chance.random() < 0.2:
        value = client.get(key)
        if value is not None:
            assert_appended(value, [client.attempts[key]])


def append_in_pipelines(client: Client, number: int, _: Random) -> None:
    """Fifty appends on their way at a time, each time to another key of its own."""
    key = b"own/%d/%d" % (number, len(client.attempts))
    client.append_together(key, [b"%d;" % turn for turn in range(100, 150)])


def put_and_append_anywhere(client: Client, number: int, chance: Random) -> None:
    """Puts, appends and gets on a few keys that all share."""
    key = b"shared/%d" % chance.randrange(4)
    turn = len(client.history)
    what = chance.random()
    if what < 0.3:
        client.put(key, b"%d.%d;" % (number, turn))
    elif what < 0.6:
        client.append(key, b"%d.%d;" % (number, turn))
    else:
        client.get(key)


def assert_linearizable(history: Iterable[Operation]) -> None:
    """Some order explains all that was seen."""
    finding = check(history)
    assert finding.verdict is Verdict.LINEARIZABLE, finding


def assert_appended(value: bytes, attempts: Iterable[Sequence[Attempt]]) -> None:
    """Each client's acknowledged appends are there once, in order; refused ones are not."""
    for of_client in attempts:
        place = 0
        for text, outcome in of_client:
            count = value.count(text)
            allowed = {ACKNOWLEDGED: (1,), REFUSED: (0,), UNKNOWN: (0, 1)}[outcome]
            assert count in allowed, f"{outcome} {text!r} is there {count} times"
            if count:
                found = value.index(text)
                assert found >= place, f"{text!r} is out of order"
                place = found


def assert_nothing_lost(cluster: Cluster, crowd: Crowd) -> None:
    """What the appends of a crowd to keys of their own led to, as a fresh clerk reads it."""
    with Clerk(cluster.endpoints(), timeout=TIMEOUT_S) as clerk:
        for key, attempts in crowd.attempts().items():
            assert_appended(clerk.get(key), attempts)


def get(cluster: Cluster, key: bytes, ids: Iterable[int] | None = None) -> bytes:
    """What a fresh clerk reads, patiently."""
    with Clerk(cluster.endpoints(ids), timeout=TIMEOUT_S) as clerk:
        return clerk.get(key)


def put(
    cluster: Cluster,
    key: bytes,
    value: bytes,
    ids: Iterable[int] | None = None,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """What becomes of a fresh clerk's put."""
    with Clerk(cluster.endpoints(ids), timeout=timeout_s) as clerk:
        return Client(clerk, timeout_s).put(key, value)


def replicas(cluster: Cluster, key: bytes, *ids: int) -> dict[int, bytes | None]:
    """What each of these nodes has itself, once they all have applied the same."""
    cluster.caught_up(*ids)
    found: dict[int, bytes | None] = {}
    for at in ids or cluster.ids:
        with RawClerk(cluster.nodes[at].endpoint) as clerk:
            values = clerk.read(key)
            assert values is not None, f"node {at} does not answer"
            found[at] = values[0]
    return found


def assert_agreed(cluster: Cluster, key: bytes, value: bytes, *ids: int) -> None:
    """These nodes, or all, have this value."""
    found = replicas(cluster, key, *ids)
    assert set(found.values()) == {value}, found


def fails(call: Callable[[], object]) -> bool:
    """Whether a clerk's call has no success."""
    try:
        call()
    except KvorumError:
        return True
    return False
