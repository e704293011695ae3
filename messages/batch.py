"""What lies in the log: batches of clerks' frames, as they came, and the time that passed.

One entry holds all that reached the leader in a turn of its loop, so what Raft and the disk do for
an entry is shared by hundreds of writes when it matters.
"""

from typing import NamedTuple

import msgpack

from messages.codec import ENTRY_BYTES_MAX, CodecError

BATCH_BYTES_MAX = 512 * 1024
"""A batch is closed here; a single larger frame makes a batch of its own."""

FRAMES_MAX = 4_096
"""Frames in one batch."""

ELAPSED_MS_MAX = 60_000
"""No leader lets more time pass at once: a paused process must not end sessions by waking up."""


class Batch(NamedTuple):
    """Time that passed on the leader since its last batch, and frames to execute in order."""

    elapsed_ms: int
    frames: tuple[bytes, ...]


def encode_batch(batch: Batch) -> bytes:
    """The payload of a COMMAND entry."""
    payload: bytes = msgpack.packb(batch)
    assert len(payload) <= ENTRY_BYTES_MAX
    return payload


def decode_batch(payload: bytes) -> Batch:
    """The batch in these bytes; the same value, or the same CodecError, on every server (S3)."""
    try:
        found = msgpack.unpackb(payload, use_list=False, max_array_len=FRAMES_MAX)
    except ValueError as error:
        raise CodecError("not a batch") from error
    if type(found) is not tuple or len(found) != 2 or type(found[1]) is not tuple:
        raise CodecError("not a batch")
    elapsed_ms, frames = found
    if type(elapsed_ms) is not int or not 0 <= elapsed_ms <= ELAPSED_MS_MAX:
        raise CodecError("time does not leap")
    if not set(map(type, frames)) <= {bytes}:
        raise CodecError("a frame is not bin")
    return Batch(elapsed_ms, frames)
