"""Power cuts: the log has what was acknowledged, whatever of the rest had reached the disk."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import lmdb
import pytest

from messages.raft import HardState
from storage import environment, tail
from storage.environment import RESERVE, DiskFull, StorageRefused, open_log, open_node
from storage.log import LogStore
from storage.tail import KEPT, TAIL_BYTES_MAX
from tests.storage.fakes import IDENTITY, MemoryLog, entries_of, next_write, place
from tests.storage.test_disk_full import use_up

PAGE_BYTES = 4096
HEADS_BYTES = 2 * PAGE_BYTES
GROUPS = (0, 7)
HARD_STATE = HardState(1, 2, 0)


class Watched:
    """An environment that tells whether its head was synced."""

    def __init__(self, environment: lmdb.Environment) -> None:
        self.environment = environment
        self.syncs = 0

    def sync(self, force: bool) -> None:
        assert force
        self.environment.sync(True)
        self.syncs += 1

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of any kind
        return getattr(self.environment, name)


class Machine:
    """A log on a disk of which a power cut takes what no sync has told of."""

    environment: Watched

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._lives = 0
        self.start(b"")

    def start(self, disk: bytes, kept: bytes = b"") -> None:
        """Begin a life with this on the disk."""
        if self._lives:
            self.environment.close()
        self._lives += 1
        self.place = self.directory / str(self._lives)
        self.place.mkdir()
        if disk:
            (self.place / "data.mdb").write_bytes(disk)
        if kept:
            (self.place / KEPT).write_bytes(kept)
        self.environment = Watched(open_log(self.place, IDENTITY, must_exist=bool(disk)))
        assert not self.environment.flags()["metasync"]
        self.log = LogStore(self.environment)  # type: ignore[arg-type]
        self.environment.sync(True)
        self.heads = [self.disk()[:HEADS_BYTES]]

    def disk(self) -> bytes:
        """The file as the system shows it."""
        return (self.place / "data.mdb").read_bytes()

    def do(self, act: Callable[[LogStore], None]) -> tuple[bytes, bytes, list[bytes]]:
        """The file before and after it, and what its heads may have been meanwhile."""
        before, heads, syncs = self.disk(), self.heads, self.environment.syncs
        act(self.log)
        after = self.disk()
        # LMDB's own sync comes before it writes the new head, and takes the one before along.
        self.heads = [after[:HEADS_BYTES]]
        if self.environment.syncs == syncs:
            self.heads.append(before[:HEADS_BYTES])
        return before, after, heads


def torn(before: bytes, after: bytes, random: Random) -> bytes:
    """Some of the pages that changed, those of the heads aside."""
    size = random.choice((len(before), len(after)))
    mixed = bytearray(before[:size].ljust(size, b"\0"))
    share = random.choice((0.1, 0.5, 0.9, 1.0))
    for start in range(HEADS_BYTES, size, PAGE_BYTES):
        if random.random() < share:
            mixed[start : start + PAGE_BYTES] = after[start : start + PAGE_BYTES]
    return bytes(mixed)


@pytest.mark.parametrize("seed", range(60))
def test_a_power_cut_takes_nothing_that_was_acknowledged(seed, directory):
    """D1, D2: cut in a write or behind it, and in the start after that, again and again."""
    random = Random(seed)
    machine, model = Machine(directory), MemoryLog()
    for _ in range(40):
        old = told(model)
        writes = [next_write(model, random, group) for group in random.choice(CHOICES)]
        before, after, heads = machine.do(lambda log: log.write_all(writes))  # noqa: B023 at once
        model.write_all(writes)
        new = told(model)
        assert told(machine.log) == new
        fate = random.random()
        if fate < 0.2:  # behind the acknowledgement
            start_again(machine, random.choice(machine.heads) + after[HEADS_BYTES:], random)
            assert told(machine.log) == new
        elif fate < 0.4:  # before it
            disk = torn(before, after, random)
            start_again(machine, random.choice(heads) + disk[HEADS_BYTES:], random)
            assert told(machine.log) in (old, new)
            model.groups = {group: machine.log.load(group) for group in GROUPS}


CHOICES = ((0,), (0,), (7,), GROUPS)


def start_again(machine: Machine, disk: bytes, random: Random) -> None:
    """Start, or be cut off while what was lost is written again, and start then."""
    kept = []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tail, "_keep", lambda _, raw: kept.append(raw))
        machine.start(disk)
    found = told(machine.log)
    if kept and random.random() < 0.5:
        half = disk[:HEADS_BYTES] + torn(disk, machine.disk(), random)[HEADS_BYTES:]
        machine.start(half, kept[0])
        assert told(machine.log) == found
        assert not (machine.place / KEPT).exists()


def told(log: LogStore | MemoryLog) -> list[object]:
    """What it loads, in a few words: pytest takes minutes to compare thousands of entries."""
    found = [log.load(group) for group in GROUPS]
    return [(hard_state, base, len(all_), hash(all_)) for hard_state, base, all_ in found]


@pytest.mark.parametrize("size", [1, 300, 20_000, TAIL_BYTES_MAX - 200])
def test_a_short_append_is_found_without_its_head(size, directory):
    """Wherever LMDB puts it: on its root's page, or on pages of its own."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    _, after, _ = machine.do(
        lambda log: log.write(0, HARD_STATE, None, 2, entries_of(1, b"b" * size))
    )

    assert len(machine.heads) == 2, "its head was synced, so this says nothing"
    machine.start(machine.heads[1] + after[HEADS_BYTES:])

    assert machine.log.load(0).entries == tuple(entries_of(1, b"a", b"b" * size))


