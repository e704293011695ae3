"""The log in memory: entries after what was compacted away, and how far they are durable.

Three marks, always truncated <= stable <= last (commit and apply belong to the server, state.py):
- truncated: the last entry compacted away; its term is kept for the consistency check (§5.3, §7);
- stable: the last entry that is durable on this server's disk;
- last: the last entry in memory.
"""

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter

from messages.raft import Entry

ENTRY_OVERHEAD_BYTES = 16
"""What an entry weighs beside its payload; empty entries must not be free, or bounds leak."""

_TERM = attrgetter("term")


def entry_bytes(entry: Entry) -> int:
    """What an entry counts towards every limit in bytes."""
    return len(entry.payload) + ENTRY_OVERHEAD_BYTES


class Log:
    """The log of Figure 2, first index 1; every index asked for must lie within its marks."""

    __slots__ = (
        "_bytes_before",
        "_ends",
        "_entries",
        "last_index",
        "stable_index",
        "truncated_index",
        "truncated_term",
    )

    def __init__(self, truncated_index: int, truncated_term: int, entries: Sequence[Entry]) -> None:
        self.truncated_index = truncated_index
        self.truncated_term = truncated_term
        self.last_index = truncated_index
        self.stable_index = truncated_index
        self._entries: list[Entry] = []
        self._ends: list[int] = []  # bytes ever appended, up to and with each entry: sums by bisect
        self._bytes_before = 0
        self.append(entries)
        self.stable_index = self.last_index

    @property
    def last_term(self) -> int:
        """The term of the last entry, compacted or not."""
        return self._entries[-1].term if self._entries else self.truncated_term

    def term_at(self, index: int) -> int | None:
        """The term of the entry there; None where this log cannot know: compacted, or not here."""
        if index == self.truncated_index:
            return self.truncated_term
        if self.truncated_index < index <= self.last_index:
            return self._entries[index - self.truncated_index - 1].term
        return None

    def entry_at(self, index: int) -> Entry:
        """The entry there, which must not be compacted."""
        assert self.truncated_index < index <= self.last_index
        return self._entries[index - self.truncated_index - 1]

    def between(self, first: int, last: int) -> tuple[Entry, ...]:
        """The entries from first to last, both included."""
        assert self.truncated_index < first <= last + 1 <= self.last_index + 1
        return tuple(self._entries[first - self.truncated_index - 1 : last - self.truncated_index])

    def last_within(self, first: int, last: int, bytes_max: int) -> int:
        """How far entries from first on fit into bytes_max; one always does, so all can move."""
        assert self.truncated_index < first <= last <= self.last_index
        if first == last:  # all that a lone client waits for
            return last
        allowed = self._end(first - 1) + bytes_max
        fitting = bisect_right(self._ends, allowed, first - self.truncated_index - 1)
        return max(first, min(last, self.truncated_index + fitting))

    def bytes_between(self, after: int, last: int) -> int:
        """What the entries after `after` up to last weigh."""
        return self._end(last) - self._end(after)

    def append(self, entries: Sequence[Entry]) -> None:
        """Put entries behind the last; terms never fall."""
        total = self._ends[-1] if self._ends else self._bytes_before
        term = self.last_term
        for entry in entries:
            assert entry.term >= term
            term = entry.term
            total += entry_bytes(entry)
            self._entries.append(entry)
            self._ends.append(total)
        self.last_index += len(entries)

    def truncate_from(self, first: int) -> None:
        """Drop the entry there and all that follow (§5.3: a conflict)."""
        assert self.truncated_index < first <= self.last_index
        del self._entries[first - self.truncated_index - 1 :]
        del self._ends[first - self.truncated_index - 1 :]
        self.last_index = first - 1
        self.stable_index = min(self.stable_index, first - 1)

    def compact_to(self, index: int) -> None:
        """Forget the entries up to index, which must be durable."""
        assert self.truncated_index < index <= self.stable_index
        count = index - self.truncated_index
        self.truncated_term = self._entries[count - 1].term
        self._bytes_before = self._ends[count - 1]
        self.truncated_index = index
        del self._entries[:count]
        del self._ends[:count]

    def reset(self, index: int, term: int) -> None:
        """Start over behind a snapshot that replaced everything (Figure 13, step 7)."""
        assert index > self.truncated_index
        self._entries.clear()
        self._ends.clear()
        self._bytes_before = 0
        self.truncated_index = self.stable_index = self.last_index = index
        self.truncated_term = term

    def last_agreeing(self, index: int, term: int) -> int:
        """The last place up to index whose term is not above term: nothing later can agree.

        Both sides use it: the follower on what it refuses, the leader on the hint it gets, so one
        exchange skips a whole term, not one entry (§5.3). Before truncated_index: nothing here can.
        """
        if term < self.truncated_term:
            return min(index, self.truncated_index - 1)
        fitting = bisect_right(self._entries, term, key=_TERM)  # terms never fall
        return min(index, self.truncated_index + fitting)

    def _end(self, index: int) -> int:
        if index == self.truncated_index:
            return self._bytes_before
        return self._ends[index - self.truncated_index - 1]
