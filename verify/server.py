"""One life of a server: the driver around its core, from a start to the next crash.

It does the duties in their order, and a crash may come between any two of them: a fuse, when lit,
counts duties and burns out among them. What a crash keeps is on the disk.
"""

from collections.abc import Callable
from random import Random
from typing import Any, Concatenate, NamedTuple, ParamSpec, TypeVar

from messages.raft import InstallSnapshot, Message
from raft import core
from raft.idle import idle_ticks
from raft.reads import has_lease
from raft.state import Committed, Raft, Ready, Role, Write
from verify import fuse
from verify.disk import Disk
from verify.incoming import Arrived, Incoming
from verify.laws import Laws, known_duties
from verify.machine import State
from verify.network import Network
from verify.outgoing import Outgoing
from verify.service import Service
from verify.timeline import Timeline
from verify.transcript import describe
from verify.writer import Writer

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Read(NamedTuple):
    """A client's request, which waits for the next turn as messages do."""

    context: int
    lease: bool


class Server:
    """A core, its state machine and its driver; everything here is gone after a crash."""

    def __init__(
        self,
        timeline: Timeline,
        network: Network,
        laws: Laws,
        server_id: int,
        disk: Disk,
        tick_units: int,
        on_crash: Callable[["Server"], None],
    ) -> None:
        self.server_id = server_id
        self.disk = disk
        self.is_alive = True
        self.is_paused = False
        self.fuse = 0  # so many duties until it crashes; 0: not lit
        self.tick_units = tick_units
        self._timeline = timeline
        self._network = network
        self._laws = laws
        self._on_crash = on_crash
        self._inbox: list[Message | Read] = []
        self._taken: list[Message | Read] = []  # by the present turn, and not stepped yet
        self._turn_due = False
        self._pauses_in_turn = False
        self._ticks_due = 0
        self._backlog: list[tuple[Callable[[Any], None], Any]] = []
        self._incoming = Incoming()
        self._outgoing = Outgoing()
        random = Random(timeline.random.getrandbits(32))
        self.raft = core.start(0, server_id, timeline.swarm.config, random, disk.load())
        self.service = Service(timeline, laws, disk.state)
        self.writer = Writer(timeline, laws, server_id, disk, self._on_durable)
        laws.on_start(self.raft)
        timeline.after(timeline.random.randrange(tick_units), self._on_tick)
        timeline.note(server_id, "starts", disk.hard_state)

    def __str__(self) -> str:
        raft, log = self.raft, self.raft.log
        role = f"paused {raft.role.value}" if self.is_paused else raft.role.value
        marks = f"log {log.truncated_index}..{log.stable_index}..{log.last_index}"
        applied = f"commit {raft.commit_index}, applied {raft.last_applied}"
        members = describe(raft.membership)
        return (
            f"S{self.server_id} {role} in term {raft.current_term}, leader S{raft.leader_id}, "
            f"{marks}, {applied}, members {members}"
        )

    @property
    def is_running(self) -> bool:
        """Whether it could do something now."""
        return self.is_alive and not self.is_paused

    @property
    def is_leader(self) -> bool:
        """Whether it runs and believes that it leads."""
        return self.is_running and self.raft.role is Role.LEADER

    # What happens to it

    def receive(self, message: Message) -> None:
        """A message has arrived; it waits for the next turn."""
        self._inbox.append(message)
        self._wake()

    def ask(
        self, wish: Callable[Concatenate[Raft, P], Answer], *arguments: P.args, **named: P.kwargs
    ) -> Answer:
        """A user or operator asks the core for something."""
        answer = wish(self.raft, *arguments, **named)
        self._timeline.note(self.server_id, f"{wish.__name__} {arguments} ->", answer)
        self._laws.look(self.raft)
        self._wake()
        return answer

    def read(self, context: int, *, lease: bool) -> None:
        """A client wants to read; the answer must hold all that is committed by now."""
        self.service.expect(context)
        self._inbox.append(Read(context, lease))
        self._wake()

    def act(self) -> None:
        """Take a turn now."""
        self._turn()

    def save(self) -> None:
        """Begin to make the state durable, in the background."""
        self._timeline.after(self._timeline.swarm.save_units, self._on_saved, self.service.state)

    def abort_snapshots(self) -> None:
        """The states it sends can no longer be read, and what it stages is lost."""
        self._outgoing.clear()
        receiving = self.raft.receiving
        if receiving is not None:
            index = receiving.snapshot.last_included_index
            self.ask(core.snapshot_refused, receiving.source, index)

    def pause(self, *, in_turn: bool = False) -> None:
        """The process stands still, now or within its next turn; its disk and its peers do not."""
        if in_turn:
            self._pauses_in_turn = True
            return
        self.is_paused = True
        self._timeline.note(self.server_id, "pauses")

    def resume(self) -> None:
        """It goes on where it stood, and only then notices the ticks that have passed."""
        self._pauses_in_turn = False
        if not self.is_alive or not self.is_paused:
            return
        self._timeline.note(self.server_id, "resumes, ticks missed:", self._ticks_due)
        self.is_paused = False
        self._turn_due = False
        if self._taken:
            self._finish_turn()
        self._hand_in_ticks()
        backlog, self._backlog = self._backlog, []
        for action, argument in backlog:
            self._when_running(action, argument)
        self._wake()

    def heal(self) -> None:
        """Nothing is wrong with it any more, and its disk does at last what it was told."""
        self.fuse = 0
        self.writer.heal()
        self.resume()

    def crash(self) -> None:
        """Only the disk is left; a write under way was durable already, or it was not."""
        self.is_alive = False
        self._timeline.note(self.server_id, "crashes")
        self.writer.on_crash()
        self._on_crash(self)

    # Turns

    def _wake(self) -> None:
        if not self._turn_due and not self.is_paused:
            self._turn_due = True
            self._timeline.after(self._timeline.swarm.turn_units, self._on_turn)

    def _on_tick(self, _: object) -> None:
        if not self.is_alive:
            return
        self._timeline.after(self.tick_units, self._on_tick)
        self._ticks_due += 1
        if not self.is_paused:
            self._turn()

    def _on_turn(self, _: object) -> None:
        if self._turn_due and self.is_alive and not self.is_paused:
            self._turn()

    def _turn(self) -> None:
        """Take everything that waits, hand in the ticks that have passed, then step (R2)."""
        self._turn_due = False
        self._taken, self._inbox = self._inbox, []
        self._hand_in_ticks()
        if self._pauses_in_turn:
            self._pauses_in_turn = False
            self.pause()
        else:
            self._finish_turn()

    def _hand_in_ticks(self) -> None:
        for _ in range(self._ticks_due if self.is_alive else 0):
            before = known_duties(self.raft) if idle_ticks(self.raft) else None
            core.tick(self.raft)
            is_idle = before is None or known_duties(self.raft) == before
            assert is_idle, "idle: a tick did something that could have been slept through"
            self._laws.look(self.raft)
            self._laws.check_bounds(self.raft)
        self._ticks_due = 0

    def _finish_turn(self) -> None:
        """Step all that was taken, then do what follows."""
        raft, look = self.raft, self._laws.look
        for message in self._taken:
            self._timeline.note(self.server_id, "<-", message)
            if isinstance(message, Read):
                self._on_read(message)
            else:
                core.step(raft, message)
            look(raft)
        self._taken.clear()
        duties = core.ready(raft)
        if self.fuse:
            self._burn_among(duties)
        else:
            self._perform(duties)

    def _on_read(self, read: Read) -> None:
        self._timeline.facts["reads under a lease"] += read.lease and has_lease(self.raft)
        refusal = core.read(self.raft, read.context, lease=read.lease)
        if refusal is not None:
            self._timeline.note(self.server_id, "refuses:", refusal)
            self.service.forget(read.context)

    def _perform(self, duties: Ready) -> None:
        soft_state, messages, write, received, wanted, committed, reads = duties
        if soft_state is not None:
            self._timeline.note(self.server_id, "is now", soft_state)
        if messages:
            self._send(messages)
        if write is not None:
            self._start_write(write)
        for chunk in received:
            self._stage(chunk)
        for chunk in wanted:
            self._send_chunk(chunk)
        if committed is not None:
            self._start_apply(committed)
        for read_state in reads:
            self.service.on_read_state(*read_state)

    def _burn_among(self, duties: Ready) -> None:
        """Do what comes before the crash."""
        count = fuse.count_of(duties)
        if self.fuse > count:
            self.fuse -= count
            self._perform(duties)
        else:
            self._perform(fuse.first_of(duties, self.fuse - 1))
            self.crash()

    def _burns_out(self) -> bool:
        """Whether the crash comes before this single duty."""
        if self.fuse == 1:
            self.crash()
            return True
        self.fuse = max(0, self.fuse - 1)
        return False

    def _send(self, messages: tuple[Message, ...]) -> None:
        self._laws.on_send(messages)
        self._network.send(messages)

    # Its disk

    def _start_write(self, write: Write) -> None:
        self._timeline.note(self.server_id, "writes", write)
        units = self.writer.start(write)
        chance = self._timeline.swarm.crash_installing if write.snapshot is not None else 0.0
        if chance and self._timeline.random.random() < chance:
            when = self._timeline.random.randrange(units)
            self._timeline.after(when, self._crash_installing, write)

    def _crash_installing(self, write: Write) -> None:
        if self.is_alive and self.writer.is_writing(write):
            self.crash()

    def _on_durable(self, write: Write) -> None:
        """It is on the disk now; a paused process notices only when it goes on."""
        self._when_running(self._finish_write, write)

    def _finish_write(self, write: Write) -> None:
        messages = write.messages
        if 0 < self.fuse <= len(messages) + 1:
            self._send(messages[: self.fuse - 1])
            self.crash()
            return
        self._timeline.note(self.server_id, "has written", write.number)
        self._send(messages)
        if write.snapshot is not None:
            self.service.install(self.writer.staged)
        core.persisted(self.raft, write)
        self._laws.look(self.raft)
        self._wake()

    def _on_saved(self, state: State) -> None:
        """The state machine is durable up to here, unless a snapshot has replaced it by more."""
        if not self.is_alive or state.last_applied <= self.disk.state.last_applied:
            return
        self.disk.state = state
        if not self._burns_out():
            self._when_running(self._finish_save, state)

    def _finish_save(self, state: State) -> None:
        self.ask(core.state_saved, state.last_applied)

    def _when_running(self, action: Callable[[Any], None], argument: object) -> None:
        if self.is_paused:
            self._backlog.append((action, argument))
        elif self.is_alive:
            action(argument)

    # Its state machine

    def _start_apply(self, committed: Committed) -> None:
        self.service.queue(committed)
        units = self._timeline.swarm.apply_units
        if units:
            self._timeline.after(units, self._on_applied)
        else:
            self._finish_apply(None)

    def _on_applied(self, _: object) -> None:
        if self.is_alive:
            self._when_running(self._finish_apply, None)

    def _finish_apply(self, _: object) -> None:
        if self.service.apply_next():
            core.applied(self.raft, self.service.state.last_applied)
            self._laws.look(self.raft)
            self._wake()

    # Snapshots

    def _send_chunk(self, wanted: InstallSnapshot) -> None:
        swarm = self._timeline.swarm
        if wanted.offset == 0 and self.disk.state.last_applied == wanted.last_included_index:
            self._outgoing.pin(self.disk.state, swarm.snapshot_padding)
        chunk = self._outgoing.filled(wanted, swarm.chunk_bytes)
        if chunk is None:
            self._timeline.facts["snapshots given up"] += 1
            self.ask(core.snapshot_failed, wanted.target)
            return
        self._send((chunk,))
        self._timeline.facts["chunks sent"] += 1
        self.ask(core.snapshot_sent, chunk)

    def _stage(self, chunk: InstallSnapshot) -> None:
        arrived = self._incoming.stage(chunk)
        units = self._timeline.swarm.stage_units
        if units:
            self._timeline.after(units, self._on_staged, arrived)
        else:
            self._finish_staging(arrived)

    def _on_staged(self, arrived: Arrived) -> None:
        if self.is_alive:
            self._when_running(self._finish_staging, arrived)

    def _finish_staging(self, arrived: Arrived) -> None:
        chunk, next_offset, state = arrived
        index = chunk.last_included_index
        if chunk.done and state is None:
            self._timeline.facts["snapshots refused"] += 1
            self.ask(core.snapshot_refused, chunk.source, index)
            return
        if state is not None and not self._is_installing():
            self.writer.staged = state
        self.ask(core.snapshot_staged, chunk.source, index, next_offset)

    def _is_installing(self) -> bool:
        """Whether the core has a verified snapshot already: then no other may take its place."""
        receiving = self.raft.receiving
        return receiving is not None and receiving.verified
