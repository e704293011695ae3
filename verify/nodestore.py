"""A node's simulated state: a memtable over a durable dict, with the contract of storage/state.py.

The durable state is one value that is replaced as a whole, so a flush happens or does not, and a
snapshot that is being read is simply an older value that somebody still holds.
"""

from ast import literal_eval
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from zlib import crc32

from messages.raft import InstallSnapshot, Membership, Snapshot

CRC_CHARACTERS = 8
"""In front of a snapshot's bytes, in hexadecimal."""


class Durable(NamedTuple):
    """What a crash keeps of a state."""

    snapshot: Snapshot
    meta: bytes
    installed: bool  # by a snapshot, so that the log may not have heard of it yet
    values: Mapping[bytes, bytes]


class Frozen(NamedTuple):
    """A memtable that is complete, and the place in the log where it is."""

    values: Mapping[bytes, bytes]
    meta: bytes
    snapshot: Snapshot


class StateDisk:
    """The environment of a node's state."""

    def __init__(self) -> None:
        self.durable = Durable(Snapshot(0, 0, Membership()), b"", installed=False, values={})

    def install(self, later: Durable) -> None:
        """Let a staged state be the state, if it is later than the one that is here."""
        if self.durable.snapshot.last_included_index < later.snapshot.last_included_index:
            self.durable = later


class Store:
    """The keys of one life of a node; only what was flushed outlives it."""

    def __init__(self, disk: StateDisk) -> None:
        self.memtable: dict[bytes, bytes] = {}
        self._disk = disk
        self._seen = disk.durable
        self._frozen: Frozen | None = None

    @property
    def last_included(self) -> Snapshot:
        """Where in the log the state stands that reads fall through to."""
        return self._seen.snapshot

    @property
    def applied_index(self) -> int:
        """Everything up to here is durable, as far as this life has noticed."""
        return self._seen.snapshot.last_included_index

    @property
    def installed(self) -> bool:
        """Whether the durable state came as a snapshot, and nothing was flushed since."""
        return self._seen.installed

    @property
    def memtable_bytes(self) -> int:
        """How long the values are that a flush would write."""
        return sum(map(len, self.memtable.values()))

    @property
    def memtable_keys(self) -> int:
        """How many keys a flush would write."""
        return len(self.memtable)

    @property
    def is_flushing(self) -> bool:
        """Whether a frozen memtable is waiting for flush() or release()."""
        return self._frozen is not None

    def load(self) -> tuple[int, bytes]:
        """Where the durable state stands, and the meta that was frozen there."""
        return self.applied_index, self._seen.meta

    def get(self, key: bytes) -> bytes | None:
        """The value; None where there is none."""
        if key in self.memtable:
            return self.memtable[key]
        if self._frozen is not None and key in self._frozen.values:
            return self._frozen.values[key]
        return self._seen.values.get(key)

    def put(self, key: bytes, value: bytes) -> None:
        """Set the value."""
        self.memtable[key] = value

    def freeze(self, meta: bytes, snapshot: Snapshot) -> None:
        """Hand over to flush() what was put up to snapshot; puts go on into an empty memtable."""
        assert self._frozen is None, "the last one is not released"
        assert snapshot.last_included_index > self.applied_index
        self._frozen = Frozen(self.memtable, meta, snapshot)
        self.memtable = {}

    def flush(self) -> None:
        """Make what is frozen durable, unless a snapshot that was installed meanwhile is later."""
        frozen, durable = self._frozen, self._disk.durable
        if frozen is None:
            return
        if durable.snapshot.last_included_index < frozen.snapshot.last_included_index:
            values = {**durable.values, **frozen.values}
            self._disk.durable = Durable(
                frozen.snapshot, frozen.meta, installed=False, values=values
            )

    def release(self) -> None:
        """Forget in memory what flush() has made durable; an installed snapshot waits for adopt."""
        durable = self._disk.durable
        if self._frozen is None or durable.installed or durable.snapshot != self._frozen.snapshot:
            return
        self._seen, self._frozen = durable, None

    def adopt(self) -> None:
        """Go on from the snapshot that was installed: what is in memory belongs to the past."""
        self._seen, self._frozen, self.memtable = self._disk.durable, None, {}


class Staging:
    """A snapshot on its way in; what is not what was sent is refused, and begins anew."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.arrived: Durable | None = None  # and verified
        self._data = bytearray()

    def stage(self, chunk: InstallSnapshot) -> bool:
        """Take the next chunk, the first one anew; False where only a new stream can help."""
        if chunk.offset == 0:
            self._data.clear()
            self.arrived = None
        if self.arrived is not None or chunk.offset != len(self._data):
            return False
        self._data += chunk.data
        if chunk.done:
            self.arrived = from_bytes(bytes(self._data), self.snapshot)
        return not chunk.done or self.arrived is not None


def as_bytes(durable: Durable) -> bytes:
    """A state as a stream, the same whenever it is read."""
    index, term, membership = durable.snapshot
    rows = sorted(durable.values.items())
    body = repr(((index, term, tuple(membership)), durable.meta, rows)).encode()
    return b"%08x" % crc32(body) + body


def from_bytes(data: bytes, announced: Snapshot) -> Durable | None:
    """The state in a stream; None if it is damaged, or another one than was announced."""
    body = data[CRC_CHARACTERS:]
    if data[:CRC_CHARACTERS] != b"%08x" % crc32(body):
        return None
    (index, term, membership), meta, rows = literal_eval(body.decode())
    snapshot = Snapshot(index, term, Membership(*membership))
    if snapshot != announced:
        return None
    return Durable(snapshot, meta, installed=True, values=dict(rows))


def digest(meta: bytes, values: Iterable[bytes | None]) -> int:
    """What two equal states share, and two others hardly ever."""
    mixed = crc32(meta)
    for value in values:
        mixed = crc32(b"-" if value is None else b"+" + value, mixed)
    return mixed
