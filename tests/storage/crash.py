"""Dies at every line: what storage/ does, cut off wherever it can be, and what is left then.

    python -m tests.storage.crash CASE [STRIDE]

A case prepares a directory, and then a forked process runs its act and is gone without a word when
it comes to the n-th line of storage/; for n = 1, 2, ... (or every STRIDE-th) until the act gets
through. Of a line that runs again and again the first two times count. After each death the case
looks at the directory. What the process wrote the system still has, as after SIGKILL; what a power
cut takes away is LMDB's contract, and not looked at here.
"""

import os
import sys
from collections import Counter
from collections.abc import Callable
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NamedTuple

import storage
from messages.raft import HardState
from storage.boot import Booted, load_saved
from storage.environment import Opened, open_node
from storage.log import LogStore
from storage.snapshot import SnapshotReader, SnapshotWriter
from storage.state import StateStore
from tests.storage.conftest import fast_place
from tests.storage.fakes import IDENTITY, MEMBERS, entries_of, place

OURS = str(Path(storage.__file__).parent)
DIED = 9
LINES_MAX = 5_000
REPEATS_MAX = 2

Tracer = Callable[[FrameType, str, object], "Tracer | None"]

OLD = {b"%02d" % number: b"old" for number in range(20)}
NEW = {b"%02d" % number: b"new" for number in range(10, 40)}


class Node(NamedTuple):
    opened: Opened
    log: LogStore
    state: StateStore

    def close(self) -> None:
        self.state.close()
        self.opened.close()


class Case(NamedTuple):
    prepare: Callable[[Path], object]
    act: Callable[[Path], object]
    check: Callable[[Path], object]


def main() -> None:
    """Run one case to its end and say how often it died."""
    case = CASES[sys.argv[1]]
    stride = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    for line in count(1, stride):
        assert line < LINES_MAX, "it never gets through"
        with TemporaryDirectory(dir=fast_place()) as name:
            directory = Path(name)
            case.prepare(directory)
            died = dies_at(line, lambda: case.act(directory))  # noqa: B023 called at once
            case.check(directory)
        if not died:
            print(f"{sys.argv[1]}: died {(line - 1) // stride} times")
            return


def dies_at(line: int, act: Callable[[], object]) -> bool:
    """Whether the act came to its n-th line of ours, and died there."""
    child = os.fork()
    if child == 0:
        try:
            sys.settrace(tracer(line))
            act()
        except BaseException:  # noqa: BLE001 the parent must not run twice
            sys.settrace(None)
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, DIED}, code
    return code == DIED


def tracer(line: int) -> Tracer:
    """Counts lines of storage/ in every function, and ends the process at this one."""
    runs: Counter[tuple[object, int]] = Counter()
    left = line

    def trace(frame: FrameType, event: str, _: object) -> Tracer | None:
        nonlocal left
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        if event == "line":
            here = (frame.f_code, frame.f_lineno)
            runs[here] += 1
            left -= runs[here] <= REPEATS_MAX
            if left == 0:
                os._exit(DIED)
        return trace

    return trace


def open_both(directory: Path) -> Node:
    """The node's stores as they are."""
    opened = open_node(directory / "node", IDENTITY)
    return Node(opened, LogStore(opened.log), StateStore(opened.state))


def create(directory: Path) -> None:
    """A node's first start."""
    open_node(directory / "node", IDENTITY).close()


def is_usable(directory: Path) -> None:
    """However far a first start came, the next one gets through, and what it writes is kept."""
    node = open_both(directory)
    node.log.write(0, HardState(1, 1, 0), place(0, 0), 1, entries_of(1, b"a"))
    node.close()
    node = open_both(directory)
    assert load_saved(node.log, node.state, 0).entries == tuple(entries_of(1, b"a"))
    node.close()


def write_old(directory: Path) -> None:
    """A log of 30 entries, a state flushed at 20."""
    node = open_both(directory)
    node.log.write(0, HardState(1, 1, 20), place(0, 0), 1, entries_of(1, *[b"x"] * 30))
    fill(node.state, 20, OLD)
    node.close()
    source = open_node(directory / "source", IDENTITY)
    fill(StateStore(source.state), 50, NEW)
    source.close()


