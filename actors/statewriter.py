"""The StateWriter actor: the slow work on the state, so that no clerk waits behind it (O6).

It flushes what the KVServer froze, reads the chunks of snapshots for others, and stages, verifies
and installs what comes from the leader.
"""

from collections.abc import Callable
from typing import Any

from actors.actor import tell
from actors.log import Log
from actors.sockets import INPROC_STATEWRITER, Context, Socket, local_router
from messages import localcodec
from messages.local import (
    ChunkRead,
    FlushState,
    InstallState,
    ReadChunk,
    SnapshotUnavailable,
    StageChunk,
    Staged,
    StagingFailed,
    StateFlushed,
    StateInstalled,
)
from messages.raft import InstallSnapshot, Snapshot
from storage.environment import DiskFull
from storage.snapshot import SnapshotCorrupt, SnapshotReader, SnapshotWriter, UnknownOffset
from storage.state import StateStore

SNAPSHOT_AGE_S_MAX = 600.0
"""A snapshot being read pins the pages of its moment (O2); an older one starts over."""


class StateWriterActor:
    """The second thread of the state; what the two may touch is said in storage/state.py."""

    expects_more = False

    def __init__(
        self, context: Context, state: StateStore, clock: Callable[[], float], log: Log
    ) -> None:
        self._state = state
        self._clock = clock
        self._log = log
        self._socket = local_router(context, INPROC_STATEWRITER)
        self._server = b""
        self._readers: dict[int, SnapshotReader] = {}
        self._writer: SnapshotWriter | None = None
        self._unflushed = False
        self._uninstalled: InstallState | None = None

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """The KVServer's wishes, some of them handed on from Raft."""
        return {self._socket: self._on_frames}

    def tick(self) -> None:
        """Try again what a full disk held back, and let old snapshots go."""
        if self._unflushed:
            self._on_flush(FlushState())
        if self._uninstalled is not None:
            self._on_install(self._uninstalled)
        for peer, reader in list(self._readers.items()):
            if reader.opened_at + SNAPSHOT_AGE_S_MAX < self._clock():
                self._close_reader(peer)

    def flush(self) -> None:
        """Every wish was answered when it was done."""

    def on_flood(self, at: Socket) -> None:
        """What its own node asks has bounds elsewhere; the rest comes in the next turn."""

    def wait_ms(self, until_tick_ms: int) -> int:
        """Until the next tick."""
        return until_tick_ms

    def is_done(self) -> bool:
        """At any time: what is not done is asked for again."""
        return True

    def close(self) -> None:
        """Close what this thread made."""
        for reader in self._readers.values():
            reader.close()
        self._socket.close()

    def _on_frames(self, frames: list[bytes]) -> None:
        self._server = frames[0]
        for message in localcodec.decode(frames[-1]):
            HANDLERS[type(message)](self, message)

    def _answer(self, message: Any) -> None:  # noqa: ANN401 any of messages/local.py
        tell(self._socket, [self._server, localcodec.encode([message])])

    def _on_flush(self, _: FlushState) -> None:
        began = self._clock()
        try:
            self._state.flush()
        except DiskFull:
            self._unflushed = True
            return
        self._unflushed = False
        self._log.event("state_flushed", "debug", flush_ms=round((self._clock() - began) * 1000))
        self._answer(StateFlushed())

    def _on_read_chunk(self, message: ReadChunk) -> None:
        chunk = message.chunk
        reader = self._reader_for(chunk)
        try:
            found = reader.chunk(chunk.offset) if reader else None
        except UnknownOffset:
            found = None
        if found is None:
            self._close_reader(chunk.target)
            self._answer(SnapshotUnavailable(chunk.target))
        else:
            data, done = found
            self._answer(ChunkRead(chunk._replace(data=data, done=done)))

    def _reader_for(self, chunk: InstallSnapshot) -> SnapshotReader | None:
        """The snapshot that this follower is being sent; its first chunk opens the latest."""
        index = chunk.last_included_index
        reader = self._readers.get(chunk.target)
        if reader is None or reader.index != index:
            self._close_reader(chunk.target)
            reader = SnapshotReader(self._state, self._clock())
            self._readers[chunk.target] = reader
            self._log.event("snapshot_begins", peer=chunk.target, index=reader.index)
        return reader if reader.index == index else None

    def _close_reader(self, peer: int) -> None:
        reader = self._readers.pop(peer, None)
        if reader is not None:
            reader.close()

    def _on_stage_chunk(self, message: StageChunk) -> None:
        chunk = message.chunk
        index, term, membership = chunk[4:7]
        snapshot = Snapshot(index, term, membership)
        if self._writer is None or self._writer.snapshot != snapshot:
            self._writer = SnapshotWriter(self._state, snapshot)
        try:
            self._writer.stage(chunk.offset, chunk.data, chunk.done)
        except (SnapshotCorrupt, DiskFull) as error:
            self._log.event("snapshot_refused", "warning", peer=chunk.source, reason=error)
            self._answer(StagingFailed(chunk.source, index))
        else:
            self._answer(Staged(chunk.source, index, chunk.offset + len(chunk.data)))

    def _on_install(self, message: InstallState) -> None:
        writer = self._writer
        assert writer is not None and writer.snapshot == message.snapshot
        try:
            writer.install()
        except DiskFull:
            self._uninstalled = message
            return
        self._writer = self._uninstalled = None
        self._log.event("snapshot_installed", index=message.snapshot.last_included_index)
        self._answer(StateInstalled(message.snapshot.last_included_index))


HANDLERS: dict[type, Callable[[StateWriterActor, Any], None]] = {
    FlushState: StateWriterActor._on_flush,  # noqa: SLF001 a table of its own class
    ReadChunk: StateWriterActor._on_read_chunk,  # noqa: SLF001
    StageChunk: StateWriterActor._on_stage_chunk,  # noqa: SLF001
    InstallState: StateWriterActor._on_install,  # noqa: SLF001
}
