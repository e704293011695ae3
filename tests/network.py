"""A network of servers in one process: nothing is late, lost or random unless a test says so.

A Server is a core and a driver that does every duty at once. Its state is the bytes of all commands
applied, its disk what a crash leaves. A Network carries what servers sent until nobody says more.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Concatenate, ParamSpec, TypeVar

from messages.raft import (
    COMMAND,
    NOBODY,
    AppendEntriesReply,
    Entry,
    HardState,
    HeartbeatReply,
    InstallSnapshot,
    Membership,
    Message,
    PreVoteReply,
    RequestVoteReply,
    Snapshot,
)
from raft import core
from raft.election import campaign
from raft.state import Config, Raft, ReadState, Role, Saved, Write

PAPER = Config(pre_vote=False, check_quorum=False)
"""Raft as the extended paper has it, without what the thesis added."""

OMITTED = {"entries": (), "membership": Membership(), "data": b""}
"""What a message's field holds if a test does not name it; all others hold 0."""

Kind = TypeVar("Kind")
Answer = TypeVar("Answer")
Wish = ParamSpec("Wish")


def commands(*terms: int) -> tuple[Entry, ...]:
    """Commands received in these terms; each writes its term's digits into the state."""
    return tuple(Entry(term, COMMAND, b"%d" % term) for term in terms)


@dataclass
class Disk:
    """What a crash leaves: the log, and the state as it was last saved."""

    hard_state: HardState
    base: Snapshot
    entries: list[Entry]
    state: bytes = b""
    state_index: int = 0

    def do(self, write: Write, staged: bytes) -> None:
        """Make a write durable, in the order that it asks for."""
        if write.snapshot:
            self.base, self.entries = write.snapshot, []
            self.state, self.state_index = staged, write.snapshot.last_included_index
        self.entries[write.first_index - self.base.last_included_index - 1 :] = write.entries
        if write.base:
            del self.entries[: write.base.last_included_index - self.base.last_included_index]
            self.base = write.base
        self.hard_state = write.hard_state


