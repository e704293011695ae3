"""A full disk: writes are refused, reads go on, and all works again when there is space."""

from pathlib import Path

import pytest

from messages.raft import MEMBERSHIP, NOOP, Entry, HardState
from storage import environment as environment_file
from storage.environment import DiskFull, free_bytes, open_node
from storage.log import LogStore
from storage.snapshot import SnapshotWriter
from storage.state import StateStore
from tests.storage.fakes import DISK_BYTES, IDENTITY, entries_of, place
from tests.storage.test_log import HARD_STATE
from tests.storage.test_snapshot import fill, read, stage

NO_RESERVE = 0


def test_a_log_survives_a_full_disk(opened, small_disk):
    """O1: the write that fails is undone, what came before stays, and it goes on in time."""
    log = LogStore(opened.log, NO_RESERVE)
    last = write_until_full(log)
    assert 0 < last == len(log.load(0).entries)

    log.write(0, HARD_STATE, place(last), last + 1, ())
    for _ in range(2 * last):  # the cut gives pages back, file and disk stay as full as they are
        log.write(0, HARD_STATE, None, last + 1, entries_of(1, bytes(10_000)))

    assert log.load(0).entries == tuple(entries_of(1, bytes(10_000)))
    assert free_bytes(small_disk) < DISK_BYTES // 4


def test_a_full_disk_is_left_by_freeing_space(opened, small_disk):
    """O1: no manual step but that; the very same write succeeds, in a new transaction."""
    log = LogStore(opened.log, NO_RESERVE)
    use_up(small_disk)
    entries = entries_of(1, *[bytes(1000)] * 1000)
    for _ in range(3):
        with pytest.raises(DiskFull):
            log.write(0, HARD_STATE, None, 1, entries)

    (small_disk / "ballast").unlink()
    log.write(0, HARD_STATE, None, 1, entries)

    assert log.load(0).entries == tuple(entries)


def test_a_flush_survives_a_full_disk(opened, small_disk):
    """O1: the frozen memtable stays readable until a later flush() succeeds."""
    state = StateStore(opened.state, NO_RESERVE)
    fill(state, 1, {b"a": b"old"})
    use_up(small_disk)
    values = {b"%d" % number: bytes(1000) for number in range(1000)}
    for key, value in values.items():
        state.put(key, value)
    state.freeze(b"new", place(2))
    with pytest.raises(DiskFull):
        state.flush()
    assert (state.get(b"a"), state.get(b"7"), state.applied_index) == (b"old", bytes(1000), 1)

    (small_disk / "ballast").unlink()
    state.flush()
    state.release()

    assert (state.get(b"7"), state.load()) == (bytes(1000), (2, b"new"))
    state.close()


def test_staging_survives_a_full_disk(opened, small_disk, directory):
    """O1: the chunk that did not fit is taken later; the old state counts all the while."""
    elsewhere = open_node(directory / "n2", IDENTITY)
    source = StateStore(elsewhere.state)
    fill(source, 9, {b"%04d" % number: bytes(1000) for number in range(1000)})
    chunks = read(source, 100_000)
    state = StateStore(opened.state, NO_RESERVE)
    fill(state, 1, {b"a": b"old"})
    writer = SnapshotWriter(state, place(9))
    stage(writer, chunks[:2])
    use_up(small_disk)

    with pytest.raises(DiskFull):
        stage(writer, chunks[2:])
    assert not writer.is_complete
    assert state.get(b"a") == b"old"

    (small_disk / "ballast").unlink()
    stage(writer, chunks)
    writer.install()
    state.adopt()
    assert state.scan(b"", None, 2000) == source.scan(b"", None, 2000)
    state.close()
    source.close()
    elsewhere.close()


def test_a_full_disk_still_opens(small_disk):
    """O1: a node that is restarted on a full disk serves reads."""
    node = open_node(small_disk / "n1", IDENTITY)
    LogStore(node.log, NO_RESERVE).write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    state = StateStore(node.state, NO_RESERVE)
    fill(state, 1, {b"a": b"1"})
    state.close()
    node.close()
    use_up(small_disk)

    node = open_node(small_disk / "n1", IDENTITY)
    state = StateStore(node.state)

    assert (state.get(b"a"), len(LogStore(node.log).load(0).entries)) == (b"1", 1)
    state.close()
    node.close()


def test_commands_are_refused_before_the_disk_is_full(directory, monkeypatch):
    """O1: the reserve is for terms, votes, no-ops, memberships and cuts."""
    node = open_node(directory / "n1", IDENTITY)
    log, state = LogStore(node.log, 1000), StateStore(node.state, 1000)
    state.freeze(b"", place(1))
    monkeypatch.setattr(environment_file, "free_bytes", lambda _: 999)

    with pytest.raises(DiskFull):
        log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    with pytest.raises(DiskFull):
        state.flush()
    log.write(0, HardState(5, 3, 0), place(0, 0), 1, [Entry(5, NOOP, b"")])
    log.write(0, HardState(5, 3, 0), None, 2, [Entry(5, MEMBERSHIP, b"")])
    assert log.load(0).hard_state == HardState(5, 3, 0)

    monkeypatch.undo()
    log.write(0, HardState(5, 3, 0), None, 3, entries_of(5, b"a"))
    state.flush()
    state.release()
    assert (len(log.load(0).entries), state.applied_index) == (3, 1)
    state.close()
    node.close()


def write_until_full(log: LogStore) -> int:
    """The last index that went in."""
    last = 0
    while True:
        try:
            log.write(0, HARD_STATE, None, last + 1, entries_of(1, *[bytes(10_000)] * 20))
        except DiskFull:
            return last
        last += 20


def use_up(disk: Path) -> None:
    """Leave nothing free."""
    with (disk / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(1 << 16)):
                pass
        except OSError:
            assert free_bytes(disk) < 1 << 16
