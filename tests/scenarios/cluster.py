"""Servers on a table: disks, states and the network between them, moved only by commands.

It obeys the driver's contract (raft/core.py) and notes in `lines` everything that happens. Nothing
is left to chance: a message leaves the network when it is delivered or dropped, server N campaigns
election_ticks_min + N ticks after it last heard of a leader, and its read ids start at 100 * N.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from string import ascii_lowercase

from messages.raft import COMMAND, Entry, HardState, InstallSnapshot, Membership, Message, Snapshot
from raft import core
from raft.state import Committed, Config, Raft, ReadState, Ready, Saved, Write
from tests.scenarios import wording

TURNS_MAX = 1000
"""A cluster that has not come to rest by then never will."""

DAMAGE = b"?"
"""What a damaged byte of a snapshot looks like; commands do not contain it."""


class Settled(Random):
    """Chance that always falls the same way, so that a reader can foresee every timeout."""

    def __init__(self, server: int) -> None:
        super().__init__(server)
        self.server = server

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """The shortest timeout and one tick more for each lower id."""
        assert stop is None or start + self.server * step < stop
        return start + self.server * step

    def getrandbits(self, _count: int, /) -> int:
        """Where the ids of this server's questions start."""
        return 100 * self.server


@dataclass(slots=True)
class Server:
    """One server: what lies on its disk, and what is lost when it crashes."""

    number: int
    saved: Saved
    image: bytes = b""  # the durable state, applied up to saved.last_applied
    raft: Raft | None = None
    state: list[str] = field(default_factory=list)  # the commands applied
    writing: Write | None = None
    applying: list[Committed] = field(default_factory=list)
    reading: list[ReadState] = field(default_factory=list)
    staged: bytes = b""
    disk_held: bool = False
    apply_held: bool = False

    @property
    def running(self) -> Raft:
        """Its core; it must not have crashed."""
        assert self.raft is not None, f"S{self.number} is down"
        return self.raft


