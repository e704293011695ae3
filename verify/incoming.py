"""A snapshot on its way in: chunks put aside in order, and verified when the last one is there."""

from typing import NamedTuple

from messages.raft import InstallSnapshot
from verify.machine import State, from_bytes


class Arrived(NamedTuple):
    """One chunk that was put aside; state is what all of them make up, if they verify."""

    chunk: InstallSnapshot
    next_offset: int
    state: State | None


class Incoming:
    """The bytes of one snapshot; a chunk at offset 0 begins another one."""

    def __init__(self) -> None:
        self._staged = bytearray()

    def stage(self, chunk: InstallSnapshot) -> Arrived:
        """Put the next chunk aside."""
        if chunk.offset == 0:
            self._staged.clear()
        assert len(self._staged) == chunk.offset, "chunks out of order"
        self._staged += chunk.data
        state = from_bytes(bytes(self._staged)) if chunk.done else None
        assert state is None or state.last_applied == chunk.last_included_index
        return Arrived(chunk, len(self._staged), state)
