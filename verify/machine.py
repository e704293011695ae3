"""The state machine of the simulated servers: it only remembers, exactly, what was applied.

Its state is the applied index and a digest of every entry up to there, so two states at one index
are equal only if the same entries were applied, in order, each once.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

from messages.raft import Entry

DIGEST_MAX = 2**64


class State(NamedTuple):
    """What a server has made of the log up to an index."""

    last_applied: int = 0
    digest: int = 0


def digest_after(digest: int, entry: Entry) -> int:
    """The digest with one entry more; unlike hash() it is the same in every process."""
    mixed = crc32(entry.payload, entry.term * 4 + entry.kind)
    return (digest * 1_000_003 + mixed + 1) % DIGEST_MAX


def apply(state: State, entries: Sequence[Entry]) -> State:
    """The state with these entries applied, in order."""
    digest = state.digest
    for entry in entries:
        digest = digest_after(digest, entry)
    return State(state.last_applied + len(entries), digest)


def as_bytes(state: State, padding: int) -> bytes:
    """A snapshot's bytes, with a checksum, made longer so that it takes several chunks."""
    body = b"%d %d " % state + b"." * padding
    return b"%08x" % crc32(body) + body


def from_bytes(data: bytes) -> State | None:
    """The state in a snapshot's bytes; None where the checksum does not fit."""
    checksum, body = data[:8], data[8:]
    if checksum != b"%08x" % crc32(body):
        return None
    last_applied, digest, _ = body.split(b" ", 2)
    return State(int(last_applied), int(digest))
