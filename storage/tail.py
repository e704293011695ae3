"""The last short append to the log, where a power cut cannot hide it: one sync a write, not two.

An LMDB commit is two syncs one after the other: of its pages, then of the head that points to them.
After the first everything is on the disk, but without the head nobody would find it. So a short
append is written once more in the same transaction, as one value that is known by its first bytes.
LMDB keeps a value in one piece: it can be found in the file without a head, and be written again.
The head follows with the next commit's first sync. Before that no page of the tail is used anew:
what a transaction frees only the third one behind it takes (docs/decisions/0011).

Each write leaves a tail. That of a write which is long, or more than an append, is empty: it is
synced twice. A tail says which one it followed, so what follows the one that LMDB shows is lost;
and of which transaction it is, so what was written without tails, by an older program, is seen.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import BinaryIO, NamedTuple
from zlib import crc32

import lmdb

TAIL_BYTES_MAX = 65_536
"""A longer append is synced twice: then that costs less than to write everything twice."""

KEY = b"tail"
"""In the environment's root."""

KEPT = "tail"
"""What is written again lies in this file until it is: to write it again may overwrite it."""

_MAGIC = b"\xf0kvtail\x01"
_IDENT_BYTES = 16
_OPENING_BYTES = len(_MAGIC) + _IDENT_BYTES
_HEAD = Struct(">QQQII")
_ROW = Struct(">?HI")
_LOOK_BYTES = 4 * 1024 * 1024
_NO_TAIL = 0


class Row(NamedTuple):
    """One key and its value, in the environment's root or among the entries."""

    key: bytes
    value: bytes
    is_root: bool


class Tail(NamedTuple):
    """What one write put, and the number of the tail that it found there."""

    number: int
    follows: int
    txn_id: int
    rows: tuple[Row, ...]


class Tails:
    """Leaves the tail of each write of one log."""

    def __init__(self) -> None:
        self._opening = b""  # as the environment has it; empty until the first write
        self._committed = self._used = _NO_TAIL

    def put(self, txn: "lmdb.Transaction[bytes]", rows: Iterable[Row]) -> None:
        """Leave one; its number is used up, whatever becomes of the transaction."""
        if not self._opening:
            self._begin(txn)
        self._used += 1
        tail = Tail(self._used, self._committed, txn.id(), tuple(rows))
        txn.put(KEY, _encode(self._opening, tail))

    def _begin(self, txn: "lmdb.Transaction[bytes]") -> None:
        """Go on behind the last tail, or begin anew where there is none, or writes without one."""
        raw = txn.get(KEY)
        shown = _shown(raw) if raw else None
        if raw and shown and shown.txn_id == txn.id() - 1:
            self._opening = raw[:_OPENING_BYTES]
            self._committed = self._used = shown.number
        else:  # nobody can guess it, so no value of a user's passes for a tail
            self._opening = _MAGIC + os.urandom(_IDENT_BYTES)

    def on_committed(self) -> None:
        """The next one follows the last."""
        self._committed = self._used


def size_of(row: Row) -> int:
    """How much of TAIL_BYTES_MAX it takes."""
    return _ROW.size + len(row.key) + len(row.value)


def sync_head(environment: lmdb.Environment) -> None:
    """Put the head that the system shows on the disk: a sync of it may have failed before.

    The system then shows what it could not write, and never tries again; nobody must believe it.
    """
    with (Path(environment.path()) / "data.mdb").open("r+b", buffering=0) as file:
        heads = os.pread(file.fileno(), 2 * environment.stat()["psize"], 0)
        os.pwrite(file.fileno(), heads, 0)
        os.fsync(file.fileno())


def write_lost_again(environment: lmdb.Environment) -> None:
    """Write what LMDB does not show, and sync its head too.

    Call it before anything else is written there. ValueError: the tail that it shows is damaged.
    """
    directory = Path(environment.path())
    with environment.begin() as txn:
        raw = txn.get(KEY)
    shown = _shown(raw) if raw else None
    if raw and shown and shown.txn_id == environment.info()["last_txnid"]:
        lost = _lost(directory, raw[:_OPENING_BYTES], shown)
        if lost:
            _write_again(environment, raw[:_OPENING_BYTES], lost)
    (directory / KEPT).unlink(missing_ok=True)


