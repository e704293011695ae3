"""actors/quickwrites.py: which writes of the log Raft's own thread does."""

from typing import cast

import pytest

from actors.quickwrites import QUICK_NS, QuickWrites
from messages.local import WriteLog, Written
from messages.raft import COMMAND, Entry, HardState, Membership, Snapshot
from storage.environment import DiskFailed, DiskFull
from storage.log import LogStore, LogWrite

SNAPSHOT = Snapshot(7, 1, Membership((1,)))
QUICK, SLOW = Written(1, QUICK_NS // 2), Written(1, 2 * QUICK_NS)
MANY = 100


class Store:
    """Remembers what it was given; each write takes a millisecond, or fails."""

    def __init__(self) -> None:
        self.written: list[LogWrite] = []
        self.is_short = True
        self.failure: Exception | None = None
        self.now_ns = 0

    def write_if_short(self, write):
        """Time passes, if a test says that it is short."""
        if self.failure:
            raise self.failure
        if self.is_short:
            self.written.append(write)
            self.now_ns += 1_000_000
        return self.is_short


def write_log(number, snapshot=None):
    """One entry, the first of its log."""
    entries = (Entry(1, COMMAND, b"x"),)
    return WriteLog(number, HardState(1, 1, 0), snapshot, None, 1, entries)


@pytest.fixture
def disk():
    """A store, and who writes to it after the disk has been quick for long enough."""
    store = Store()
    found = QuickWrites(5, cast("LogStore", store), lambda: store.now_ns)
    for _ in range(MANY):
        found.on_written(QUICK)
    return store, found


def test_a_short_write_is_durable_at_once(disk):
    """And how long it took is told, as the LogWriter would."""
    store, found = disk

    assert found.write(write_log(2)) == Written(2, 1_000_000)
    (write,) = store.written
    assert (write.group, write.first_index, len(write.entries)) == (5, 1, 1)


def test_what_takes_long_is_for_the_log_writer(disk):
    """An installed snapshot drops a whole log; what else is long the store knows."""
    store, found = disk

    assert found.write(write_log(2, SNAPSHOT)) is None
    store.is_short = False
    assert found.write(write_log(3)) is None
    assert store.written == []


def test_a_disk_that_nobody_knows_is_not_waited_for():
    """It may be a slow one."""
    store = Store()
    found = QuickWrites(5, cast("LogStore", store), lambda: store.now_ns)
    found.on_written(QUICK)

    assert found.write(write_log(1)) is None


def test_a_slow_disk_is_not_waited_for(disk):
    """R1: rounds of reads would wait for it, and a write gains little where it takes long."""
    _, found = disk
    for _ in range(MANY):
        found.on_written(SLOW)

    assert found.write(write_log(2)) is None


def test_after_a_pause_a_disk_has_to_be_quick_for_a_while(disk):
    """M8: it may pause again."""
    _, found = disk
    found.on_written(Written(1, 200 * QUICK_NS))

    waited = 0
    while found.write(write_log(2)) is None:
        found.on_written(QUICK)
        waited += 1

    assert 30 < waited < MANY


def test_what_comes_late_and_together_is_for_the_log_writer(disk):
    """Nobody waits for a follower that is told late (decision 0009)."""
    store, found = disk
    write = write_log(2)

    assert found.write(write._replace(entries=2 * write.entries)) is None
    assert found.write(write._replace(entries=())) is None
    assert store.written == []


def test_a_full_disk_is_for_the_log_writer(disk):
    """O1: it has the reserve, and tries again."""
    store, found = disk
    store.failure = DiskFull("no space")

    assert found.write(write_log(2)) is None


def test_a_write_that_failed_ends_the_node(disk):
    """D5."""
    store, found = disk
    store.failure = DiskFailed("no sync")

    with pytest.raises(DiskFailed):
        found.write(write_log(2))
