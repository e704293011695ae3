"""A state on its way to a server that is behind the log: read in chunks, staged, installed (§7).

The raw stream is records: key length, value length, key, value, first of them the state's place in
the log under the empty key. It is cut into blocks, and each chunk is one block, compressed:

    sequence, whether it is the last, crc32 of both and of the frame, zstd frame

The last chunk's block is how many records there were, and the digest of all raw bytes. A stream is
the same whenever it is read from the same state, so a chunk may be read again after a cut.
"""

from collections.abc import Iterator
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import zstandard

from messages.raft import Snapshot
from storage.saved import (
    META_BYTES_MAX,
    Saved,
    decode_place,
    encode_place,
    read_saved,
    write_saved,
)
from storage.state import StateStore

BLOCK_BYTES = 1024 * 1024
"""Raw bytes of a chunk; even incompressible, a chunk stays far below ENTRY_BYTES_MAX."""

BOUNDARIES_MAX = 4_096
"""Chunks behind the last one that can be read again, beside the first."""

BLOCK_BYTES_MAX = 4 * 1024 * 1024
"""A chunk that would unpack to more is refused before it is unpacked."""

COMPRESSION_LEVEL = 1
"""The fastest: the network is seldom slower than 100 MB/s, and reading is not faster."""

_CHUNK = Struct(">IBI")
_MARK = Struct(">IB")
_RECORD = Struct(">HI")
_TRAILER = Struct(">Q32s")
_KEY_BYTES_MAX = 511
_ROWS_MAX = 1_000  # of one call into LMDB, so that none holds up the other threads for long


class SnapshotCorrupt(Exception):
    """What arrived is not the stream that was sent; nothing of it is ever installed (D10)."""


class UnknownOffset(Exception):
    """No chunk that this reader remembers begins there: the stream must start over."""


class _Boundary(NamedTuple):
    """Where a chunk begins: its number, the record that lies there, how much of it is past."""

    sequence: int
    key: bytes
    skip: int


