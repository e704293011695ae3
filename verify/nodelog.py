"""A node's simulated log: what a crash keeps of hard state and entries, as storage/log.py does."""

from messages.local import WriteLog
from messages.raft import COMMAND, NOBODY, Entry, HardState, Snapshot
from storage.log import Loaded


class LogDisk:
    """One group's log; each write happens as a whole or does not happen."""

    def __init__(self, base: Snapshot) -> None:
        self.hard_state = HardState(0, NOBODY, 0)
        self.base = base
        self.entries: list[Entry] = []

    @property
    def last_index(self) -> int:
        """The index of the last entry that is durable here."""
        return self.base.last_included_index + len(self.entries)

    def load(self, _group: int) -> Loaded:
        """What was last written."""
        return Loaded(self.hard_state, self.base, tuple(self.entries))

    def reset(self, _group: int, hard_state: HardState, snapshot: Snapshot) -> None:
        """Start the log anew behind an installed snapshot (Figure 13, step 7)."""
        self.hard_state, self.base, self.entries = hard_state, snapshot, []

    def write(self, message: WriteLog) -> None:
        """One synced transaction."""
        _, hard_state, snapshot, base, first_index, entries = message
        if snapshot is not None:
            self.reset(0, hard_state, snapshot)
            return
        self.hard_state = hard_state
        assert first_index <= self.last_index + 1, "a log with a gap"
        del self.entries[first_index - self.base.last_included_index - 1 :]
        self.entries += entries
        if base is not None:
            del self.entries[: base.last_included_index - self.base.last_included_index]
            self.base = base


def needs_space(message: WriteLog) -> bool:
    """Whether it must wait while the disk is full: what has no command fits into the reserve."""
    return any(entry.kind == COMMAND for entry in message.entries)
