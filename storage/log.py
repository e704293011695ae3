"""The log on disk: hard state and entries of every group, one synced transaction for all of them.

Key of an entry: group, index, both 8 bytes big-endian. Value: term, kind, payload, crc32 over
key and value, so that neither a flipped bit nor a misplaced page passes for an entry (D6).
Hard state and base lie in the environment's own root, which every commit rewrites anyway.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import lmdb

from messages.codec import CodecError, decode_membership, encode_membership
from messages.raft import COMMAND, MEMBERSHIP, NOBODY, NOOP, Entry, HardState, Membership, Snapshot
from storage.environment import RESERVE_BYTES, Disk, StorageRefused
from storage.tail import TAIL_BYTES_MAX, Row, Tails, size_of

CHUNK_ENTRIES_MAX = 1_000
"""No call into LMDB handles more, so that none holds up the other threads for long."""

DELETIONS_MAX = 20_000
"""One write deletes no more compacted entries; the next ones go on."""

DELETIONS_MIN = 32
"""What a write may delete beside twice what it appends: enough to keep up, too little to feel."""

_KEY = Struct(">QQ")
_HEAD = Struct(">QB")
_HARD_STATE = Struct(">QQQ")
_BASE = Struct(">QQ")
_CRC = Struct(">I")
_KINDS = {COMMAND, NOOP, MEMBERSHIP}
_NO_HARD_STATE = HardState(0, NOBODY, 0)
_NO_BASE = Snapshot(0, 0, Membership())


class LogWrite(NamedTuple):
    """One group's part of a transaction, as raft.state.Write describes it."""

    group: int
    hard_state: HardState
    base: Snapshot | None
    first_index: int
    entries: Sequence[Entry]


class Loaded(NamedTuple):
    """What the disk knows of a group; entries start behind base."""

    hard_state: HardState
    base: Snapshot
    entries: tuple[Entry, ...]


class Marks(NamedTuple):
    """Where one group's entries lie on disk, and behind which of them the log starts."""

    base_index: int
    first_index: int  # those up to base_index are yet to be deleted
    last_index: int