def flush_new(directory: Path) -> None:
    """Bring the state from 20 to 25, then cut the log behind 20."""
    node = open_both(directory)
    node.state.delete(b"00")
    fill(node.state, 25, NEW)
    node.log.write(0, HardState(1, 1, 25), place(20), 31, ())


def is_flushed_or_not(directory: Path) -> None:
    """D3, D4: state and log are as before or as after, each of them whole, and they fit."""
    booted, values = contents(directory)
    flushed = {**OLD, **NEW}
    del flushed[b"00"]
    assert (booted.last_applied, values) in [(20, OLD), (25, flushed)]
    assert booted.base in [place(0, 0), place(20)]
    assert booted.base.last_included_index + len(booted.entries) == 30


def write_conflict(directory: Path) -> None:
    """A new term and vote, a cut, and other entries where 25 to 30 were."""
    node = open_both(directory)
    node.log.write(0, HardState(2, 3, 22), place(20), 25, entries_of(2, b"y", b"z"))


def is_written_or_not(directory: Path) -> None:
    """D1, D2: vote, cut, conflict and entries are all there, or none of them is."""
    booted, _ = contents(directory)
    before = tuple(entries_of(1, *[b"x"] * 30))
    after = (*before[20:24], *entries_of(2, b"y", b"z"))
    assert booted in [
        Booted(HardState(1, 1, 20), place(0, 0), before, 20),
        Booted(HardState(2, 3, 22), place(20), after, 20),
    ]


def install_snapshot(directory: Path) -> None:
    """Take the state at 50 from elsewhere, as a follower does that is too far behind."""
    node = open_both(directory)
    source = open_node(directory / "source", IDENTITY)
    reader = SnapshotReader(StateStore(source.state), 0.0, block_bytes=200)
    writer = SnapshotWriter(node.state, reader.snapshot)
    offset, done = 0, False
    while not done:
        data, done = reader.chunk(offset)
        writer.stage(offset, data, done)
        offset += len(data)
    writer.install()
    node.state.adopt()
    node.log.reset(0, HardState(3, 2, 50), reader.snapshot)


def is_installed_or_not(directory: Path) -> None:
    """D10: the old state with its log, or the new one with a log that starts behind it."""
    booted, values = contents(directory)
    if booted.last_applied == 20:
        assert (values, len(booted.entries)) == (OLD, 30)
    else:
        assert (booted.last_applied, booted.base, booted.entries) == (50, place(50), ())
        assert booted.hard_state in [HardState(1, 1, 50), HardState(3, 2, 50)]
        assert values == NEW
    install_snapshot_again(directory)


def install_snapshot_again(directory: Path) -> None:
    """What a dead process staged is in nobody's way."""
    node = open_both(directory)
    node.close()
    if contents(directory)[0].last_applied != 50:
        assert not dies_at(LINES_MAX, lambda: install_snapshot(directory))
        booted, values = contents(directory)
        assert (booted.last_applied, values) == (50, NEW)


def contents(directory: Path) -> tuple[Booted, dict[bytes, bytes]]:
    """What the node starts from, and its keys."""
    node = open_both(directory)
    booted = load_saved(node.log, node.state, 0)
    values = dict(node.state.scan(b"", None, 1000))
    assert node.state.load()[1] == b"%d" % booted.last_applied
    assert booted.base.membership == MEMBERS
    node.close()
    return booted, values


def fill(state: StateStore, index: int, values: dict[bytes, bytes]) -> None:
    """Bring values to the disk, as of this index."""
    for key, value in values.items():
        state.put(key, value)
    state.freeze(b"%d" % index, place(index))
    state.flush()
    state.release()


CASES = {
    "create": Case(lambda _: None, create, is_usable),
    "write": Case(write_old, write_conflict, is_written_or_not),
    "flush": Case(write_old, flush_new, is_flushed_or_not),
    "install": Case(write_old, install_snapshot, is_installed_or_not),
}

if __name__ == "__main__":
    main()