class SnapshotReader:
    """The state on disk as it was when this was opened, as a stream; one thread at a time.

    While it is open, pages that writers leave behind cannot be used again (O2): its owner closes it
    when it is done or too old.
    """

    def __init__(self, state: StateStore, opened_at: float, block_bytes: int = BLOCK_BYTES) -> None:
        assert 0 < block_bytes <= BLOCK_BYTES_MAX
        self.opened_at = opened_at
        self._block_bytes = block_bytes
        self._txn = state.disk.environment.begin()
        saved = read_saved(self._txn)
        self.snapshot = saved.snapshot
        self._place = encode_place(saved.snapshot, saved.meta)
        self._keys = state.slots[saved.slot]
        self._boundaries = {0: _Boundary(0, b"", 0)}
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._digest = blake2b(digest_size=32)
        self._digested = 0  # chunks; one that is read again is in the digest already

    @property
    def index(self) -> int:
        """The applied index of this state."""
        return self.snapshot.last_included_index

    def chunk(self, offset: int) -> tuple[bytes, bool]:
        """The chunk that begins at this byte of the stream, and whether it is the last."""
        boundary = self._boundaries.get(offset) or self._forward_to(offset)
        block, behind = self._block(boundary)
        done = not block
        if done:
            assert boundary.sequence == self._digested
            records = 1 + self._txn.stat(self._keys)["entries"]
            block = _TRAILER.pack(records, self._digest.digest())
        elif boundary.sequence == self._digested:
            self._digest.update(block)
            self._digested += 1
        data = _encode_chunk(boundary.sequence, done, self._compressor.compress(block))
        if not done:
            self._remember(offset + len(data), behind)
        return data, done

    def close(self) -> None:
        """Let the pages go."""
        self._txn.abort()

    def _forward_to(self, offset: int) -> _Boundary:
        """Read on to where a follower stands that an earlier reader of the same state served.

        Starting over instead would never end: the follower names its offset, whoever reads.
        """
        place = max(self._boundaries)
        while place < offset:
            data, done = self.chunk(place)
            if done:
                break
            place += len(data)
        if offset not in self._boundaries:
            raise UnknownOffset(f"no chunk begins at {offset}")
        return self._boundaries[offset]

    def _block(self, boundary: _Boundary) -> tuple[bytes, _Boundary]:
        """The next raw bytes, empty at the end, and where they end."""
        parts: list[bytes] = []
        key, record = b"", b""
        size = -boundary.skip
        for key, value in self._records(boundary.key):
            record = _RECORD.pack(len(key), len(value)) + key + value
            parts.append(record)
            size += len(record)
            if size >= self._block_bytes:
                break
        past = len(record) - max(0, size - self._block_bytes)
        block = b"".join(parts)[boundary.skip :][: self._block_bytes]
        return block, _Boundary(boundary.sequence + 1, key, past)

    def _records(self, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        cursor = self._txn.cursor(self._keys)
        if not first:
            yield b"", self._place
        if cursor.set_range(first) if first else cursor.first():
            yield from cursor.iternext()

    def _remember(self, offset: int, boundary: _Boundary) -> None:
        self._boundaries[offset] = boundary
        if len(self._boundaries) > BOUNDARIES_MAX:
            oldest = next(known for known in self._boundaries if known)
            del self._boundaries[oldest]


class SnapshotWriter:
    """Takes a stream in, chunk by chunk, beside the state that counts, then lets it take over.

    One thread at a time. What is staged when a process dies is forgotten by the next stream.
    """

    def __init__(self, state: StateStore, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.is_complete = False
        self._disk = state.disk
        self._slots = state.slots
        self._slot = 0
        self._start_over()

    def stage(self, offset: int, data: bytes, done: bool) -> None:  # noqa: FBT001 as in Figure 13
        """Take the next chunk; offset 0 starts over.

        SnapshotCorrupt: only a stream from offset 0 can help. DiskFull: nothing was taken.
        """
        if offset == 0:
            self._start_over()
            self._drop_staged()
        if self.is_complete or offset != self._offset:
            raise SnapshotCorrupt(f"a chunk at {offset}, where {self._offset} was expected")
        block = _decode_chunk(data, self._sequence, done)
        if done:
            self._verify(block)
        else:
            self._take(block)
        self._offset += len(data)
        self._sequence += 1
        self.is_complete = done

    def install(self) -> None:
        """Let the staged state be the state, durably, if it is later than the one on disk.

        Whoever reads in an older transaction goes on seeing the older state until it begins anew.
        """
        assert self.is_complete
        with self._disk.transaction() as txn:
            saved = read_saved(txn)
            if saved.snapshot.last_included_index < self.snapshot.last_included_index:
                assert self._slot != saved.slot
                txn.drop(self._slots[saved.slot], delete=False)
                installed = Saved(
                    self._slot, installed=True, snapshot=self.snapshot, meta=self._meta
                )
                write_saved(txn, installed)
        self.is_complete = False

    def discard(self) -> None:
        """Give back the space of a stream that nobody will finish."""
        self._start_over()
        self._drop_staged()

    def _start_over(self) -> None:
        self.is_complete = False
        self._offset = 0
        self._sequence = 0
        self._rest = b""  # the beginning of a record that goes on in the next block
        self._records = 0
        self._meta = b""
        self._digest = blake2b(digest_size=32)

    def _drop_staged(self) -> None:
        with self._disk.transaction() as txn:
            self._slot = 1 - read_saved(txn).slot
            txn.drop(self._slots[self._slot], delete=False)

    def _take(self, block: bytes) -> None:
        """Put the block's records where they are staged, then remember that they are."""
        rows, rest = _split(self._rest + block)
        meta = self._meta
        if rows and not self._records:
            meta = self._check_place(*rows[0])
        keys = rows if self._records else rows[1:]
        if any(not 0 < len(key) <= _KEY_BYTES_MAX for key, _ in keys):
            raise SnapshotCorrupt("a key is empty or too long")
        self._disk.check_space()
        with self._disk.transaction() as txn:
            cursor = txn.cursor(self._slots[self._slot])
            for start in range(0, len(keys), _ROWS_MAX):
                chunk = keys[start : start + _ROWS_MAX]
                consumed, added = cursor.putmulti(chunk, append=True)
                if not consumed == added == len(chunk):
                    raise SnapshotCorrupt("its keys do not ascend")
        self._meta, self._rest = meta, rest
        self._records += len(rows)
        self._digest.update(block)

    def _check_place(self, key: bytes, place: bytes) -> bytes:
        """The meta in the first record, which must be of the snapshot that was announced."""
        try:
            snapshot, meta = decode_place(place)
        except ValueError as error:
            raise SnapshotCorrupt(str(error)) from error
        if key or snapshot != self.snapshot:
            raise SnapshotCorrupt("it is another snapshot than was announced")
        return meta

    def _verify(self, trailer: bytes) -> None:
        if self._rest or not self._records:
            raise SnapshotCorrupt("it ends inside a record")
        if trailer != _TRAILER.pack(self._records, self._digest.digest()):
            raise SnapshotCorrupt("its digest is another")


def _encode_chunk(sequence: int, done: bool, frame: bytes) -> bytes:  # noqa: FBT001 a field
    crc = crc32(frame, crc32(_MARK.pack(sequence, done)))
    return _CHUNK.pack(sequence, done, crc) + frame


def _decode_chunk(data: bytes, sequence: int, done: bool) -> bytes:  # noqa: FBT001 a field
    """The block in this chunk; SnapshotCorrupt unless it is the expected one, bit by bit."""
    frame = data[_CHUNK.size :]
    if data != _encode_chunk(sequence, done, frame):
        raise SnapshotCorrupt(f"chunk {sequence} is another one, or does not match its checksum")
    try:
        if 0 < zstandard.frame_content_size(frame) <= BLOCK_BYTES_MAX:
            return zstandard.ZstdDecompressor().decompress(frame)
    except zstandard.ZstdError as error:
        raise SnapshotCorrupt(f"chunk {sequence} cannot be unpacked") from error
    raise SnapshotCorrupt(f"chunk {sequence} is empty or too large")


def _split(raw: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """The whole records in these bytes, and what is left of the last one."""
    rows = []
    place = 0
    while place + _RECORD.size <= len(raw):
        key_length, value_length = _RECORD.unpack_from(raw, place)
        if value_length > META_BYTES_MAX:
            raise SnapshotCorrupt("a value is too long")
        middle = place + _RECORD.size + key_length
        end = middle + value_length
        if end > len(raw):
            break
        rows.append((raw[place + _RECORD.size : middle], raw[middle:end]))
        place = end
    return rows, raw[place:]