class Server:
    """One server with a driver; hold its disk, and writes wait for finish_write()."""

    disk_held = False
    chunk_bytes = 1_000
    staged_is_sound = True

    def __init__(
        self,
        server_id: int,
        *,
        voters: tuple[int, ...] = (1, 2, 3),
        learners: tuple[int, ...] = (),
        log: Sequence[int] = (),
        term: int = 0,
        voted_for: int = NOBODY,
        commit: int = 0,
        config: Config = PAPER,
    ) -> None:
        """A server that finds commands of these terms in its log."""
        self.server_id = server_id
        self.config = config
        hard_state = HardState(max([term, *log]), voted_for, commit)
        birth = Snapshot(0, 0, Membership(voters=voters, learners=learners))
        self.disk = Disk(hard_state, birth, list(commands(*log)))
        self.outbox: list[Message] = []
        self.said: list[object] = []
        self.reads: list[ReadState] = []
        self.lives = 0
        self.restart()

    def restart(self) -> None:
        """Crash and start again, with nothing but what the disk holds."""
        self.lives += 1
        self.writing: Write | None = None
        self.staged = b""
        self.state = self.disk.state
        disk, random = self.disk, Random(100 * self.server_id + self.lives)
        saved = Saved(disk.hard_state, disk.base, tuple(disk.entries), disk.state_index)
        self.raft = core.start(0, self.server_id, self.config, random, saved)
        self._work()

    def do(
        self,
        wish: Callable[Concatenate[Raft, Wish], Answer],
        *arguments: Wish.args,
        **named: Wish.kwargs,
    ) -> Answer:
        """Call a function of the core, then do the duties that follow."""
        answer = wish(self.raft, *arguments, **named)
        self._work()
        return answer

    def hear(self, kind: type[Message], source: int, **fields: object) -> None:
        """Receive a message of this server's term, unless another is named."""
        head = {"source": source, "target": self.server_id, "term": self.raft.current_term}
        values = {**head, **fields}
        assert values.keys() <= set(kind._fields)
        self.do(core.step, kind._make(values.get(at, OMITTED.get(at, 0)) for at in kind._fields))

    def tick(self, ticks: int = 1) -> None:
        """Let time pass."""
        for _ in range(ticks):
            self.do(core.tick)

    def lead(self) -> "Server":
        """Win an election with the vote of everyone, and forget what was sent for it."""
        while self.raft.config.lease_reads and self.raft.clock < self.raft.lease_guard:
            self.tick()  # it has promised to be silent for so long
        if self.raft.role is Role.FOLLOWER:
            self.do(campaign)
        for reply in (PreVoteReply, RequestVoteReply):
            for voter in sorted(self.raft.membership.servers() - {self.server_id}):
                self.hear(reply, voter, vote_granted=True)
        assert self.raft.role is Role.LEADER
        self.said.clear()
        return self

    def acknowledged(self, *followers: int, index: int = 0) -> "Server":
        """Hear that these followers hold all of this leader's log, or its part up to index."""
        for follower in followers:
            match_index = index or self.raft.log.last_index
            self.hear(AppendEntriesReply, follower, success=True, match_index=match_index)
        return self

    def confirmed(self, *followers: int, read_round: int = 0) -> "Server":
        """Hear that these followers answer the latest round of heartbeats, or an earlier one."""
        for follower in followers:
            self.hear(HeartbeatReply, follower, read_round=read_round or self.raft.round_number)
        return self

    def sent(self, kind: type[Kind]) -> list[Kind]:
        """The messages of a kind that have left since last asked about any."""
        said = [message for message in self.said if isinstance(message, kind)]
        self.said.clear()
        return said

    def save(self) -> None:
        """Make the applied state durable, so that the log before it can be cut."""
        self.disk.state, self.disk.state_index = self.state, self.raft.last_applied
        self.do(core.state_saved, self.raft.last_applied)

    def finish_write(self) -> None:
        """The held write has become durable."""
        write = self.writing
        assert write is not None
        self.writing = None
        self.disk.do(write, self.staged)
        if write.snapshot:
            self.state = self.staged
        self._leave(*write.messages)
        self.do(core.persisted, write)

    def terms(self) -> tuple[int, ...]:
        """The terms of the entries in this server's log."""
        log = self.raft.log
        entries = log.between(log.truncated_index + 1, log.last_index)
        return tuple(entry.term for entry in entries)

    def _work(self) -> None:
        while any(duties := core.ready(self.raft)):
            self._leave(*duties.messages)
            if duties.write:
                assert self.writing is None, "two writes in flight"
                self.writing = duties.write
            for chunk in duties.received:
                self._stage(chunk)
            for chunk in duties.wanted:
                self._send_chunk(chunk)
            if duties.committed:
                self.state += b"".join(
                    entry.payload for entry in duties.committed.entries if entry.kind == COMMAND
                )
                core.applied(self.raft, duties.committed.last_index)
            self.reads += duties.reads
            if self.writing and not self.disk_held:
                self.finish_write()

    def _leave(self, *messages: Message) -> None:
        self.outbox += messages
        self.said += messages

    def _stage(self, chunk: InstallSnapshot) -> None:
        self.staged = self.staged[: chunk.offset] + chunk.data
        if chunk.done and not self.staged_is_sound:
            core.snapshot_refused(self.raft, chunk.source, chunk.last_included_index)
        else:
            snapshot = (chunk.source, chunk.last_included_index)
            core.snapshot_staged(self.raft, *snapshot, len(self.staged))

    def _send_chunk(self, wanted: InstallSnapshot) -> None:
        if wanted.last_included_index != self.disk.state_index:
            core.snapshot_failed(self.raft, wanted.target)
            return
        end = wanted.offset + self.chunk_bytes
        done = end >= len(self.disk.state)
        chunk = wanted._replace(data=self.disk.state[wanted.offset : end], done=done)
        self._leave(chunk)
        core.snapshot_sent(self.raft, chunk)


class Network:
    """Servers that hear each other, except across a partition."""

    def __init__(self, *servers: Server) -> None:
        self.servers = {server.server_id: server for server in servers}
        self.parts: tuple[set[int], ...] = ()

    def __iter__(self) -> Iterator[Server]:
        return iter(self.servers.values())

    def part(self, *parts: set[int]) -> None:
        """Lose from now on what is sent from one part to another; no part: lose nothing."""
        self.parts = parts

    def deliver(self, until: Callable[[], bool] = lambda: False) -> None:
        """Carry messages, and the answers to them, until this holds or none are left."""
        for _ in range(1_000):
            under_way = [message for server in self for message in server.outbox]
            if until() or not under_way:
                return
            for server in self:
                server.outbox.clear()
            for message in under_way:
                if self._passes(message):
                    self.servers[message.target].do(core.step, message)
        raise AssertionError("the servers never fall silent")

    def tick(self, ticks: int = 1) -> None:
        """Let time pass everywhere, and messages arrive within a tick."""
        for _ in range(ticks):
            for server in self:
                server.tick()
            self.deliver()

    def elect(self, server: Server) -> Server:
        """Let this server win an election."""
        server.do(campaign)
        self.deliver()
        assert server.raft.role is Role.LEADER
        return server

    def _passes(self, message: Message) -> bool:
        apart = any((message.source in part) != (message.target in part) for part in self.parts)
        return message.target in self.servers and not apart


def trio(config: Config = PAPER) -> Network:
    """Three servers with empty logs."""
    return Network(*(Server(server_id, config=config) for server_id in (1, 2, 3)))
