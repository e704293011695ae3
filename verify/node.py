"""One life of a whole node: KVServer, Raft and their two writers, speaking as in actors/.

The brains are those of a real node (kv/server.py, kv/machine.py, raft/driver.py); this file is the
shell around them, over simulated disks and wires.
"""

from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, NamedTuple, cast

from kv.about import About, Limits
from kv.keeper import FlushAt, Keeper, load_machine
from kv.server import PARKED_MAX, Server
from messages import localcodec
from messages.client import ClientReply, Values
from messages.clientcodec import encode
from messages.codec import CodecError
from messages.envelope import opened, seal, unseal
from messages.local import Handover, RoleIs, Written
from messages.raft import Message
from raft import core
from raft.driver import Driver, Turn
from raft.state import Role, Saved
from storage.boot import load_saved
from storage.log import LogStore
from storage.state import StateStore
from verify.lines import Lines
from verify.network import Network
from verify.nodelaws import NodeLaws, Witnessed
from verify.nodestore import Store
from verify.nodeswarm import Plan
from verify.nodewriters import LogWriter, NodeDisk, StateWriter
from verify.process import Actor, Handler, Process
from verify.timeline import Timeline
from verify.transcript import TICK

CLUSTER = "simulated"
KEY_BYTES_MAX, VALUE_BYTES_MAX = 100, 100_000
FLUSH_BYTES = 1 << 30  # their number says when
UNITS_PER_MS, UNITS_PER_S = 100, 100_000


class Ground(NamedTuple):
    """What all nodes and clerks of a world stand on."""

    timeline: Timeline
    network: Network
    lines: Lines
    laws: NodeLaws
    is_up: Callable[[int], bool]

    @property
    def plan(self) -> Plan:
        """The present one: it changes when faults end."""
        return self.lines.plan


