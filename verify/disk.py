"""What a crash keeps: a server's disk, written in transactions that happen or do not (LMDB).

Log and state are two environments, so installing a snapshot takes two transactions: state, log.
"""

from messages.raft import NOBODY, Entry, HardState, Snapshot
from raft.state import Saved, Write
from verify.machine import State


class Disk:
    """Everything that one server finds again after a crash; entries start behind base."""

    __slots__ = ("base", "entries", "hard_state", "installing", "state")

    def __init__(self, base: Snapshot) -> None:
        self.hard_state = HardState(0, NOBODY, 0)
        self.base = base
        self.entries: list[Entry] = []
        self.state = State()
        self.installing: Snapshot | None = None  # its state is here, the log behind it not yet

    @property
    def last_index(self) -> int:
        """The index of the last entry that is durable here."""
        return self.base.last_included_index + len(self.entries)

    def term_at(self, index: int) -> int | None:
        """The term of the durable entry there; None where there is none, or not any more."""
        place = index - self.base.last_included_index
        if place == 0:
            return self.base.last_included_term
        return self.entries[place - 1].term if 0 < place <= len(self.entries) else None

    def holds(self, index: int, term: int) -> bool:
        """Whether that entry is durable here, itself or within the state behind the log."""
        return index <= self.base.last_included_index or self.term_at(index) == term

    def install(self, snapshot: Snapshot, state: State) -> None:
        """The first of the two steps of an install: the state; a crash may come before the log."""
        self.state = state
        self.installing = snapshot

    def store(self, write: Write) -> None:
        """Make all of a write durable at once; the state of its snapshot is installed already."""
        if write.snapshot is not None:
            assert self.installing == write.snapshot
            self._start_log_behind(write.snapshot)
        if write.entries:
            del self.entries[write.first_index - self.base.last_included_index - 1 :]
            self.entries += write.entries
        if write.base is not None:
            del self.entries[: write.base.last_included_index - self.base.last_included_index]
            self.base = write.base
        self.hard_state = write.hard_state

    def load(self) -> Saved:
        """What a server finds here when it starts; an install that was cut off is finished first.

        No vote can be lost by that: had it voted in the snapshot's term, the term would be durable.
        """
        if self.installing is not None:
            index, term, _ = self.installing
            current_term, voted_for, _ = self.hard_state
            if term > current_term:
                current_term, voted_for = term, NOBODY
            self.hard_state = HardState(current_term, voted_for, index)
            self._start_log_behind(self.installing)
        return Saved(self.hard_state, self.base, tuple(self.entries), self.state.last_applied)

    def _start_log_behind(self, snapshot: Snapshot) -> None:
        self.base, self.entries, self.installing = snapshot, [], None
