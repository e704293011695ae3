"""The KVServer actor: clerks, Raft and the StateWriter around one brain (kv/server.py)."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from actors.actor import Socket, send, tell
from actors.log import Log
from actors.sockets import (
    INPROC_KVSERVER,
    INPROC_STATEWRITER,
    Context,
    local_dealer,
    tcp_router,
)
from kv.machine import Machine
from kv.server import Server
from messages import localcodec
from messages.clientcodec import REQUEST_BYTES_MAX, encode
from messages.local import (
    FlushState,
    Handover,
    InstallState,
    ReadChunk,
    RoleIs,
    StageChunk,
    StateFlushed,
    StateInstalled,
    StateSaved,
)
from storage.state import StateStore

KVSERVER = b"kvserver"
FOR_STATE_WRITER = (ReadChunk, StageChunk, InstallState)


class FlushAt(NamedTuple):
    """The memtable is flushed when it is that large, or its oldest key that old."""

    bytes_max: int
    keys_max: int
    age_s_max: float


class KVServerActor:
    """The thread that owns the state."""

    def __init__(
        self,
        context: Context,
        server: Server,
        state: StateStore,
        bind: tuple[str, int],
        flush_at: FlushAt,
        stop_s_max: float,
        log: Log,
    ) -> None:
        self._server = server
        self._state = state
        self._flush_at = flush_at
        self._log = log
        self._flushed_at = time.monotonic()
        self._stop_s_max = stop_s_max
        self._stop_by: float | None = None
        self._clients = tcp_router(context, *bind, REQUEST_BYTES_MAX)
        self._raft = local_dealer(context, INPROC_KVSERVER, KVSERVER)
        self._writer = local_dealer(context, INPROC_STATEWRITER, KVSERVER)
        self._to_raft: list[Any] = []
        self._to_writer: list[Any] = []
        tell(self._raft, [localcodec.encode([])])  # so that Raft can speak to us from now on

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """What was agreed comes before what is new."""
        return {
            self._raft: self._on_raft,
            self._writer: self._on_state_writer,
            self._clients: self._on_client,
        }

    def tick(self) -> None:
        """Flush what is old enough, and tell of clerks that talk nonsense."""
        self._freeze_if_due()
        self._log.now_and_then("refused_from_clients", {"bad_frames": self._server.bad_frames})

    def flush(self) -> None:
        """Send what this turn has led to."""
        replies, to_raft = self._server.turn(time.monotonic_ns() // 1_000_000)
        to_raft += self._to_raft
        if to_raft:
            tell(self._raft, [localcodec.encode(to_raft)])
            self._to_raft.clear()
        if self._to_writer:
            tell(self._writer, [localcodec.encode(self._to_writer)])
            self._to_writer.clear()
        for client, reply in replies:
            send(self._clients, [client, encode(reply)])

    def is_done(self) -> bool:
        """Once leadership and the state are in safe hands, or it takes too long."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._stop_s_max
            self._to_raft.append(Handover(0))
            self._freeze()
            return False
        waiting = self._server.is_leader or self._state.is_flushing
        return not waiting or time.monotonic() >= self._stop_by

    def close(self) -> None:
        """Close what this thread made."""
        for socket in (self._clients, self._raft, self._writer):
            socket.close()

    def _on_client(self, frames: list[bytes]) -> None:
        if len(frames) == 2:
            self._server.on_frame(frames[0], frames[1])
        else:
            self._server.bad_frames += 1

    def _on_raft(self, frames: list[bytes]) -> None:
        for message in localcodec.decode(frames[-1]):
            if isinstance(message, FOR_STATE_WRITER):
                self._to_writer.append(message)
                continue
            if isinstance(message, RoleIs):
                role, leader, term = message
                self._log.event("role", role=role, leader=leader, term=term)
            self._server.on_local(message)

    def _on_state_writer(self, frames: list[bytes]) -> None:
        for message in localcodec.decode(frames[-1]):
            if isinstance(message, StateFlushed):
                self._on_flushed()
                continue
            if isinstance(message, StateInstalled):
                self._state.adopt()
                _, meta = self._state.load()
                self._server.machine = Machine(self._state, self._state.last_included, meta)
            self._to_raft.append(message)

    def _on_flushed(self) -> None:
        """Tell Raft what is durable; of a snapshot it hears by StateInstalled, and only so.

        One that was installed meanwhile is in the state, but not yet in the log (Figure 13).
        """
        was_flushing = self._state.is_flushing
        self._state.release()
        if was_flushing and not self._state.is_flushing:
            self._to_raft.append(StateSaved(self._state.applied_index))

    def _freeze_if_due(self) -> None:
        """Hand the memtable over; while the last one is being flushed this one goes on growing."""
        state, now = self._state, time.monotonic()
        due = (
            state.memtable_bytes >= self._flush_at.bytes_max
            or state.memtable_keys >= self._flush_at.keys_max
            or now - self._flushed_at >= self._flush_at.age_s_max
        )
        if due:
            self._flushed_at = now
            self._freeze()

    def _freeze(self) -> None:
        machine = self._server.machine
        if machine.applied_index > self._state.applied_index and not self._state.is_flushing:
            self._state.freeze(machine.meta(), machine.applied)
            self._to_writer.append(FlushState())
