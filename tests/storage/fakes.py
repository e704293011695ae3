"""A log without a disk that keeps the contract of storage.log, and what tests write into either."""

from collections.abc import Sequence
from random import Random

from messages.raft import COMMAND, Entry, HardState, Membership, Snapshot
from storage.environment import Identity
from storage.log import Loaded, LogWrite

IDENTITY = Identity("test", 1)
DISK_BYTES = 8 << 20
MEMBERS = Membership((1, 2, 3))
NOTHING = Loaded(HardState(0, 0, 0), Snapshot(0, 0, Membership()), ())


class MemoryLog:
    """What storage.log.LogStore promises, in lists."""

    def __init__(self) -> None:
        self.groups: dict[int, Loaded] = {}

    def load(self, group: int) -> Loaded:
        return self.groups.get(group, NOTHING)

    def write(
        self,
        group: int,
        hard_state: HardState,
        base: Snapshot | None,
        first_index: int,
        entries: Sequence[Entry],
    ) -> None:
        self.write_all([LogWrite(group, hard_state, base, first_index, entries)])

    def write_all(self, writes: Sequence[LogWrite]) -> None:
        for group, hard_state, base, first_index, entries in writes:
            _, old, kept = self.load(group)
            place = first_index - old.last_included_index - 1
            assert place <= len(kept), "a log with a gap"
            joined = (*kept[: max(place, 0)], *entries)
            new = base or old
            cut = new.last_included_index - old.last_included_index
            self.groups[group] = Loaded(hard_state, new, joined[cut:])

    def reset(self, group: int, hard_state: HardState, snapshot: Snapshot) -> None:
        self.groups[group] = Loaded(hard_state, snapshot, ())


def next_write(log: MemoryLog, random: Random, group: int = 0, cut_max: int = 1 << 62) -> LogWrite:
    """A write that Raft could ask for next: mostly appends, at times a conflict or a cut."""
    hard_state, base, entries = log.load(group)
    first = base.last_included_index + 1
    last = base.last_included_index + len(entries)
    commit = random.randint(max(hard_state.commit_index, base.last_included_index), last)
    first_index = random.randint(commit + 1, last + 1) if random.random() < 0.2 else last + 1
    term = hard_state.current_term + (first_index <= last or random.random() < 0.1 or not last)
    new = [
        Entry(term, COMMAND, random.randbytes(random.choice((0, 10, 5000))))
        for _ in range(random.choice((0, 1, 3, 40)))
    ]
    cut = None
    if first <= min(commit, cut_max) and random.random() < 0.3:
        index = random.randint(first, min(commit, cut_max))
        cut = Snapshot(index, entries[index - first].term, MEMBERS)
    return LogWrite(group, HardState(term, random.randint(0, 3), commit), cut, first_index, new)


def entries_of(term: int, *payloads: bytes) -> list[Entry]:
    """Commands of one term."""
    return [Entry(term, COMMAND, payload) for payload in payloads]


def place(index: int, term: int = 1) -> Snapshot:
    """A place in the log."""
    return Snapshot(index, term, MEMBERS)