MORE: dict[str, Callable[[LogStore], None]] = {
    "long": lambda log: log.write(0, HARD_STATE, None, 3, entries_of(1, b"c" * TAIL_BYTES_MAX)),
    "a conflict": lambda log: log.write(0, HardState(2, 0, 0), None, 2, entries_of(2, b"B")),
    "a cut": lambda log: log.write(0, HARD_STATE, place(1), 3, ()),
    "an installed snapshot": lambda log: log.reset(0, HARD_STATE, place(9)),
}


@pytest.mark.parametrize("act", MORE.values(), ids=MORE.keys())
def test_more_than_a_short_append_is_synced_twice(act, directory):
    """What could not be repeated must not need it."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a", b"b"))

    machine.do(act)

    assert len(machine.heads) == 1


def test_of_two_attempts_the_later_one_counts(directory):
    """A full disk undoes a write whose tail may be whole: what was written in its stead is it."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    txn = machine.environment.begin(write=True)
    machine.log._tails.put(txn, [tail.Row(b"hard_state", b"of the first attempt", True)])
    attempt = txn.get(tail.KEY)
    txn.abort()
    _, after, _ = machine.do(lambda log: log.write(0, HARD_STATE, None, 2, entries_of(1, b"b")))

    machine.start(machine.heads[1] + after[HEADS_BYTES:], attempt)

    assert machine.log.load(0).entries == tuple(entries_of(1, b"a", b"b"))
    with machine.environment.begin() as txn:
        assert txn.get(b"hard_state") is None


@pytest.mark.parametrize("size", [300, 20_000])
def test_what_a_program_without_tails_wrote_is_not_undone(size, directory):
    """D1: a write that was not acknowledged is cut off, and an older program goes on from there."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    _, after, _ = machine.do(
        lambda log: log.write(0, HARD_STATE, None, 2, entries_of(1, b"b" * size))
    )
    disk = machine.heads[1] + after[HEADS_BYTES:]
    with pytest.MonkeyPatch.context() as older:
        older.setattr(environment, "write_lost_again", lambda _: None)
        older.setattr(tail.Tails, "put", lambda *_: None)
        machine.start(disk)
        machine.log.write(0, HardState(3, 1, 0), None, 2, ())

    machine.start(machine.disk())
    assert machine.log.load(0).hard_state == HardState(3, 1, 0)
    assert machine.log.load(0).entries == tuple(entries_of(1, b"a"))

    machine.log.write(0, HardState(3, 1, 0), None, 2, entries_of(3, b"c"))
    _, after, _ = machine.do(
        lambda log: log.write(0, HardState(3, 1, 0), None, 3, entries_of(3, b"d"))
    )
    machine.start(machine.heads[1] + after[HEADS_BYTES:])
    assert machine.log.load(0).entries[1:] == tuple(entries_of(3, b"c", b"d"))


def test_a_start_puts_the_head_that_it_sees_on_the_disk(directory, monkeypatch):
    """D5: after a sync that failed the system shows what is not there, and never tries again."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    disk = machine.disk()
    done: list[object] = []
    monkeypatch.setattr(os, "pwrite", lambda _, data, at: done.append((data, at)))
    monkeypatch.setattr(os, "fsync", lambda _: done.append("synced"))

    machine.start(disk)

    assert done == [(disk[:HEADS_BYTES], 0), "synced"]


def test_what_is_lost_is_written_again_on_a_full_disk(small_disk):
    """O1: in the space that is held for such a thing; without any, as soon as there is some."""
    node = open_node(small_disk / "n1", IDENTITY)
    log, place_of_log = LogStore(node.log, 0), small_disk / "n1" / "log"
    entries = entries_of(1, *[bytes(3000)] * 30)
    for index, entry in enumerate(entries[:-1], 1):
        log.write(0, HARD_STATE, None, index, [entry])
    (place_of_log / RESERVE).write_bytes(bytes(1 << 20))
    data = place_of_log / "data.mdb"
    heads = data.read_bytes()[:HEADS_BYTES]
    log.write(0, HARD_STATE, None, len(entries), entries[-1:])
    node.close()
    with data.open("r+b") as file:
        file.write(heads)
    use_up(small_disk)

    held = (place_of_log / RESERVE).read_bytes()
    (place_of_log / RESERVE).unlink()
    (small_disk / "more").write_bytes(held)
    with pytest.raises(DiskFull):
        open_node(small_disk / "n1", IDENTITY)
    (small_disk / "more").rename(place_of_log / RESERVE)
    node = open_node(small_disk / "n1", IDENTITY)

    assert LogStore(node.log, 0).load(0).entries == tuple(entries)
    node.close()


def test_a_value_that_looks_like_a_tail_is_none(directory):
    """A user may store what a log's file holds: that of another node, or of an earlier life."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    machine.log.write(0, HARD_STATE, None, 2, entries_of(1, b"b"))
    with machine.environment.begin() as txn:
        own = txn.get(tail.KEY)
    other = own[:8] + bytes(16) + own[24:]

    _, after, _ = machine.do(
        lambda log: log.write(0, HARD_STATE, None, 3, entries_of(1, own, other))
    )
    machine.start(machine.heads[0] + after[HEADS_BYTES:])

    assert len(machine.log.load(0).entries) == 4


def test_a_damaged_tail_is_refused(directory):
    """D6: without it nobody knows what is lost behind it."""
    machine = Machine(directory)
    machine.log.write(0, HARD_STATE, None, 1, entries_of(1, b"a"))
    with machine.environment.begin(write=True) as txn:
        raw = txn.get(tail.KEY)
        txn.put(tail.KEY, raw[:-1] + bytes([raw[-1] ^ 1]))

    with pytest.raises(StorageRefused, match="tail does not match"):
        machine.start(machine.disk())
