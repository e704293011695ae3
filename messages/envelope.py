"""One frame between two nodes: of which cluster, from whom to whom, and all messages of a turn.

Every frame says so, not only the first: after a disk was swapped or an address reused, a node must
not be heard in a cluster that is not its own (D12). And every frame has a checksum: TCP's is weak,
and one flipped bit in a term would be kept by the disks of a majority, for good.
"""

from collections.abc import Iterable
from typing import NamedTuple
from zlib import crc32

import msgpack

from messages.codec import ENTRIES_MAX, FRAME_BYTES_MAX, CodecError, decode, encode
from messages.raft import Message

VERSION = 1
"""Of the protocol between nodes; a frame of another version is refused."""

ENVELOPE_BYTES_MAX = 2 * FRAME_BYTES_MAX
"""A longer frame is refused; the sender closes one as soon as it passes half of that."""

CLUSTER_BYTES_MAX = 256

CRC_BYTES = 4
"""In front of the array: the crc32 of its bytes, big-endian."""


class Envelope(NamedTuple):
    """What a frame says of itself; its messages are still bytes."""

    version: int
    cluster: str
    source: int
    target: int
    messages: tuple[bytes, ...]


FIELDS = len(Envelope._fields)


def seal(cluster: str, source: int, target: int, messages: Iterable[Message]) -> list[bytes]:
    """The frames that carry these messages, in order; nearly always one."""
    frames: list[bytes] = []
    gathered: list[bytes] = []
    size = 0
    for message in messages:
        data = encode(message)
        gathered.append(data)
        size += len(data)
        if size >= FRAME_BYTES_MAX or len(gathered) == ENTRIES_MAX:
            frames.append(_pack((VERSION, cluster, source, target, gathered)))
            gathered, size = [], 0
    if gathered:
        frames.append(_pack((VERSION, cluster, source, target, gathered)))
    return frames


def unseal(frame: bytes) -> Envelope:
    """The envelope in these bytes, checked, its messages not yet."""
    if len(frame) > ENVELOPE_BYTES_MAX:
        raise CodecError("over ENVELOPE_BYTES_MAX")
    body = frame[CRC_BYTES:]
    if crc32(body) != int.from_bytes(frame[:CRC_BYTES], "big"):
        raise CodecError("another checksum")
    try:
        found = msgpack.unpackb(
            body,
            use_list=False,
            max_array_len=ENTRIES_MAX,
            max_bin_len=FRAME_BYTES_MAX,
            max_str_len=CLUSTER_BYTES_MAX,
            max_map_len=0,
            max_ext_len=0,
        )
    except ValueError as error:
        raise CodecError("not msgpack, or not within bounds") from error
    if type(found) is not tuple or len(found) != FIELDS:
        raise CodecError("not an envelope")
    version, cluster, source, target, messages = found
    if version != VERSION or type(cluster) is not str or type(messages) is not tuple:
        raise CodecError("an envelope of another version, or of another shape")
    if type(source) is not int or type(target) is not int:
        raise CodecError("an envelope without a sender or a receiver")
    for message in messages:
        if type(message) is not bytes:
            raise CodecError("a message is not bin")
    envelope: Envelope = tuple.__new__(Envelope, found)
    return envelope


def opened(envelope: Envelope) -> list[Message]:
    """Its messages, each checked, and each from and to whom the envelope says."""
    messages: list[Message] = []
    for data in envelope.messages:
        message = decode(data)
        if message.source != envelope.source or message.target != envelope.target:
            raise CodecError("a message under another name than its envelope")
        messages.append(message)
    return messages


def _pack(envelope: tuple[int, str, int, int, list[bytes]]) -> bytes:
    body: bytes = msgpack.packb(envelope)
    return crc32(body).to_bytes(CRC_BYTES, "big") + body
