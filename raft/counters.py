"""What a Raft actor counts of its turns, writes and commits; its shell says what time it is.

As in kv/counters.py all of it grows from 0 since the node started; times are in nanoseconds.
"""

from messages.client import Counted


class RaftCounters:
    """Of commits one is timed at a time; what is appended meanwhile is not."""

    def __init__(self) -> None:
        self._began = 0  # this turn; 0: nothing has happened in it
        self._turns = self._busy_ns = 0
        self._handed_at = 0  # the write in flight, if it has entries
        self._writes = self._entries = self._writes_ns = self._syncs_ns = 0
        self._sent_at = 0
        self._sent_last = 0  # the last entry of the append that is timed; 0: none
        self._last_index = 0
        self._commits = self._commits_ns = 0

    def counted(self) -> Counted:
        """All of them by name."""
        return (
            ("raft_turns", self._turns),
            ("raft_busy_ns", self._busy_ns),
            ("writes", self._writes),
            ("entries", self._entries),
            ("writes_ns", self._writes_ns),
            ("syncs_ns", self._syncs_ns),
            ("commits", self._commits),
            ("commits_ns", self._commits_ns),
        )

    def on_word(self, now: int) -> None:
        """A peer or an actor said something."""
        if not self._began:
            self._began = now

    def on_handed(self, now: int, entries: int) -> None:
        """The LogWriter was given a write."""
        if entries:
            self._handed_at = now
            self._writes += 1
            self._entries += entries

    def on_written(self, now: int, took_ns: int) -> None:
        """It is durable; the disk took so long."""
        if self._handed_at:
            self._writes_ns += now - self._handed_at
            self._syncs_ns += took_ns
            self._handed_at = 0

    def on_end(self, now: int, last_index: int, handed_index: int) -> None:
        """The turn is over: the log ends there (0: somebody else's), and is committed that far."""
        if self._began:
            self._turns += 1
            self._busy_ns += now - self._began
            self._began = 0
        if self._sent_last and handed_index >= self._sent_last:
            self._commits += 1
            self._commits_ns += now - self._sent_at
            self._sent_last = 0
        if last_index > self._last_index and not self._sent_last:
            self._sent_last, self._sent_at = last_index, now
        elif not last_index:
            self._sent_last = 0
        self._last_index = last_index
