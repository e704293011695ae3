"""The Raft actor: one loop for peers, the KVServer's wishes and the LogWriter's answers."""

import os
import time
from collections.abc import Callable

from actors.actor import tell
from actors.log import Log
from actors.logwriter import tell_if_slow
from actors.peers import Peers
from actors.quickwrites import QuickWrites
from actors.sockets import (
    INPROC_KVSERVER,
    INPROC_LOGWRITER,
    Context,
    Socket,
    local_dealer,
    local_router,
)
from messages import localcodec
from messages.local import ToServer, Written
from messages.raft import Message
from raft.core import unreachable
from raft.driver import Driver, Turn
from raft.state import Role

KVSERVER = b"kvserver"

SLEEP_MS_MAX = 250
"""Longer than from beat to beat, mostly."""


class RaftActor:
    """One group's driver between its node's sockets."""

    def __init__(
        self,
        context: Context,
        driver: Driver,
        peers: Peers,
        quick_writes: QuickWrites,
        tick_ms: int,
        log: Log,
    ) -> None:
        self._driver = driver
        self._quick_writes = quick_writes
        self._tick_ms = tick_ms
        self._counters = driver.counters
        self._peers = peers
        self._log = log
        self._server = local_router(context, INPROC_KVSERVER)
        self._writer = local_dealer(context, INPROC_LOGWRITER, b"raft")
        self._lost: set[int] = set()
        self.expects_more = False
        self._to_server: list[ToServer] = []  # until its first word, it cannot be spoken to
        self._has_server = False

    def sockets(self) -> dict[Socket, Callable[[list[bytes]], None]]:
        """Peers first: what was agreed comes before what is new."""
        return {
            self._writer: self._on_writer,
            self._peers.port.router: self._on_peers,
            self._server: self._on_server,
        }

    def tick(self) -> None:
        """Time passes for Raft; what peers sent that was no message is told now and then."""
        self._driver.tick()
        self._log.now_and_then("refused_from_peers", self._peers.refused)
        self._log.now_and_then("flooded_by_peers", {"floods": self._peers.port.floods})

    def flush(self) -> None:
        """Send what this turn has led to; what is durable at once leads to more."""
        while (written := self._do(self._driver.turn())) is not None:
            tell_if_slow(self._log, written)
            self._on_written(written)
            self._send_to_peers(self._driver.take_promised())
            os.sched_yield()  # else libzmq's thread, on our core, sends it when we sleep
        raft = self._driver.raft
        last_index = raft.log.last_index if raft.role is Role.LEADER else 0
        self.expects_more = self._driver.awaits_followers
        self._counters.on_end(time.monotonic_ns(), last_index, raft.handed_index)

    def on_flood(self, at: Socket) -> None:
        """Peers that have so much on their way may connect and speak again."""
        if at is self._peers.port.router:
            self._peers.port.hang_up()

    def wait_ms(self, until_tick_ms: int) -> int:
        """Until there is a tick that does something, but not so long that a stop would wait."""
        sleep_ms = self._driver.idle_ticks() * self._tick_ms
        return until_tick_ms + min(sleep_ms, SLEEP_MS_MAX)

    def is_done(self) -> bool:
        """At any time: what is not done is asked for again."""
        return True

    def close(self) -> None:
        """Close what this thread made."""
        self._peers.close()
        self._server.close()
        self._writer.close()

    def _on_writer(self, frames: list[bytes]) -> None:
        self._counters.on_word(time.monotonic_ns())
        for message in localcodec.decode(frames[-1]):
            if isinstance(message, Written):
                self._on_written(message)
            else:
                self._driver.on_local(message)

    def _on_written(self, message: Written) -> None:
        self._counters.on_written(time.monotonic_ns(), message.took_ns)
        self._quick_writes.on_written(message)
        self._driver.on_local(message)

    def _on_server(self, frames: list[bytes]) -> None:
        self._counters.on_word(time.monotonic_ns())
        self._has_server = True
        for message in localcodec.decode(frames[-1]):
            self._driver.on_local(message)

    def _on_peers(self, frames: list[bytes]) -> None:
        self._counters.on_word(time.monotonic_ns())
        for message in self._peers.receive(frames):
            self._driver.on_peer(message)

    def _do(self, turn: Turn) -> Written | None:
        """Send, then write: others work meanwhile. What is durable when this returns."""
        self._send_to_peers(turn.to_peers)
        self._to_server += turn.to_server
        if self._to_server and self._has_server:
            tell(self._server, [KVSERVER, localcodec.encode(self._to_server)])
            self._to_server.clear()
        if not turn.to_writer:
            return None
        (write,) = turn.to_writer
        self._counters.on_handed(time.monotonic_ns(), len(write.entries))
        is_leader = self._driver.raft.role is Role.LEADER
        written = None if is_leader else self._quick_writes.write(write)
        if written is None:
            tell(self._writer, [localcodec.encode([write])])
        return written

    def _send_to_peers(self, messages: list[Message]) -> None:
        """A peer that could not be sent to has lost it: Raft asks it again when it is back."""
        lost = self._peers.send(messages) if messages else set()
        for peer in lost:
            unreachable(self._driver.raft, peer)
        if lost or self._lost:
            self._tell_of_lines({message.target for message in messages}, lost)

    def _tell_of_lines(self, tried: set[int], lost: set[int]) -> None:
        for peer in sorted(lost - self._lost):
            self._log.event("peer_unreachable", peer=peer)
        for peer in sorted(self._lost & tried - lost):
            self._log.event("peer_reachable", peer=peer)
        self._lost = self._lost - tried | lost