def _write_again(environment: lmdb.Environment, opening: bytes, lost: list[Tail]) -> None:
    _keep(Path(environment.path()), b"".join(_encode(opening, tail) for tail in lost))
    with environment.begin(write=True) as txn:
        entries = environment.open_db(b"entries", txn)
        for key, value, is_root in (row for tail in lost for row in tail.rows):
            txn.put(key, value, db=None if is_root else entries)
        number = lost[-1].number
        txn.put(KEY, _encode(opening, Tail(number + 1, number, txn.id(), ())))
    environment.sync(True)  # noqa: FBT003 - before lmdb 3.0 it takes no keyword


def _lost(directory: Path, opening: bytes, shown: Tail) -> list[Tail]:
    """What follows the tail that LMDB shows; of several attempts at one the last."""
    found: dict[int, Tail] = {}
    for name in ("data.mdb", KEPT):
        with suppress(FileNotFoundError), (directory / name).open("rb") as file:
            for tail in _tails_in(file, opening, shown.number):
                known = found.get(tail.follows)
                if known is None or tail.number > known.number:
                    found[tail.follows] = tail
    chain = [shown]
    while (behind := found.get(chain[-1].number)) and behind.txn_id == chain[-1].txn_id + 1:
        chain.append(behind)
    return chain[1:]


def _tails_in(file: BinaryIO, opening: bytes, shown: int) -> Iterator[Tail]:
    """Every whole tail in this file, wherever it lies, that does not follow an earlier one."""
    start, overlap = 0, len(opening) - 1
    while len(looked := os.pread(file.fileno(), _LOOK_BYTES, start)) > overlap:
        at = looked.find(opening)
        while at >= 0:
            place = start + at + len(opening)
            head = os.pread(file.fileno(), _HEAD.size, place)
            if len(head) == _HEAD.size and _HEAD.unpack(head)[1] >= shown:
                tail = _decode(head + os.pread(file.fileno(), TAIL_BYTES_MAX, place + _HEAD.size))
                if tail is not None:
                    yield tail
            at = looked.find(opening, at + 1)
        start += len(looked) - overlap


def _keep(directory: Path, raw: bytes) -> None:
    """Whole or not at all."""
    new = directory / f"{KEPT}.new"
    with new.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    new.replace(directory / KEPT)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shown(raw: bytes) -> Tail:
    tail = _decode(raw[_OPENING_BYTES:])
    if tail is None or not raw.startswith(_MAGIC):
        raise ValueError("its tail does not match its checksum")
    return tail


def _encode(opening: bytes, tail: Tail) -> bytes:
    parts = []
    for key, value, is_root in tail.rows:
        parts += [_ROW.pack(is_root, len(key), len(value)), key, value]
    body = b"".join(parts)
    assert len(body) <= TAIL_BYTES_MAX
    return opening + _HEAD.pack(*tail[:3], len(body), _crc(tail[:3], body)) + body


def _decode(raw: bytes) -> Tail | None:
    """The tail that these bytes hold behind its opening, if it is whole."""
    if len(raw) < _HEAD.size:
        return None
    *head, size, crc = _HEAD.unpack_from(raw)
    number, follows, txn_id = head
    body = raw[_HEAD.size : _HEAD.size + size]
    if len(body) != size or number <= follows or _crc(head, body) != crc:
        return None
    return Tail(number, follows, txn_id, tuple(_rows_in(body)))


def _crc(head: Sequence[int], body: bytes) -> int:
    return crc32(body, crc32(_HEAD.pack(*head, len(body), 0)))


def _rows_in(body: bytes) -> Iterator[Row]:
    at = 0
    while at < len(body):
        is_root, key_bytes, value_bytes = _ROW.unpack_from(body, at)
        at += _ROW.size
        end = at + key_bytes + value_bytes
        yield Row(body[at : at + key_bytes], body[at + key_bytes : end], is_root)
        at = end