class LogStore:
    """The logs of a node; one write at a time, of whichever thread (LMDB: B1, two would wait)."""

    def __init__(self, environment: lmdb.Environment, reserve_bytes: int = RESERVE_BYTES) -> None:
        self._environment = environment
        self._disk = Disk(environment, reserve_bytes)
        self._marks: dict[int, Marks] = {}  # as of the last commit; a failed one forgets them
        self._tails = Tails()
        with self._disk.transaction() as txn:
            self._entries = environment.open_db(b"entries", txn)
            cursor = txn.cursor(self._entries)
            self._last_group = _KEY.unpack(cursor.key())[0] if cursor.last() else 0

    def load(self, group: int) -> Loaded:
        """What was last written; StorageRefused where it is damaged or has a gap (D6, D10)."""
        with self._environment.begin() as txn:
            raw_hard_state = txn.get(_root_key(b"hard_state", group))
            raw_base = txn.get(_root_key(b"base", group))
            try:
                base = _decode_base(raw_base)
                hard_state = _decode_hard_state(raw_hard_state)
                cursor = txn.cursor(self._entries)
                term = hard_state.current_term
                entries = tuple(_decode_entries(cursor, group, base, term))
            except (ValueError, struct.error, CodecError, lmdb.Error) as error:
                raise StorageRefused(
                    f"{self._disk.path}: the log of group {group} is damaged ({error}): "
                    "restore the directory, or replace the node by a new one with another id"
                ) from error
        return Loaded(hard_state, base, entries)

    def write(
        self,
        group: int,
        hard_state: HardState,
        base: Snapshot | None,
        first_index: int,
        entries: Sequence[Entry],
    ) -> None:
        """Replace what lies from first_index on, cut behind base, remember hard_state; durably."""
        self.write_all([LogWrite(group, hard_state, base, first_index, entries)])

    def write_all(self, writes: Sequence[LogWrite]) -> None:
        """All groups' writes in one transaction.

        DiskFull: nothing is written. Commands find the disk full a little early, so that what has
        none of them (terms, votes, memberships, cuts) still fits into the reserve (O1).
        """
        self._commit(writes, [] if _is_short(writes, self._marks) else None)

    def write_if_short(self, write: LogWrite) -> bool:
        """As write_all, if it takes one sync; else nothing, and False."""
        is_short = _is_short((write,), self._marks)
        if is_short:
            self._commit((write,), [])
        return is_short

    def _commit(self, writes: Sequence[LogWrite], tail: list[Row] | None) -> None:
        if any(entry.kind == COMMAND for write in writes for entry in write.entries):
            self._disk.check_space()
        marks, self._marks = self._marks, {}
        with self._disk.transaction(head_can_wait=tail is not None) as txn:
            for write in writes:
                marks[write.group] = self._write(txn, write, marks.get(write.group), tail)
            self._tails.put(txn, tail or ())
        self._tails.on_committed()
        self._marks = marks

    def reset(self, group: int, hard_state: HardState, snapshot: Snapshot) -> None:
        """Start the group's log anew behind an installed snapshot (Figure 13, step 7)."""
        self._marks = {}
        with self._disk.transaction() as txn:
            cursor = txn.cursor(self._entries)
            if _is_alone(cursor, group):
                txn.drop(self._entries, delete=False)  # at once, instead of one by one
            else:
                _delete_from(cursor, group, 0)
            txn.put(*_hard_state_row(group, hard_state))
            _put_base(txn, group, snapshot)
            self._tails.put(txn, ())
        self._tails.on_committed()

    def let_pages_go(self) -> None:
        """What was read so far counts no longer as this process's memory."""
        self._disk.let_pages_go()

    def _write(
        self,
        txn: "lmdb.Transaction[bytes]",
        write: LogWrite,
        known: Marks | None,
        tail: list[Row] | None,
    ) -> Marks:
        """Write it, and add what it puts to the tail, if there is one.

        One that only appends, as nearly all do, is two calls of LMDB: each lets go of the
        interpreter, and waits for it again behind the threads that are busy.
        """
        group, hard_state, base, first_index, entries = write
        base_index, first_kept, last_index = known or self._find(txn, group)
        row = _hard_state_row(group, hard_state)
        txn.put(*row)
        if tail is not None:
            tail.append(Row(*row, is_root=True))
        if base is not None:
            _put_base(txn, group, base)
            base_index = base.last_included_index
        assert first_index <= max(base_index, last_index) + 1, "a log with a gap"
        if first_index <= last_index:
            _delete_from(txn.cursor(self._entries), group, first_index)
        if entries:
            self._append(txn.cursor(self._entries), write, tail)
        if first_kept <= base_index:
            deletions = min(DELETIONS_MAX, DELETIONS_MIN + 2 * len(entries))
            _delete_until(txn.cursor(self._entries), group, base_index, deletions)
            return self._find(txn, group)
        return Marks(base_index, first_kept, first_index + len(entries) - 1)

    def _find(self, txn: "lmdb.Transaction[bytes]", group: int) -> Marks:
        base_index = _base_index(txn, group)
        cursor = txn.cursor(self._entries)
        own = _KEY.pack(group, 0)
        if not cursor.set_range(own) or not cursor.key().startswith(own[:8]):
            return Marks(base_index, base_index + 1, base_index)
        _, first_index = _KEY.unpack(cursor.key())
        is_end = not cursor.set_range(_KEY.pack(group + 1, 0))
        _ = cursor.last() if is_end else cursor.prev()
        return Marks(base_index, first_index, _KEY.unpack(cursor.key())[1])

    def _append(
        self, cursor: "lmdb.Cursor[bytes]", write: LogWrite, tail: list[Row] | None
    ) -> None:
        group, _, _, first_index, entries = write
        is_end = group >= self._last_group  # else another group lies behind
        self._last_group = max(group, self._last_group)
        for start in range(0, len(entries), CHUNK_ENTRIES_MAX):
            chunk = entries[start : start + CHUNK_ENTRIES_MAX]
            indexed = enumerate(chunk, first_index + start)
            rows = [_encode_entry(group, index, entry) for index, entry in indexed]
            consumed, added = cursor.putmulti(rows, append=is_end)
            assert consumed == added == len(rows), "LMDB skipped an entry"
            if tail is not None:
                tail += [Row(*row, is_root=False) for row in rows]


def _is_short(writes: Sequence[LogWrite], known: Mapping[int, Marks]) -> bool:
    """Whether they only append, and all that they put fits into a tail.

    What they delete of compacted entries the next write deletes again.
    """
    size = 0
    for group, _, base, first_index, entries in writes:
        marks = known.get(group)
        if marks is None or base is not None or first_index <= marks.last_index:
            return False
        size += _ROOT_BYTES + _ENTRY_BYTES * len(entries)
        for entry in entries:
            size += len(entry.payload)
    return size <= TAIL_BYTES_MAX


