"""The driver that every shell shares: what a node's other actors say, in; what they must do, out.

It keeps the promises that core.py asks of a driver, so that a real node and a simulated one cannot
keep them differently: one write at a time, its messages only when it is durable, a snapshot's state
before its log.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from messages.local import (
    Applied,
    AskMarks,
    AskRead,
    ChunkRead,
    Committed,
    Handover,
    InstallState,
    Marks,
    ProposalRefused,
    Propose,
    Proposed,
    ReadAt,
    ReadChunk,
    RoleIs,
    SnapshotUnavailable,
    Space,
    StageChunk,
    Staged,
    StagingFailed,
    StateInstalled,
    StateSaved,
    ToRaft,
    ToServer,
    WriteLog,
    Written,
)
from messages.raft import NOBODY, Message
from raft import core, transfer
from raft.counters import RaftCounters
from raft.held import Held
from raft.idle import idle_ticks
from raft.state import LEADER, Raft, Ready, Write
from raft.state import Proposed as ProposedAt

HELD_BYTES_MAX = 1_048_576
"""Of committed entries, as what a KVServer has applied and not told yet (kv/server.py)."""


class Turn(NamedTuple):
    """What one turn of the loop sends out; messages to peers in order, each to its target."""

    to_peers: list[Message]
    to_server: list[ToServer]
    to_writer: list[WriteLog]


class Driver:
    """One group's Raft among the actors of its node."""

    def __init__(self, raft: Raft) -> None:
        self.raft = raft
        self.counters = RaftCounters()
        self._write: Write | None = None  # the one in flight
        self._has_space = True
        self._has_ticked = False
        self._held_ticks = 0  # for so many the KVServer was not told something
        self._held = Held()
        self._told_index = self._asked_index = 0  # by Committed, and by ReadAt
        self._turn = Turn([], [], [])

    def on_peer(self, message: Message) -> None:
        """A server of this group said something."""
        core.step(self.raft, message)

    def tick(self) -> None:
        """One unit of time has passed."""
        core.tick(self.raft)
        self._has_ticked = True
        self._held_ticks += bool(self._turn.to_server)

    def on_local(self, message: ToRaft) -> None:
        """An actor of this node said something."""
        HANDLERS[type(message)](self, message)

    def idle_ticks(self) -> int:
        """So many of the next ticks may be handed in together, unless something comes before."""
        idle = idle_ticks(self.raft)
        if not self._turn.to_server:
            return idle
        ticks_max = self._hold_ticks_max(is_awaited=self._is_awaited())
        return max(0, min(idle, ticks_max - self._held_ticks - 1))

    @property
    def awaits_followers(self) -> bool:
        """Whether a leader has written all that it waits to commit: mostly not for long."""
        raft, log = self.raft, self.raft.log
        return raft.role is LEADER and raft.commit_index < log.last_index == log.stable_index

    def take_promised(self) -> list[Message]:
        """A follower's words that a write held back; what else this turn leads to can wait."""
        if self.raft.role is LEADER:
            return []
        promised = list(self._turn.to_peers)
        self._turn.to_peers.clear()
        return promised

    def turn(self) -> Turn:
        """Everything to be sent now; call it after all that waited was handed in."""
        self._do(core.ready(self.raft))
        done, self._turn = self._turn, Turn([], [], [])
        self._hold_back(done)
        return done

    def _hold_back(self, done: Turn) -> None:
        """Keep what nobody waits for until there is more to say, or a while: each word wakes."""
        done.to_peers[:] = self._held.let_go(self.raft, done.to_peers, has_ticked=self._has_ticked)
        self._has_ticked = False
        if not done.to_server:
            return
        if self._may_wait(done.to_server):
            self._turn.to_server.extend(done.to_server)
            done.to_server.clear()
        else:
            self._told_index = self.raft.handed_index
            self._held_ticks = 0

    def _may_wait(self, to_server: list[ToServer]) -> bool:
        """Where a proposal lies, its commit says too; and for a follower's commits nobody waits."""
        is_awaited = self._is_awaited()
        if self._held_ticks >= self._hold_ticks_max(is_awaited=is_awaited):
            return False
        for message in to_server:
            if type(message) is not Proposed and (is_awaited or type(message) is not Committed):
                return False
        return is_awaited or not self._is_much()

    def _hold_ticks_max(self, *, is_awaited: bool) -> int:
        """A follower applies as often as it hears the leader's beat."""
        return 1 if is_awaited else self.raft.config.heartbeat_ticks

    def _is_much(self) -> bool:
        """So much waits to be applied that at the bound nothing more would be handed out."""
        raft = self.raft
        size = raft.log.bytes_between(raft.last_applied, raft.handed_index)
        return size >= min(HELD_BYTES_MAX, raft.config.apply_bytes_max // 2)

    def _is_awaited(self) -> bool:
        """Whether somebody waits for what is applied here: a leader's clerks, or a read."""
        return self.raft.role is LEADER or self._told_index < self._asked_index

    def _do(self, duties: Ready) -> None:
        soft_state, messages, write, received, wanted, committed, reads = duties
        to_peers, to_server, to_writer = self._turn
        if soft_state is not None:
            role, leader_id, term = soft_state
            to_server.append(RoleIs(role.value, leader_id, term))
        to_peers += messages
        if write is not None:
            self._write = write
            if write.snapshot is not None:
                to_server.append(InstallState(write.snapshot))
            else:
                to_writer.append(_write_log(write))
        if received or wanted:
            to_server += map(StageChunk, received)
            to_server += map(ReadChunk, wanted)
        if committed is not None:
            to_server.append(Committed(*committed))
        for context, read_index in reads:
            to_server.append(ReadAt(context, read_index))
            self._asked_index = max(self._asked_index, read_index or 0)

    def on_propose(self, message: Propose) -> None:
        """Append it, or say why not."""
        if not self._has_space:
            self._turn.to_server.append(ProposalRefused(message.number, "DISK_FULL"))
            return
        found = core.propose(self.raft, (message.payload,))
        if isinstance(found, ProposedAt):
            answer = Proposed(message.number, found.term, found.first_index)
            self._turn.to_server.append(answer)
        else:
            self._turn.to_server.append(ProposalRefused(message.number, found.name))

    def on_ask_read(self, message: AskRead) -> None:
        """Find an index, or say at once that it must be asked again."""
        if core.read(self.raft, message.context, lease=message.lease):
            self._turn.to_server.append(ReadAt(message.context, None))

    def on_ask_marks(self, _: AskMarks) -> None:
        """How far the log is."""
        log = self.raft.log
        marks = (self.raft.commit_index, log.last_index, log.truncated_index)
        self._turn.to_server.append(Marks(*marks, self.counters.counted()))

    def on_handover(self, message: Handover) -> None:
        """Hand leadership over, if there is anybody."""
        target = message.target or transfer.best_successor(self.raft)
        if target != NOBODY:
            core.transfer_leader(self.raft, target)

    def on_chunk_read(self, message: ChunkRead) -> None:
        """The chunk is complete: send it."""
        self._turn.to_peers.append(message.chunk)
        core.snapshot_sent(self.raft, message.chunk)

    def on_state_installed(self, _: StateInstalled) -> None:
        """Now the log may start behind the snapshot; before, a crash would have lost the state."""
        assert self._write is not None and self._write.snapshot is not None
        self._turn.to_writer.append(_write_log(self._write))

    def on_state_saved(self, message: StateSaved) -> None:
        """What is durable was applied, although word of that may still be on its way."""
        core.applied(self.raft, message.saved_index)
        core.state_saved(self.raft, message.saved_index)

    def on_written(self, message: Written) -> None:
        """The write is durable: its messages may leave, and it counts."""
        write, self._write = self._write, None
        assert write is not None and write.number == message.number
        self._turn.to_peers.extend(write.messages)
        core.persisted(self.raft, write)

    def on_space(self, message: Space) -> None:
        """Without room proposals are refused; what was agreed, votes and heartbeats go on (O1)."""
        self._has_space = message.is_left
        self._turn.to_server.append(message)


def _write_log(write: Write) -> WriteLog:
    number, hard_state, snapshot, base, first_index, entries, _ = write
    return WriteLog(number, hard_state, snapshot, base, first_index, entries)


HANDLERS: dict[type, Callable[[Driver, Any], None]] = {
    Propose: Driver.on_propose,
    AskRead: Driver.on_ask_read,
    AskMarks: Driver.on_ask_marks,
    Handover: Driver.on_handover,
    ChunkRead: Driver.on_chunk_read,
    StateInstalled: Driver.on_state_installed,
    Written: Driver.on_written,
    Space: Driver.on_space,
    Applied: lambda driver, message: core.applied(driver.raft, message.applied_index),
    StateSaved: Driver.on_state_saved,
    SnapshotUnavailable: lambda driver, message: core.snapshot_failed(driver.raft, message.peer),
    Staged: lambda driver, message: core.snapshot_staged(driver.raft, *message),
    StagingFailed: lambda driver, message: core.snapshot_refused(driver.raft, *message),
}