class Node(Process):
    """Everything here is gone after a crash; what is left is on the disk."""

    def __init__(
        self,
        ground: Ground,
        node_id: int,
        disk: NodeDisk,
        tick_units: int,
        on_crash: Callable[["Node"], None],
    ) -> None:
        super().__init__(ground.timeline, node_id, lambda: self._end(on_crash))
        self.disk = disk
        self.tick_units = tick_units
        self._ground = ground
        self._store = Store(disk.state)
        self._committed_before = disk.log.hard_state.commit_index
        self._clock_units = ground.timeline.random.getrandbits(40)
        self._clock_read_at = ground.timeline.now
        self._frame_bytes_max = ground.plan.pending_bytes_max
        self._moment_is_due = False
        self.driver = self._start_raft()
        self.keeper = self._start_keeper()
        chunk_bytes = ground.timeline.swarm.chunk_bytes
        self._log_writer = LogWriter(self, disk, self._on_log_done)
        self._state_writer = StateWriter(self, disk, self._store, chunk_bytes, self._on_state_done)
        self._log_actor = Actor(self, self._log_writer.tick, _nothing)
        self._state_actor = Actor(self, self._state_writer.tick, _nothing)
        self._raft_actor = Actor(self, self.driver.tick, self._flush_raft, self.driver.idle_ticks)
        self._server_actor = Actor(self, self._tick_server, self._flush_server)
        ground.timeline.after(ground.timeline.random.randrange(tick_units), self._on_tick)
        ground.timeline.note(node_id, "starts", disk.log.hard_state)

    def __str__(self) -> str:
        raft, log = self.driver.raft, self.driver.raft.log
        role = f"paused {raft.role.value}" if self.is_paused else raft.role.value
        marks = f"log {log.truncated_index}..{log.stable_index}..{log.last_index}"
        applied = f"commit {raft.commit_index}, applied {self.server.machine.applied_index}"
        return (
            f"S{self.number} {role} in term {raft.current_term}, leader S{raft.leader_id}, "
            f"{marks}, {applied}, durable {self._store.applied_index}, {self.server.backlog}"
        )

    @property
    def server(self) -> Server:
        """Its KVServer's brain."""
        return self.keeper.server

    @property
    def server_id(self) -> int:
        """Who it is to Raft."""
        return self.number

    @property
    def is_leader(self) -> bool:
        """Whether it runs and believes that it leads."""
        return self.is_running and self.driver.raft.role is Role.LEADER

    # What happens to it

    def receive(self, message: Message) -> None:
        """A peer's message has arrived."""
        self._raft_actor.put(self._on_peer, message)

    def on_client(self, client: bytes, frame: bytes) -> None:
        """A clerk's frame has arrived."""
        self._frame_bytes_max = max(self._frame_bytes_max, len(frame))
        self._server_actor.put(self._on_client, (client, frame))

    def hand_over(self, target: int) -> None:
        """Somebody wishes that another node lead."""
        self._raft_actor.put(self._on_local, [Handover(target)])

    def abort_snapshots(self) -> None:
        """The states it sends can no longer be read, and what it stages is lost."""
        self._state_writer.abort()

    def lose_line(self, peer: int) -> None:
        """Its connection to a peer broke."""
        core.unreachable(self.driver.raft, peer)
        self._raft_actor.wake()

    def _end(self, on_crash: Callable[["Node"], None]) -> None:
        self._log_writer.crash()
        self._state_writer.crash()
        on_crash(self)

    def _on_tick(self, _: object) -> None:
        if self.is_alive:
            self.timeline.after(self.tick_units, self._on_tick)
            for actor in self.actors:
                actor.on_tick()

    # Its start

    def _start_raft(self) -> Driver:
        """As actors/node.py does: log and state are checked against each other (D10)."""
        log, state = cast("LogStore", self.disk.log), cast("StateStore", self._store)
        saved = Saved(*load_saved(log, state, 0))
        random = Random(self.timeline.random.getrandbits(32))
        config = self.timeline.swarm.config
        return Driver(core.start(0, self.number, config, random, saved))

    def _start_keeper(self) -> Keeper:
        plan, nodes = self._ground.plan, range(1, self.timeline.swarm.voters + 1)
        about = About(CLUSTER, self.number, f"node{self.number}", 1, endpoints(nodes))
        limits = Limits(
            KEY_BYTES_MAX,
            VALUE_BYTES_MAX,
            plan.pending_bytes_max,
            plan.client_frames_max,
            plan.reads_max,
        )
        make = partial(Witnessed, self._ground.laws, self.number)
        load = partial(load_machine, make, self._store, self.disk.log.base)
        server = Server(about, limits, load(), self._committed_before)
        flush_at = FlushAt(FLUSH_BYTES, plan.flush_keys, plan.flush_ticks * TICK / UNITS_PER_S)
        return Keeper(server, self._store, load, flush_at, self._now_s)

    @property
    def _now_s(self) -> float:
        return self.timeline.now / UNITS_PER_S

    # Between its actors

    def _tell(self, actor: Actor, handle: Handler, messages: list[Any]) -> None:
        """Messages from one actor to another are in order, and never lost but with the node."""
        if self.burns_out():
            return
        plan = self._ground.plan
        if plan.local_codec:
            copies = localcodec.decode(localcodec.encode(messages))
            assert copies == messages, f"codec: {messages} became {copies}"
            messages = copies
        actor.tell(handle, messages, self.timeline.random.randrange(plan.hop_units) + 1)

    def _on_log_done(self, message: Any) -> None:  # noqa: ANN401 - Written or Space
        self._tell(self._raft_actor, self._on_log_writer, [message])

    def _on_state_done(self, message: Any) -> None:  # noqa: ANN401 - any answer of a StateWriter
        self._tell(self._server_actor, self._on_state_writer, [message])

    # Raft, as actors/raft.py has it

    def _on_peer(self, message: Message) -> None:
        self.timeline.note(self.number, "<-", message)
        self.driver.on_peer(message)

    def _on_log_writer(self, messages: list[Any]) -> None:
        self._on_local(messages)

    def _on_local(self, messages: list[Any]) -> None:
        for message in messages:
            self.timeline.note(self.number, "raft <-", message)
            self.driver.on_local(message)

    def _flush_raft(self) -> None:
        while (written := self._do(self.driver.turn())) is not None:
            self._on_local([written])
            self._send(self.driver.take_promised())

    def _do(self, turn: Turn) -> Written | None:
        """What is durable at once, as actors/quickwrites.py has it, leads to more."""
        to_peers, to_server, to_writer = turn
        self._send(to_peers)
        if to_server:
            self._tell(self._server_actor, self._on_raft, list(to_server))
        if not to_writer:
            return None
        written = None
        if self.timeline.random.random() < self._ground.plan.quick_writes:
            written = None if self.burns_out() else self._log_writer.write_now(*to_writer)
        if written is None:
            self._tell(self._log_actor, self._log_writer.handle, list(to_writer))
        return written

    def _send(self, messages: list[Message]) -> None:
        """To peers, each message an effect; who is not there may be noticed."""
        ground = self._ground
        if ground.plan.envelopes:
            messages = self._through_frames(messages)
        for message in messages:
            if self.burns_out():
                return
            ground.laws.on_send(self.disk.log, [message])
            ground.network.send([message])
            if not ground.is_up(message.target) and self.timeline.random.random() < 0.3:
                core.unreachable(self.driver.raft, message.target)

    def _through_frames(self, messages: list[Message]) -> list[Message]:
        """What peers make of our frames; one that is damaged is lost as a whole."""
        heard: list[Message] = []
        for target in sorted({message.target for message in messages}):
            theirs = [message for message in messages if message.target == target]
            frames = list(seal(CLUSTER, self.number, target, theirs))
            copies = [message for frame in frames for message in opened(unseal(frame))]
            assert copies == theirs, f"codec: {theirs} became {copies}"
            for frame in frames:
                if self.timeline.random.random() < self._ground.plan.torn:
                    self._check_refused(frame)
                else:
                    heard += opened(unseal(frame))
        return heard

    def _check_refused(self, frame: bytes) -> None:
        place = self.timeline.random.randrange(len(frame))
        damaged = frame[:place] + bytes([frame[place] ^ 1]) + frame[place + 1 :]
        try:
            opened(unseal(damaged))
        except CodecError:
            self.timeline.facts["damaged frames"] += 1
        else:
            raise AssertionError("codec: a damaged frame was believed")

    # KVServer, as actors/kvserver.py has it

    def _on_client(self, arrived: tuple[bytes, bytes]) -> None:
        self.server.on_frame(*arrived)

    def _on_raft(self, messages: list[Any]) -> None:
        for message in messages:
            if isinstance(message, RoleIs) and message.role == Role.LEADER.value:
                self._ground.laws.on_leader(self.number, message.term)
            self.timeline.note(self.number, "server <-", message)
            self.keeper.on_raft(message)

    def _on_state_writer(self, messages: list[Any]) -> None:
        for message in messages:
            self.keeper.on_state_writer(message)

    def _tick_server(self) -> None:
        self.keeper.freeze_if_due(self._now_s)

    def _flush_server(self) -> None:
        now = self.timeline.now
        self._clock_units += (now - self._clock_read_at) * self._ground.plan.haste
        self._clock_read_at = now
        self._check_bounds()
        to_raft, wishes, replies = self.keeper.turn(self._clock_units // UNITS_PER_MS)
        if to_raft:
            self._tell(self._raft_actor, self._on_local, list(to_raft))
        if wishes:
            self._tell(self._state_actor, self._state_writer.handle, list(wishes))
        for client, reply in replies:
            if self.burns_out():
                return
            self._check_reply(reply)
            self.timeline.note(self.number, f"-> {client.decode()}", reply)
            self._ground.lines.to_clerk(self.number, client, encode(reply))
        if self.server.is_holding and not self._moment_is_due:
            self._moment_is_due = True
            self.after(UNITS_PER_MS, self._on_moment)

    def _on_moment(self, _: object) -> None:
        """A wave waits for others, but not until the next tick."""
        self._moment_is_due = False
        self.timeline.facts["moments that a wave waited"] += 1
        self._server_actor.put(_nothing_else, None)

    def _check_reply(self, reply: ClientReply) -> None:
        """Time does not go back over a restart (R3)."""
        if isinstance(reply, Values):
            known = reply.applied_index >= self._committed_before
            assert known, f"R3: answers as of {reply.applied_index}: {reply}"

    def _check_bounds(self) -> None:
        """Nothing waits here without a bound; a single frame may be larger than that for all."""
        frame_bytes, reads, parked, _ = self.server.backlog
        assert frame_bytes <= self._frame_bytes_max, "bounds: frames that wait"
        assert reads <= self._ground.plan.reads_max, "bounds: reads that wait"
        assert parked <= PARKED_MAX, "bounds: clerks that wait for a leader"


def endpoints(nodes: range) -> dict[int, str]:
    """Where clerks find each node."""
    return {node: f"node{node}:1" for node in nodes}


def _nothing() -> None:
    """Writers answer when something is done, not when a turn ends."""


def _nothing_else(_: object) -> None:
    """A turn is all that is wanted."""
