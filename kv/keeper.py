"""What is made durable when, and who hears of it: the KVServer between Raft and the StateWriter.

The store freezes, releases and adopts at once; flushing, reading chunks, staging and installing
take long and are the StateWriter's. A simulated node runs the same, over a simulated store.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from kv.machine import Machine, Store
from kv.server import FromRaft, Server
from messages.client import ClientReply
from messages.local import (
    ChunkRead,
    Committed,
    FlushState,
    Handover,
    InstallState,
    ReadChunk,
    SnapshotUnavailable,
    StageChunk,
    Staged,
    StagingFailed,
    StateFlushed,
    StateInstalled,
    StateSaved,
    ToRaft,
)
from messages.raft import Snapshot

FromStateWriter = (
    StateFlushed | StateInstalled | ChunkRead | SnapshotUnavailable | Staged | StagingFailed
)
ToStateWriter = FlushState | InstallState | ReadChunk | StageChunk
FOR_STATE_WRITER = (ReadChunk, StageChunk, InstallState)


class FlushAt(NamedTuple):
    """The memtable is flushed when it is that large, or when so long passed since the last time."""

    bytes_max: int
    keys_max: int
    age_s_max: float


class DurableStore(Store, Protocol):
    """A memtable over what is on disk (storage/state.py)."""

    @property
    def last_included(self) -> Snapshot:
        """Where in the log the state on disk stands."""

    @property
    def applied_index(self) -> int:
        """Its index there."""

    @property
    def memtable_bytes(self) -> int:
        """What a flush would write."""

    @property
    def memtable_keys(self) -> int:
        """And how many keys."""

    @property
    def is_flushing(self) -> bool:
        """Whether something frozen is neither released nor superseded."""

    def load(self) -> tuple[int, bytes]:
        """The applied index and the machine's own bytes, as on disk."""

    def freeze(self, meta: bytes, snapshot: Snapshot) -> None:
        """Give the memtable, complete up to snapshot, to the StateWriter, and begin another."""

    def release(self) -> None:
        """Read from the disk what was flushed, if it was."""

    def adopt(self) -> None:
        """Go on from the snapshot that was installed."""


class Turn(NamedTuple):
    """What one turn sends, in this order."""

    to_raft: list[ToRaft]
    to_state_writer: list[ToStateWriter]
    replies: list[tuple[bytes, ClientReply]]


def load_machine(
    make: Callable[[Store, Snapshot, bytes], Machine], store: DurableStore, base: Snapshot
) -> Machine:
    """The state as it is on disk; where nothing was flushed yet, as the log says it began."""
    applied_index, meta = store.load()
    return make(store, store.last_included if applied_index else base, meta)


class Keeper:
    """A server's brain and the store that its machine writes to."""

    def __init__(
        self,
        server: Server,
        store: DurableStore,
        load: Callable[[], Machine],
        flush_at: FlushAt,
        now: float,
    ) -> None:
        """`load` gives the machine as it is on disk; `now`, here and below, is in seconds."""
        self.server = server
        self._store = store
        self._load = load
        self._flush_at = flush_at
        self._flushed_at = now
        self._log_bytes = 0  # of entries applied and not frozen yet: a restart replays them
        self._to_raft: list[ToRaft] = []
        self._to_state_writer: list[ToStateWriter] = []

    @property
    def is_safe(self) -> bool:
        """Whether leadership and the state are in safe hands."""
        return not self.server.is_leader and not self._store.is_flushing

    def on_raft(self, message: FromRaft | ReadChunk | StageChunk | InstallState) -> None:
        """Raft speaks to the StateWriter through us: what it says is behind what we froze."""
        if isinstance(message, FOR_STATE_WRITER):
            self._to_state_writer.append(message)
            return
        if isinstance(message, Committed):
            for entry in message.entries:
                self._log_bytes += len(entry.payload)
        self.server.on_local(message)

    def on_state_writer(self, message: FromStateWriter) -> None:
        """Something is done; all but flushes Raft hears of as it is."""
        if isinstance(message, StateFlushed):
            self._on_flushed()
            return
        if isinstance(message, StateInstalled):
            self._store.adopt()
            self.server.machine = self._load()
        self._to_raft.append(message)

    def freeze_if_due(self, now: float) -> None:
        """Hand the memtable over; while the last one is being flushed this one goes on growing.

        The log counts too: of a key that is overwritten again and again it holds every value.
        """
        store, (bytes_max, keys_max, age_s_max) = self._store, self._flush_at
        heavier = max(store.memtable_bytes, self._log_bytes)
        is_large = heavier >= bytes_max or store.memtable_keys >= keys_max
        if is_large or now - self._flushed_at >= age_s_max:
            self._flushed_at = now
            self._freeze()

    def stop(self) -> None:
        """Bring leadership and the state into safe hands."""
        self._to_raft.append(Handover(0))
        self._freeze()

    def turn(self, now_ms: int) -> Turn:
        """Everything to be sent now; call it after all that waited was handed in."""
        replies, to_raft = self.server.turn(now_ms)
        turn = Turn(to_raft + self._to_raft, self._to_state_writer, replies)
        self._to_raft, self._to_state_writer = [], []
        return turn

    def _on_flushed(self) -> None:
        """Tell Raft what is durable; of a snapshot it hears by StateInstalled, and only so.

        One that was installed meanwhile is in the state, but not yet in the log (Figure 13).
        """
        was_flushing = self._store.is_flushing
        self._store.release()
        if was_flushing and not self._store.is_flushing:
            self._to_raft.append(StateSaved(self._store.applied_index))

    def _freeze(self) -> None:
        machine = self.server.machine
        if machine.applied_index > self._store.applied_index and not self._store.is_flushing:
            self._log_bytes = 0
            self._store.freeze(machine.meta(), machine.applied)
            self._to_state_writer.append(FlushState())