class Cluster:
    """All servers, and every message that is on its way."""

    def __init__(self, config: Config, chunk_bytes: int) -> None:
        self.config = config
        self.chunk_bytes = chunk_bytes
        self.servers: dict[int, Server] = {}
        self.flight: list[Message] = []
        self.cuts: set[tuple[int, int]] = set()
        self.lines: list[str] = []
        self.history: dict[int, Entry] = {}  # what any server ever applied at this index

    def place(self, number: int, saved: Saved) -> None:
        """Put a server there that finds this on its disk."""
        self.servers[number] = Server(number, saved)
        self.start(number)

    def start(self, number: int) -> None:
        """Start it from its disk."""
        server = self.servers[number]
        server.state = server.image.decode().split()
        server.raft = core.start(0, number, self.config, Settled(number), server.saved)
        self.work(number)

    def crash(self, number: int) -> None:
        """What was not durable is gone."""
        old = self.servers[number]
        self.servers[number] = Server(number, old.saved, old.image)

    def deliver(self, messages: Iterable[Message], *, together: bool = False) -> None:
        """Let them arrive; together: each server looks for its duties after all of them only."""
        waiting = list(messages)
        for message in waiting:
            server = self.servers[message.target]
            kind = type(message).__name__
            if server.raft is None:
                self.lines.append(f"S{message.target} is down, {kind} from S{message.source} lost")
                continue
            self.lines.append(f"S{message.target} hears {kind} from S{message.source}")
            core.step(server.raft, message)
            if not together:
                self.work(message.target)
        for number in sorted({message.target for message in waiting}) if together else ():
            self.work(number)

    def stabilize(self, numbers: set[int]) -> None:
        """Deliver all that these servers send one another until they have no more to say."""
        for _ in range(TURNS_MAX):
            among = (m for m in self.flight if m.source in numbers and m.target in numbers)
            message = next(among, None)
            if message is None:
                return
            self.flight.remove(message)
            self.deliver([message])
        raise AssertionError("the cluster does not come to rest")

    def work(self, number: int) -> None:
        """Do this server's duties until none is left."""
        server = self.servers[number]
        for _ in range(TURNS_MAX):
            if server.raft is None:
                return
            duties = core.ready(server.raft)
            if not any(duties):
                return
            self._do(server, server.raft, duties)
        raise AssertionError(f"S{number} does not come to rest")

    def finish_write(self, server: Server) -> None:
        """The write in flight is durable now."""
        write, server.writing = server.writing, None
        assert write is not None, f"S{server.number} has no write under way"
        if write.snapshot:
            server.image = server.staged
            server.state = server.image.decode().split()
        server.saved = written(server.saved, write)
        self._send(write.messages)
        core.persisted(server.running, write)

    def apply(self, server: Server) -> None:
        """Apply all that was handed out."""
        for first, entries in server.applying:
            for index, entry in enumerate(entries, first):
                assert self.history.setdefault(index, entry) == entry, "two states (§5.4.3)"
                server.state += [entry.payload.decode()] if entry.kind == COMMAND else []
            last = first + len(entries) - 1
            self._note(server, f"applies {wording.of_entries(first, entries)}")
            core.applied(server.running, last)
        server.applying.clear()
        self._answer_reads(server)

    def save(self, server: Server) -> None:
        """The state as it stands becomes durable."""
        index = server.running.last_applied
        server.image = " ".join(server.state).encode()
        server.saved = server.saved._replace(last_applied=index)
        self._note(server, f"state saved at {index}")
        core.state_saved(server.running, index)

    def _do(self, server: Server, raft: Raft, duties: Ready) -> None:
        if duties.soft_state:
            self._note(server, wording.of_soft_state(duties.soft_state))
        self._send(duties.messages)
        if duties.write:
            self._write(server, duties.write)
        for chunk in duties.received:
            self._stage(server, raft, chunk)
        for chunk in duties.wanted:
            self._send_chunk(server, raft, chunk)
        if duties.committed:
            server.applying.append(duties.committed)
        server.reading += duties.reads
        if not server.apply_held:
            self.apply(server)

    def _send(self, messages: Iterable[Message]) -> None:
        for message in messages:
            lost = (message.source, message.target) in self.cuts
            arrow = "-x" if lost else "->"
            said = wording.of_message(message)
            self.lines.append(f"S{message.source} {arrow} S{message.target} {said}")
            if not lost and message.target in self.servers:
                self.flight.append(message)

    def _write(self, server: Server, write: Write) -> None:
        verb = "begins to write" if server.disk_held else "writes"
        self._note(server, f"{verb} {wording.of_write(write, server.saved)}")
        server.writing = write
        if not server.disk_held:
            self.finish_write(server)

    def _stage(self, server: Server, raft: Raft, chunk: InstallSnapshot) -> None:
        server.staged = (server.staged if chunk.offset else b"") + chunk.data
        index = chunk.last_included_index
        self._note(server, f"stages {index}: {server.staged.decode()!r}")
        if chunk.done and DAMAGE in server.staged:
            self._note(server, f"finds snapshot {index} damaged")
            core.snapshot_refused(raft, chunk.source, index)
        else:
            core.snapshot_staged(raft, chunk.source, index, len(server.staged))

    def _send_chunk(self, server: Server, raft: Raft, chunk: InstallSnapshot) -> None:
        if chunk.last_included_index != server.saved.last_applied:
            self._note(server, f"has no snapshot {chunk.last_included_index} any more")
            core.snapshot_failed(raft, chunk.target)
            return
        end = chunk.offset + self.chunk_bytes
        data, done = server.image[chunk.offset : end], end >= len(server.image)
        filled = chunk._replace(data=data, done=done)
        self._send([filled])
        core.snapshot_sent(raft, filled)

    def _answer_reads(self, server: Server) -> None:
        applied = server.running.last_applied
        for read in list(server.reading):
            if read.read_index is None:
                self._note(server, f"gives up read {read.context}")
            elif read.read_index <= applied:
                self._note(server, f"answers read {read.context}, good from {read.read_index} on")
            else:
                continue
            server.reading.remove(read)

    def _note(self, server: Server, what: str) -> None:
        self.lines.append(f"S{server.number} {what}")


def written(saved: Saved, write: Write) -> Saved:
    """The disk after a write, as Write's contract says."""
    _, base, entries, last_applied = saved
    if write.snapshot:
        base, entries, last_applied = write.snapshot, (), write.snapshot.last_included_index
    kept = max(0, write.first_index - base.last_included_index - 1)
    entries = entries[:kept] + write.entries
    if write.base:
        entries = entries[write.base.last_included_index - base.last_included_index :]
        base = write.base
    return Saved(write.hard_state, base, entries, last_applied)


def born(membership: Membership, terms: tuple[int, ...] = ()) -> Saved:
    """The disk of a server that starts with entries of these terms, named a, b, c and so on."""
    entries = tuple(
        Entry(term, COMMAND, name.encode())
        for term, name in zip(terms, ascii_lowercase, strict=False)
    )
    return Saved(HardState(0, 0, 0), Snapshot(0, 0, membership), entries, 0)
