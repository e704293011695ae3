"""The state on disk and in memory: a memtable over LMDB, flushed in the background (DESIGN 3).

Two threads meet here without a lock. The owner's does everything but flush(). flush() reads the
frozen memtable, which nobody changes any more, and uses a write transaction of its own.
"""

import heapq
from collections.abc import Iterator, Mapping
from itertools import count, islice
from typing import NamedTuple

import lmdb

from messages.raft import Snapshot
from storage.environment import RESERVE_BYTES, Disk
from storage.memtable import Memtable
from storage.saved import open_slots, read_saved, write_saved

PREFIX = b"k"
"""Before each key on disk, so that other keyspaces can join later."""

KEY_BYTES_MAX = 511 - len(PREFIX)
"""LMDB's own bound, less what is ours; whoever takes keys from users refuses longer ones."""

CHUNK_KEYS_MAX = 1_000
"""No call into LMDB handles more, so that none holds up the owner's thread for long."""


class Frozen(NamedTuple):
    """A memtable that is complete, and the place in the log where it is."""

    memtable: Memtable
    meta: bytes
    snapshot: Snapshot


class StateStore:
    """The keys of one state machine, and on disk always all of them as of one applied index."""

    def __init__(self, environment: lmdb.Environment, reserve_bytes: int = RESERVE_BYTES) -> None:
        self.disk = Disk(environment, reserve_bytes)
        self.slots = open_slots(self.disk)
        self._memtable = Memtable()
        self._frozen: Frozen | None = None
        self._see(environment.begin())

    @property
    def last_included(self) -> Snapshot:
        """Where in the log the state on disk stands."""
        return self._saved.snapshot

    @property
    def applied_index(self) -> int:
        """Everything up to here is on disk; behind it, entries are applied again after a start."""
        return self._saved.snapshot.last_included_index

    @property
    def installed(self) -> bool:
        """Whether the state on disk came as a snapshot, and nothing was flushed since."""
        return self._saved.installed

    @property
    def memtable_keys(self) -> int:
        """How many keys a flush would write."""
        return len(self._memtable.values)

    @property
    def memtable_bytes(self) -> int:
        """About how much memory a flush takes: they themselves, and the pages that it rewrites.

        These are one for each key or all there are, and LMDB keeps their memory for the next time.
        """
        rewritten = min(len(self._memtable.values), self._leaf_pages)
        return self._memtable.bytes + rewritten * self._page_bytes

    @property
    def is_flushing(self) -> bool:
        """Whether a frozen memtable is waiting for flush() or release()."""
        return self._frozen is not None

    def load(self) -> tuple[int, bytes]:
        """Where the state on disk stands, and the meta that was frozen there."""
        return self.applied_index, self._saved.meta

    def get(self, key: bytes) -> bytes | None:
        """The value; None where there is none."""
        if key in self._memtable.values:
            return self._memtable.values[key]
        if self._frozen is not None and key in self._frozen.memtable.values:
            return self._frozen.memtable.values[key]
        return self._read.get(PREFIX + key, db=self._keys)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""
        assert 0 < len(key) <= KEY_BYTES_MAX
        self._memtable.put(key, value)

    def delete(self, key: bytes) -> None:
        """Let there be no value."""
        assert 0 < len(key) <= KEY_BYTES_MAX
        self._memtable.put(key, None)

    def scan(self, first: bytes, last: bytes | None, limit: int) -> list[tuple[bytes, bytes]]:
        """At most limit pairs in order of their keys, from first on, before last (None: no end)."""
        layers = [self._memtable.range(first, last), self._on_disk(first, last)]
        if self._frozen is not None:
            layers.insert(1, self._frozen.memtable.range(first, last))
        merged = heapq.merge(*map(_ranked, count(), layers))
        return list(islice(_newest(merged), limit))

    def freeze(self, meta: bytes, snapshot: Snapshot) -> None:
        """Hand over to flush() what was put up to snapshot; puts go on into an empty memtable."""
        assert self._frozen is None, "the last one is not released"
        assert snapshot.last_included_index > self.applied_index
        self._frozen = Frozen(self._memtable, meta, snapshot)
        self._memtable = Memtable()

    def flush(self) -> None:
        """Make the frozen memtable durable; for a thread in the background.

        DiskFull: nothing is written, and flush() may be called again. A snapshot that was installed
        meanwhile is later than what is frozen, and stays.
        """
        frozen = self._frozen
        if frozen is None:
            return  # a snapshot was adopted meanwhile
        self.disk.check_space()
        with self.disk.transaction() as txn:
            saved = read_saved(txn)
            if saved.snapshot.last_included_index < frozen.snapshot.last_included_index:
                cursor = txn.cursor(self.slots[saved.slot])
                for part in frozen.memtable.parts(CHUNK_KEYS_MAX):
                    _write_keys(cursor, part, frozen.memtable.values)
                    self.disk.let_pages_go()  # else all of the file would be mapped at the end
                write_saved(
                    txn, saved._replace(installed=False, snapshot=frozen.snapshot, meta=frozen.meta)
                )
        self.disk.let_pages_go()

    def release(self) -> None:
        """Read from the disk what flush() has written, and forget it in memory.

        What is not durable stays, so one call too many does no harm. A snapshot that was installed
        meanwhile stays out of sight until adopt(): no reader may see a mixture of two states.
        """
        if self._frozen is None:
            return
        newer = self.disk.environment.begin()
        saved = read_saved(newer)
        if saved.installed or saved.snapshot != self._frozen.snapshot:
            newer.abort()
            return
        self._read.abort()  # pages that only the older one saw can be used again (O2)
        self._see(newer)
        self._frozen = None

    def adopt(self) -> None:
        """Go on from the snapshot that was installed: what is in memory belongs to the past."""
        self._memtable = Memtable()
        self._frozen = None
        self._read.abort()
        self._see(self.disk.environment.begin())

    def close(self) -> None:
        """Forget what is in memory; the log has it."""
        self._read.abort()

    def _see(self, newer: "lmdb.Transaction[bytes]") -> None:
        """Read in this transaction from now on."""
        self._read = newer
        self._saved = read_saved(newer)
        self._keys = self.slots[self._saved.slot]
        found = newer.stat(self._keys)
        self._leaf_pages, self._page_bytes = found["leaf_pages"], found["psize"]

    def _on_disk(self, first: bytes, last: bytes | None) -> Iterator[tuple[bytes, bytes | None]]:
        cursor = self._read.cursor(self._keys)
        if not cursor.set_range(PREFIX + first):
            return
        for key, value in cursor.iternext():
            if not key.startswith(PREFIX) or (last is not None and key[len(PREFIX) :] >= last):
                return
            yield key[len(PREFIX) :], value


def _ranked(
    rank: int, layer: Iterator[tuple[bytes, bytes | None]]
) -> Iterator[tuple[bytes, int, bytes | None]]:
    return ((key, rank, value) for key, value in layer)


def _newest(
    merged: Iterator[tuple[bytes, int, bytes | None]],
) -> Iterator[tuple[bytes, bytes]]:
    """Of each key the first, which comes from the newest layer, unless it was deleted there."""
    done = None
    for key, _, value in merged:
        if key != done and value is not None:
            yield key, value
        done = key


def _write_keys(
    cursor: "lmdb.Cursor[bytes]", keys: list[bytes], values: Mapping[bytes, bytes | None]
) -> None:
    """In order, for LMDB looks on the page that it is on first: a third of its time, at best."""
    for start in range(0, len(keys), CHUNK_KEYS_MAX):
        chunk = [(key, values[key]) for key in keys[start : start + CHUNK_KEYS_MAX]]
        rows = [(PREFIX + key, value) for key, value in chunk if value is not None]
        consumed, added = cursor.putmulti(rows)
        assert consumed == added == len(rows), "LMDB skipped a key"
        for key, value in chunk:
            if value is None and cursor.set_key(PREFIX + key):
                cursor.delete()
