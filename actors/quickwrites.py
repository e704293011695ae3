"""The writes to the log that Raft's own thread does: short ones, while the disk is quick.

To hand one to the LogWriter and to hear of it are two more turns of Python with cold caches, which
cost as much as the write itself (docs/decisions/0013). But whoever waits for a disk hears and says
nothing, so one that was slow is the LogWriter's until it has been quick for a while.
"""

from collections.abc import Callable

from messages.local import WriteLog, Written
from storage.environment import DiskFull
from storage.log import LogStore, LogWrite

QUICK_NS = 20_000_000
"""A write that takes longer makes a disk slow; a heartbeat may be so late without harm."""

QUICK_WRITES = 64
"""After so many in a row, each of them quick, a disk is."""


class QuickWrites:
    """Uses the LogWriter's store only while no write is with the LogWriter."""

    def __init__(self, group: int, store: LogStore, clock_ns: Callable[[], int]) -> None:
        self._group = group
        self._store = store
        self._clock_ns = clock_ns
        self._in_a_row = 0

    def write(self, message: WriteLog) -> Written | None:
        """Make it durable now, or leave it to the LogWriter: None."""
        number, hard_state, snapshot, base, first_index, entries = message
        write = LogWrite(self._group, hard_state, base, first_index, entries)
        if self._in_a_row < QUICK_WRITES or snapshot is not None:
            return None
        if not self._store.is_short_append(write):
            return None
        began = self._clock_ns()
        try:
            self._store.write_all((write,))
        except DiskFull:
            return None  # nothing is written; the LogWriter finds the same, and knows what to do
        return Written(number, self._clock_ns() - began)

    def on_written(self, message: Written) -> None:
        """A write is durable, whoever did it."""
        self._in_a_row = self._in_a_row + 1 if message.took_ns <= QUICK_NS else 0