def _hard_state_row(group: int, hard_state: HardState) -> tuple[bytes, bytes]:
    return _root_key(b"hard_state", group), _sealed(_HARD_STATE.pack(*hard_state))


def _put_base(txn: "lmdb.Transaction[bytes]", group: int, base: Snapshot) -> None:
    index, term, membership = base
    raw = _BASE.pack(index, term) + encode_membership(membership)
    txn.put(_root_key(b"base", group), _sealed(raw))


def _base_index(txn: "lmdb.Transaction[bytes]", group: int) -> int:
    raw = txn.get(_root_key(b"base", group))
    return int(_BASE.unpack_from(raw)[0]) if raw else 0


def _is_alone(cursor: "lmdb.Cursor[bytes]", group: int) -> bool:
    own = _KEY.pack(group, 0)[:8]
    ends = [cursor.key() for move in (cursor.first, cursor.last) if move()]
    return all(key.startswith(own) for key in ends)


def _delete_from(cursor: "lmdb.Cursor[bytes]", group: int, first_index: int) -> None:
    """All of it at once, however much: an entry that was overwritten must never come back."""
    own = _KEY.pack(group, 0)[:8]
    cursor.set_range(_KEY.pack(group, first_index))
    while cursor.key().startswith(own):
        cursor.delete()


def _delete_until(cursor: "lmdb.Cursor[bytes]", group: int, last: int, deletions: int) -> None:
    """The oldest entries up to last, as many as may be deleted now; load ignores the others."""
    end = _KEY.pack(group, last)
    cursor.set_range(_KEY.pack(group, 0))
    while deletions and b"" < cursor.key() <= end:
        cursor.delete()
        deletions -= 1


def _encode_entry(group: int, index: int, entry: Entry) -> tuple[bytes, bytes]:
    term, kind, payload = entry
    key = _KEY.pack(group, index)
    body = _HEAD.pack(term, kind) + payload
    return key, body + _CRC.pack(crc32(body, crc32(key)))


def _decode_entries(
    cursor: "lmdb.Cursor[bytes]", group: int, base: Snapshot, last_term: int
) -> Iterator[Entry]:
    """All entries behind base; ValueError at the first that cannot be what was written."""
    index, term_min = base.last_included_index, base.last_included_term
    own = _KEY.pack(group, 0)[:8]
    if not cursor.set_range(_KEY.pack(group, index + 1)):
        return  # iterating would start at the first key
    for key, value in cursor.iternext():
        if not key.startswith(own):
            return
        index += 1
        if key != _KEY.pack(group, index):
            raise ValueError(f"entry {index} is missing")
        if len(value) < _HEAD.size + _CRC.size or _crc(key, value) != value[-_CRC.size :]:
            raise ValueError(f"entry {index} does not match its checksum")
        term, kind = _HEAD.unpack_from(value)
        if not term_min <= term <= last_term or kind not in _KINDS:
            raise ValueError(f"entry {index} has an impossible term or kind")
        yield Entry(term, kind, value[_HEAD.size : -_CRC.size])
        term_min = term


def _crc(key: bytes, value: bytes) -> bytes:
    return _CRC.pack(crc32(memoryview(value)[: -_CRC.size], crc32(key)))


def _decode_hard_state(raw: bytes | None) -> HardState:
    return HardState(*_HARD_STATE.unpack(_opened(raw))) if raw else _NO_HARD_STATE


def _decode_base(raw: bytes | None) -> Snapshot:
    if not raw:
        return _NO_BASE
    body = _opened(raw)
    index, term = _BASE.unpack_from(body)
    return Snapshot(index, term, decode_membership(body[_BASE.size :]))


def _root_key(name: bytes, group: int) -> bytes:
    return name + group.to_bytes(8, "big")


def _sealed(body: bytes) -> bytes:
    return body + _CRC.pack(crc32(body))


def _opened(raw: bytes) -> bytes:
    body = raw[: -_CRC.size]
    if _sealed(body) != raw:
        raise ValueError("its root does not match its checksum")
    return body


_ROOT_BYTES = size_of(Row(*_hard_state_row(0, _NO_HARD_STATE), is_root=True))
_ENTRY_BYTES = size_of(Row(*_encode_entry(0, 1, Entry(1, NOOP, b"")), is_root=False))
"""In a tail; an entry beside its payload."""
