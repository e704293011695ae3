"""What the actors of one node say to one another, as bytes: a msgpack array of [tag, *fields].

Both ends are this process, so nothing is checked; a turn's messages to one actor are one frame.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import repeat
from typing import Any, cast

import msgpack

from messages import local
from messages.raft import Entry, HardState, InstallSnapshot, Membership, Snapshot

TYPES: tuple[type[Any], ...] = (
    local.Propose,
    local.Proposed,
    local.ProposalRefused,
    local.Committed,
    local.Applied,
    local.StateSaved,
    local.AskRead,
    local.ReadAt,
    local.RoleIs,
    local.AskMarks,
    local.Marks,
    local.Handover,
    local.ReadChunk,
    local.ChunkRead,
    local.SnapshotUnavailable,
    local.StageChunk,
    local.Staged,
    local.StagingFailed,
    local.InstallState,
    local.StateInstalled,
    local.WriteLog,
    local.Written,
    local.Space,
    local.FlushState,
    local.StateFlushed,
)
"""A message's tag is its place here; it means nothing outside this process."""

_TAGS = {message_type: tag for tag, message_type in enumerate(TYPES)}


def encode(messages: Sequence[Any]) -> bytes:
    """One frame for all of them."""
    frame: bytes = msgpack.packb([(_TAGS[type(found)], *found) for found in messages])
    return frame


def decode(frame: bytes) -> list[Any]:
    """The messages of a frame that encode made."""
    found = msgpack.unpackb(frame, use_list=False)
    return [_MAKERS[tag](fields) for tag, *fields in found]


def _snapshot(fields: Any) -> Snapshot | None:
    if fields is None:
        return None
    index, term, membership = fields
    return Snapshot(index, term, Membership(*membership))


def _chunk(fields: Any) -> InstallSnapshot:
    chunk = InstallSnapshot._make(fields)
    return chunk._replace(membership=Membership(*chunk.membership))


def _entries(raw: Any) -> tuple[Entry, ...]:
    return tuple(map(tuple.__new__, repeat(Entry), raw))  # as in codec.py


def _committed(fields: Any) -> local.Committed:
    first_index, entries = fields
    return local.Committed(first_index, _entries(entries))


def _write_log(fields: Any) -> local.WriteLog:
    number, hard_state, snapshot, base, first_index, entries = fields
    return local.WriteLog(
        number,
        HardState(*hard_state),
        _snapshot(snapshot),
        _snapshot(base),
        first_index,
        _entries(entries),
    )


def _maker(message_type: type[Any]) -> Callable[[Any], Any]:
    """How one is made again from its fields; most hold plain values alone.

    Those without a call into Python: 0.1 us less for each.
    """
    nested: dict[type[Any], Callable[[Any], Any]] = {
        local.Committed: _committed,
        local.WriteLog: _write_log,
        local.InstallState: lambda fields: local.InstallState(cast("Snapshot", _snapshot(*fields))),
        local.ReadChunk: lambda fields: local.ReadChunk(_chunk(*fields)),
        local.ChunkRead: lambda fields: local.ChunkRead(_chunk(*fields)),
        local.StageChunk: lambda fields: local.StageChunk(_chunk(*fields)),
    }
    return nested.get(message_type, partial(tuple.__new__, message_type))


_MAKERS = [_maker(message_type) for message_type in TYPES]
