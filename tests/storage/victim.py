"""A node's work on its disk, without the node: it writes, applies and flushes until it is killed.

    python -m tests.storage.victim DIRECTORY SEED

Each line it prints is a promise: `log N` when the N-th write is durable, `state I` when the state
at index I is. What it does depends on nothing but the seed, so that a test can do it again.
"""

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from threading import Thread
from typing import NamedTuple

from messages.raft import Snapshot
from storage.environment import open_node
from storage.log import Loaded, LogStore, LogWrite
from storage.state import StateStore
from tests.storage.fakes import IDENTITY, MEMBERS, MemoryLog, next_write

STEPS_A_FLUSH = 5
"""A flush begins at every fifth write and is waited for four writes later."""


class Step(NamedTuple):
    """A write, whether the flush is then over, and where the state is then frozen."""

    write: LogWrite
    after: Loaded
    is_flush_over: bool
    frozen: Snapshot | None


def steps(seed: int) -> Iterator[Step]:
    """All that a victim with this seed does, for ever."""
    random = Random(seed)
    model = MemoryLog()
    saved = 0
    flushing: Snapshot | None = None
    for number in count(1):
        write = next_write(model, random, cut_max=saved)
        model.write_all([write])
        after = model.load(0)
        is_over = flushing is not None and number % STEPS_A_FLUSH == STEPS_A_FLUSH - 1
        if flushing is not None and is_over:
            saved, flushing = flushing.last_included_index, None
        begins = number % STEPS_A_FLUSH == 0 and after.hard_state.commit_index > saved
        frozen = committed(after) if begins else None
        flushing = frozen or flushing
        yield Step(write, after, is_over, frozen)


def committed(log: Loaded) -> Snapshot:
    """The place in the log where all that is committed has been applied."""
    index = log.hard_state.commit_index
    behind = index - log.base.last_included_index
    term = log.entries[behind - 1].term if behind else log.base.last_included_term
    return Snapshot(index, term, MEMBERS)


def effect(index: int) -> tuple[bytes, bytes | None]:
    """What the entry at this index does: a key and its new value, None to delete it."""
    return b"%d" % (index % 97), None if index % 11 == 0 else b"%d " % index * 20


def main() -> None:
    """Work until the end."""
    opened = open_node(Path(sys.argv[1]), IDENTITY)
    log, state = LogStore(opened.log), StateStore(opened.state)
    applied = 0
    flush = Thread()
    for number, step in enumerate(steps(int(sys.argv[2])), 1):
        log.write_all([step.write])
        print("log", number, flush=True)
        while applied < step.write.hard_state.commit_index:
            applied += 1
            key, value = effect(applied)
            state.delete(key) if value is None else state.put(key, value)
        if step.is_flush_over:
            flush.join()
            state.release()
            print("state", state.applied_index, flush=True)
        if step.frozen:
            state.freeze(b"%d" % applied, step.frozen)
            flush = Thread(target=state.flush)
            flush.start()


if __name__ == "__main__":
    main()
