"""What a server makes of its log: the state as it is applied, and the reads answered from it."""

from collections import deque

from raft.state import Committed
from verify.laws import Laws
from verify.machine import State, apply
from verify.timeline import Timeline


class Service:
    """A state in memory, entries that wait to be applied, and reads that wait for them."""

    def __init__(self, timeline: Timeline, laws: Laws, state: State) -> None:
        self.state = state
        self.answers: dict[int, int] = {}  # to reads: the state they were answered from
        self._timeline = timeline
        self._laws = laws
        self._applying: deque[Committed] = deque()
        self._floors: dict[int, int] = {}  # of reads: what was committed when they were asked
        self._reads: list[tuple[int, int]] = []  # (read index, context)

    def queue(self, committed: Committed) -> None:
        """These entries are to be applied, after all that were queued before."""
        self._applying.append(committed)

    def apply_next(self) -> bool:
        """Apply what was queued first; False if a snapshot has replaced the state meanwhile."""
        if not self._applying:
            return False
        committed = self._applying.popleft()
        self._laws.on_apply(self.state, committed)
        self.state = apply(self.state, committed.entries)
        self._laws.check_state(self.state)
        self._timeline.facts["applied entries"] += len(committed.entries)
        self._answer_reads()
        return True

    def install(self, state: State) -> None:
        """A snapshot replaces the state and everything that was to be applied to it."""
        self.state = state
        self._applying.clear()

    def expect(self, context: int) -> None:
        """A read is about to be asked: its answer must hold all that is committed by now."""
        self._floors[context] = self._laws.history.last_index

    def forget(self, context: int) -> None:
        """The read was refused."""
        del self._floors[context]

    def is_waiting(self, context: int) -> bool:
        """Whether a read has no answer yet, and may still get one."""
        return context in self._floors or any(context == at for _, at in self._reads)

    def on_read_state(self, context: int, read_index: int | None) -> None:
        """The core says from which state on a read may be answered, or None."""
        floor = self._floors.pop(context)
        if read_index is None:
            self._timeline.facts["reads given up"] += 1
            return
        self._laws.on_read(read_index, floor)
        self._reads.append((read_index, context))
        self._answer_reads()

    def _answer_reads(self) -> None:
        index = self.state.last_applied
        for read_index, context in self._reads:
            if read_index <= index:
                self.answers[context] = index
                self._timeline.facts["reads answered"] += 1
        self._reads = [waiting for waiting in self._reads if waiting[0] > index]
