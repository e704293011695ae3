"""What the state says of itself: where in the log it stands, and which half of it counts.

The keys lie in two databases of one environment, and only one of them counts at a time. A snapshot
is staged into the other; installing it is one small transaction that says which one counts now.
"""

import struct
from struct import Struct
from typing import NamedTuple
from zlib import crc32

import lmdb

from messages.codec import CodecError, decode_membership, encode_membership
from messages.raft import Membership, Snapshot
from storage.environment import Disk, StorageRefused

Slots = tuple["lmdb._Database", "lmdb._Database"]  # noqa: SLF001 it has no other name
"""Opened once: opening takes the writer's lock, for which a reader must never wait."""

META_BYTES_MAX = 256 * 1024 * 1024
"""The state machine's own bytes beside its keys; they are rewritten with each flush."""

_SAVED = b"saved"
_MARK = Struct(">BB")
_PLACE = Struct(">QQI")
_CRC = Struct(">I")


class Saved(NamedTuple):
    """Written in the transaction that writes the keys themselves (D3)."""

    slot: int
    installed: bool  # by a snapshot, so that the log may not have heard of it yet
    snapshot: Snapshot
    meta: bytes


NEW = Saved(0, installed=False, snapshot=Snapshot(0, 0, Membership()), meta=b"")
"""A state that nothing was applied to."""


def open_slots(disk: Disk) -> Slots:
    """The two databases that keys may lie in."""
    with disk.transaction() as txn:
        open_db = disk.environment.open_db
        return open_db(b"keys0", txn), open_db(b"keys1", txn)


def read_saved(txn: "lmdb.Transaction[bytes]") -> Saved:
    """What this transaction's state says of itself; StorageRefused if that is damaged."""
    raw = txn.get(_SAVED)
    if raw is None:
        return NEW
    body = raw[: -_CRC.size]
    if len(raw) < _MARK.size + _CRC.size or _CRC.pack(crc32(body)) != raw[-_CRC.size :]:
        raise StorageRefused(
            "the state's own record of where it stands is damaged: "
            "restore the directory, or replace the node by a new one with another id"
        )
    slot, installed = _MARK.unpack_from(body)
    return Saved(slot, bool(installed), *decode_place(body[_MARK.size :]))


def write_saved(txn: "lmdb.Transaction[bytes]", saved: Saved) -> None:
    """Let the keys of this transaction stand where saved says."""
    assert len(saved.meta) < META_BYTES_MAX // 2
    body = _MARK.pack(saved.slot, saved.installed) + encode_place(saved.snapshot, saved.meta)
    txn.put(_SAVED, body + _CRC.pack(crc32(body)))


def encode_place(snapshot: Snapshot, meta: bytes) -> bytes:
    """What travels of it: the place in the log and the state machine's own bytes."""
    index, term, membership = snapshot
    raw = encode_membership(membership)
    return _PLACE.pack(index, term, len(raw)) + raw + meta


def decode_place(raw: bytes) -> tuple[Snapshot, bytes]:
    """The reverse; ValueError for bytes that are none."""
    try:
        index, term, length = _PLACE.unpack_from(raw)
        membership = decode_membership(raw[_PLACE.size : _PLACE.size + length])
    except (struct.error, CodecError) as error:
        raise ValueError("no place in a log") from error
    return Snapshot(index, term, membership), raw[_PLACE.size + length :]
