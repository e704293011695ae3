"""The writes of the log that a follower's Raft thread does itself: short ones, on a quick disk.

To hand one to the LogWriter and to hear of it are two more turns of Python with cold caches, which
cost as much as the write itself (docs/decisions/0013). But whoever waits for a disk hears and says
nothing, so all others are the LogWriter's. A leader never waits: its beats keep it in office.
"""

from collections.abc import Callable

from messages.local import WriteLog, Written
from storage.environment import DiskFull
from storage.log import LogStore, LogWrite

QUICK_NS = 2_000_000
"""A disk whose writes take longer is not waited for: reads would wait, and writes gain nothing."""

UNKNOWN_NS = 100_000_000
"""What a disk is thought to take at first: some seventy quick writes, and it is known."""

WEIGHT = 16
"""The last write counts so much less than all before it: a pause of 0.4 s counts for fifty."""


class QuickWrites:
    """Uses the LogWriter's store only while no write is with the LogWriter."""

    def __init__(self, group: int, store: LogStore, clock_ns: Callable[[], int]) -> None:
        self._group = group
        self._store = store
        self._clock_ns = clock_ns
        self._usual_ns = UNKNOWN_NS

    def write(self, message: WriteLog) -> Written | None:
        """Make it durable now, or leave it to the LogWriter: None.

        Several entries are of a follower that is told late: nobody waits for those.
        """
        number, hard_state, snapshot, base, first_index, entries = message
        write = LogWrite(self._group, hard_state, base, first_index, entries)
        if self._usual_ns > QUICK_NS or snapshot is not None or len(entries) != 1:
            return None
        began = self._clock_ns()
        try:
            is_written = self._store.write_if_short(write)
        except DiskFull:
            return None  # nothing is written; the LogWriter finds the same, and knows what to do
        return Written(number, self._clock_ns() - began) if is_written else None

    def on_written(self, message: Written) -> None:
        """A write is durable, whoever did it."""
        self._usual_ns += (message.took_ns - self._usual_ns) // WEIGHT
