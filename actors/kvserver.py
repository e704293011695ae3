"""The KVServer actor: clerks, Raft and the StateWriter around one brain (kv/server.py)."""

import time
from collections.abc import Callable

from actors.actor import send, tell
from actors.log import Log
from actors.longreplies import LongReplies
from actors.port import Port
from actors.sockets import INPROC_KVSERVER, INPROC_STATEWRITER, Context, Socket, local_dealer
from kv.keeper import Keeper
from kv.longanswers import LONG_BYTES
from messages import localcodec
from messages.client import Values
from messages.clientcodec import REQUEST_BYTES_MAX, encode
from messages.local import ProposalRefused, Propose, RoleIs

KVSERVER = b"kvserver"

LOOK_MS = 10
"""How soon to see that a long answer has left: others wait for its room."""

ENDS_WAVE = {RoleIs, ProposalRefused}
"""After these a wave on its way may never come back."""


class KVServerActor:
    """The thread that owns the state."""

    def __init__(
        self,
        context: Context,
        keeper: Keeper,
        bind: tuple[str, int],
        stop_s_max: float,
        log: Log,
    ) -> None:
        self._keeper = keeper
        self._server = keeper.server
        self._counters = keeper.server.counters
        self._log = log
        self._stop_s_max = stop_s_max
        self._stop_by: float | None = None
        self._port = Port(context, *bind, REQUEST_BYTES_MAX)
        self._raft = local_dealer(context, INPROC_KVSERVER, KVSERVER)
        self._writer = local_dealer(context, INPROC_STATEWRITER, KVSERVER)
        self._long_replies = LongReplies(keeper.server.unsent)
        self.expects_more = False
        tell(self._raft, [localcodec.encode([])])  # so that Raft can speak to us from now on

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """What was agreed comes before what is new."""
        return {
            self._raft: self._on_raft,
            self._writer: self._on_state_writer,
            self._port.router: self._on_client,
        }

    def tick(self) -> None:
        """Flush what is old enough, count what has left, and tell of clerks that talk nonsense."""
        self._keeper.freeze_if_due(time.monotonic())
        self._log.now_and_then("refused_from_clients", {"bad_frames": self._server.bad_frames})
        self._log.now_and_then("flooded_by_clients", {"floods": self._port.floods})

    def flush(self) -> None:
        """Send what this turn has led to; replies first: who is answered works meanwhile."""
        self._long_replies.look()
        now = time.monotonic_ns()
        if self._counters.heard or self._counters.waiting:
            self._counters.on_flush(now)
        to_raft, to_writer, replies = self._keeper.turn(now // 1_000_000)
        router = self._port.router
        for client, reply in replies:
            frame = encode(reply)
            if len(frame) >= LONG_BYTES and isinstance(reply, Values):
                self._long_replies.send(router, client, reply, frame)
            else:
                send(router, [client, frame])
        self.expects_more = bool(replies) and self._server.owes_nothing
        if to_raft:
            if Propose in map(type, to_raft):
                self._counters.on_left(now)
            tell(self._raft, [localcodec.encode(to_raft)])
        if to_writer:
            tell(self._writer, [localcodec.encode(to_writer)])
        self._counters.on_end(time.monotonic_ns())

    def on_flood(self, at: Socket) -> None:
        """Clerks that have so much on their way may connect and ask again."""
        if at is self._port.router:
            self._port.hang_up()

    def wait_ms(self, until_tick_ms: int) -> int:
        """Until the next tick, but for a wave that waits a moment for more, or a long answer."""
        if self._server.is_holding:
            return min(1, until_tick_ms)
        return min(LOOK_MS, until_tick_ms) if self._long_replies.are_leaving else until_tick_ms

    def is_done(self) -> bool:
        """Once leadership and the state are in safe hands, or it takes too long."""
        if self._stop_by is None:
            self._stop_by = time.monotonic() + self._stop_s_max
            self._keeper.stop()
            return False
        return self._keeper.is_safe or time.monotonic() >= self._stop_by

    def close(self) -> None:
        """Close what this thread made."""
        self._port.close()
        self._raft.close()
        self._writer.close()

    def _on_client(self, frames: list[bytes]) -> None:
        counters = self._counters
        if not counters.heard:
            counters.on_first_frame(time.monotonic_ns())
        counters.heard += 1
        if len(frames) == 2:
            self._server.on_frame(frames[0], frames[1])
        else:
            self._server.bad_frames += 1

    def _on_raft(self, frames: list[bytes]) -> None:
        began = time.monotonic_ns()
        self._counters.on_word(began)
        applied_index = self._server.machine.applied_index
        for message in localcodec.decode(frames[-1]):
            if type(message) in ENDS_WAVE:
                self._counters.abandon()
            if type(message) is RoleIs:
                role, leader, term = message
                self._log.event("became", role=role, leader=leader or None, term=term)
            self._keeper.on_raft(message)
        if self._counters.left_at and self._server.machine.applied_index > applied_index:
            self._counters.on_applied(began, time.monotonic_ns())

    def _on_state_writer(self, frames: list[bytes]) -> None:
        self._counters.on_word(time.monotonic_ns())
        for message in localcodec.decode(frames[-1]):
            self._keeper.on_state_writer(message)
