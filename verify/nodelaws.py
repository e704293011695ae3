"""The laws that whole nodes keep among themselves; what clerks may count on is in calls.py.

Each node's state machine is witnessed: what it applies is what all apply there, and the state it
comes to is the one all come to. Raft's own laws are the other world's (laws.py); of these only what
a driver could break is looked at again.
"""

from collections import Counter
from collections.abc import Sequence

from kv.machine import Answer, Machine, Store
from kv.sessions import SESSION_IDLE_MS, Session
from messages.client import Operation
from messages.raft import (
    AppendEntriesReply,
    Entry,
    Message,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
)
from verify.calls import Calls
from verify.nodelog import LogDisk
from verify.nodestore import digest


class NodeLaws:
    """All that was seen of one world's nodes; a law that is broken is an AssertionError."""

    def __init__(self, keys: Sequence[bytes], calls: Calls, facts: Counter[str]) -> None:
        self.calls = calls
        self._keys = keys
        self._facts = facts
        self._entries: list[Entry | None] = [None]  # nothing is at index 0
        self._digests: list[int | None] = [None]
        self._leaders: dict[int, int] = {}  # by term

    @property
    def last_index(self) -> int:
        """The last index that any node has applied."""
        return len(self._entries) - 1

    def on_leader(self, node: int, term: int) -> None:
        """Election safety, as far as a KVServer is told (§5.2)."""
        leader = self._leaders.setdefault(term, node)
        assert leader == node, f"election safety: S{leader} and S{node} lead term {term}"

    def on_send(self, log: LogDisk, messages: Sequence[Message]) -> None:
        """D1, D2: what a message tells of its sender is on the sender's disk."""
        for message in messages:
            if isinstance(message, PreVote | PreVoteReply):
                continue  # they tell of wishes
            term, voted_for, _ = log.hard_state
            assert message.term <= term, f"D1: told a term too early: {message}"
            if isinstance(message, AppendEntriesReply) and message.success:
                durable = message.match_index <= log.last_index
                assert durable, f"D2: acknowledged before it was durable: {message}"
            elif isinstance(message, RequestVote):
                kept = term > message.term or voted_for == message.source
                assert kept, f"D1: campaigns without its own vote: {message}"
            elif isinstance(message, RequestVoteReply) and message.vote_granted:
                kept = term > message.term or voted_for == message.target
                assert kept, f"D1: a vote that is not durable: {message}"

    def on_apply(self, node: int, index: int, entry: Entry) -> bool:
        """State machine safety: everywhere the same (§5.4.3); says whether it is news."""
        self._facts["applied entries"] += 1
        if index > self.last_index:
            assert index == self.last_index + 1, f"apply: S{node} leaps to {index}"
            self._entries.append(entry)
            self._digests.append(None)
            return True
        same = self._entries[index] == entry
        assert same, f"state machine safety: S{node} applies another entry at {index}"
        return False

    def check_state(self, node: int, index: int, meta: bytes, store: Store) -> None:
        """Assert that whoever is at this index has this state, its sessions among it."""
        if index == 0:
            return
        found = digest(meta, map(store.get, self._keys))
        known = self._digests[index]
        if known is None:
            self._digests[index] = found
            for key in self._keys:
                same = store.get(key) == self.calls.values.get(key)
                assert same, f"state: S{node} made something else of {key!r} at {index}"
        else:
            assert known == found, f"state: S{node} is in another state at {index}"

    def check_snapshot(self, snapshot: Snapshot) -> None:
        """Assert that this place in the log is one that was applied, in that term."""
        index, term, _ = snapshot
        assert index <= self.last_index, f"snapshot: nobody applied {index}"
        entry = self._entries[index]
        assert entry is None or entry.term == term, f"snapshot: {index} is of another term"


class Witnessed(Machine):
    """A state machine that is watched."""

    def __init__(
        self, laws: NodeLaws, node: int, store: Store, applied: Snapshot, meta: bytes
    ) -> None:
        super().__init__(store, applied, meta)
        self._laws = laws
        self._node = node
        self._is_news = False
        laws.check_snapshot(applied)
        laws.check_state(node, self.applied_index, self.meta(), store)

    def apply(self, index: int, entry: Entry) -> list[Answer]:
        """Execute the next entry, as all others do."""
        self._is_news = self._laws.on_apply(self._node, index, entry)
        answers = super().apply(index, entry)
        self._laws.check_state(self._node, index, self.meta(), self.store)
        self._check_sessions()
        return answers

    def _execute_operations(self, session: Session, operations: tuple[Operation, ...]) -> None:
        super()._execute_operations(session, operations)
        if self._is_news:
            for operation in operations:
                self._laws.calls.on_executed(operation)

    def _check_sessions(self) -> None:
        """A session that is idle is forgotten before long."""
        clock_ms, opened, _, rows = self.sessions.dump()
        oldest = min((used_at for _, used_at, *_ in rows), default=clock_ms)
        assert len(rows) <= opened
        assert clock_ms - oldest <= SESSION_IDLE_MS * 9 // 8 + 60_000, "bounds: an old session"
