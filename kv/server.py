"""The KVServer's brain: what is let in, who waits for what, and what is answered.

A turn of the loop hands in all that waits and then asks for everything to be sent. Clerks' frames
leave in waves: all that came while one was on its way are the next, as one proposal, and so are
their reads, as one question. Nothing here knows a socket, a clock or a thread.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from kv.about import About, Limits, status, welcome
from kv.counters import ServerCounters
from kv.longanswers import ANSWER_BYTES_MAX, LONG_BYTES, Found, Unsent, bytes_of, parts
from kv.machine import Machine
from kv.proposals import Gathered, Proposals, Waiting
from kv.readqueue import Reader, ReadQueue
from messages.batch import ELAPSED_MS_MAX, Batch, encode_batch
from messages.client import (
    LEASE,
    STALE,
    VERSION,
    AskCounters,
    AskStatus,
    ClientReply,
    Hello,
    OpenSession,
    Reads,
    Reason,
    Refused,
    Values,
    Writes,
)
from messages.clientcodec import decode_request
from messages.codec import CodecError
from messages.local import (
    Applied,
    AskMarks,
    AskRead,
    Committed,
    Marks,
    ProposalRefused,
    Propose,
    Proposed,
    ReadAt,
    RoleIs,
    Space,
    ToRaft,
)

REASONS = {
    "OVERLOADED": Reason.OVERLOADED,
    "DISK_FULL": Reason.DISK_FULL,
    "TOO_LARGE": Reason.TOO_LARGE,
    "TRANSFERRING": Reason.OVERLOADED,  # over in a moment, here or at the next leader
}
"""What a refused proposal means to a clerk; anything else is NOT_LEADER."""

PARKED_MAX = 4_096
"""Clerks that asked while nobody led and hear of the next leader at once; others ask again."""

UNTOLD_BYTES_MAX = 1_048_576
"""When so much is applied, Raft hears of it at once."""

UNTOLD_MS_MAX = 10
"""Or so long after the last time: with each entry it would be a part of each turn, and Raft wants
it for bounds of megabytes."""

PARKED_MS_MAX = 1_000
"""For no longer than this: then they are told that nobody is known."""


class Backlog(NamedTuple):
    """What is owed to clerks; each has its bound, and all come to nothing when all is answered."""

    frame_bytes: int
    reads: int
    parked: int
    status: int


class Outgoing(NamedTuple):
    """What one turn sends."""

    replies: list[tuple[bytes, ClientReply]]
    to_raft: list[ToRaft]


class Untold(NamedTuple):
    """What was applied and Raft does not know of yet; through 0: nothing."""

    through: int
    size: int


FromRaft = Proposed | ProposalRefused | Committed | ReadAt | RoleIs | Marks | Space


class Server:
    """One group's KVServer among the actors of its node."""

    def __init__(self, about: About, limits: Limits, machine: Machine, committed: int) -> None:
        """`committed` is what the log said of itself when the node started (R3)."""
        self.machine = machine
        self.unsent = Unsent()
        self.counters = ServerCounters()
        self.bad_frames = 0
        self._about = about
        self._limits = limits
        self._proposals = Proposals(limits.pending_bytes_max, limits.client_frames_max)
        self._reads = ReadQueue(limits.reads_max)
        self._committed_before = committed
        self._role = RoleIs("follower", 0, 0)
        self._has_space = True
        self._number = 0  # of the last proposal or read context
        self._parked: list[tuple[int, bytes, int, int]] = []  # since when, client, what to refuse
        self._status_asked: list[tuple[bytes, AskStatus | AskCounters]] = []
        self._stamped_ms = 0
        self._untold = Untold(0, 0)
        self._told_ms = 0
        self._now_ms = 0
        self._outgoing = Outgoing([], [])

    @property
    def is_leader(self) -> bool:
        """Whether this node leads, as far as it knows."""
        return self._role.role == "leader"

    @property
    def backlog(self) -> Backlog:
        """How much waits here."""
        writes, reads = self._proposals.bytes_waiting, self._reads.waiting
        return Backlog(writes, reads, len(self._parked), len(self._status_asked))

    @property
    def owes_nothing(self) -> bool:
        """Whether no clerk waits for a write or a read."""
        return not (self._proposals.bytes_waiting or self._reads.waiting)

    @property
    def is_holding(self) -> bool:
        """Whether a wave waits for more, but not as long as until the next tick."""
        return self._proposals.is_holding

    @property
    def leader_endpoint(self) -> str:
        """Where clerks find the leader, or nothing."""
        return self._about.endpoints.get(self._role.leader_id, "")

    def on_frame(self, client: bytes, frame: bytes) -> None:
        """A clerk said something; what is no request is counted and answered once."""
        try:
            request = decode_request(frame)
        except CodecError:
            self.bad_frames += 1
            self._refuse(client, 0, 0, Reason.BAD_REQUEST)
            return
        self._proposals.heard(client)
        if isinstance(request, Writes):
            self._on_writes(client, request, frame)
        elif isinstance(request, Reads):
            self._on_reads(client, request)
        elif isinstance(request, OpenSession):
            self._let_in(Waiting(client, 0, request.request_id, len(frame)), frame)
        else:
            self._on_question(client, request)

    def on_local(self, message: FromRaft) -> None:
        """Raft said something."""
        HANDLERS[type(message)](self, message)

    def turn(self, now_ms: int) -> Outgoing:
        """Everything to be sent now; call it after all that waited was handed in."""
        self._now_ms = now_ms
        if self._proposals.may_leave(now_ms) and self._proposals.gathered:
            for batch in self._proposals.batches(now_ms):
                self._propose(batch)
        if self._reads.waiting:
            self._turn_reads()
        while self._parked and self._parked[0][0] <= now_ms - PARKED_MS_MAX:
            _, client, session, number = self._parked.pop(0)
            self._refuse(client, session, number, Reason.NOT_LEADER)
        if self._untold.through:
            self._tell_applied()
        self.counters.waiting = self._proposals.gathered
        done, self._outgoing = self._outgoing, Outgoing([], [])
        return done

    def _on_writes(self, client: bytes, request: Writes, frame: bytes) -> None:
        """Refuse what passes this node's limits before it is in the log."""
        keys_max, values_max, *_ = self._limits
        for offset, (_, key, value) in enumerate(request.operations):
            if len(value) > values_max or len(key) > keys_max:
                number = request.first_sequence + offset
                self._refuse(client, request.session, number, Reason.TOO_LARGE)
                return
        waiting = Waiting(client, request.session, request.first_sequence, len(frame))
        self._let_in(waiting, frame)

    def _let_in(self, waiting: Waiting, frame: bytes) -> None:
        """Let it into the log, if this node leads and there is room."""
        if not self.is_leader:
            self._refuse_or_park(waiting.client, waiting.session, waiting.number)
        elif not self._has_space:
            self._refuse(waiting.client, waiting.session, waiting.number, Reason.DISK_FULL)
        elif not self._proposals.has_room(waiting.client, waiting.size):
            self._refuse(waiting.client, waiting.session, waiting.number, Reason.OVERLOADED)
        else:
            self._proposals.gather(waiting, frame)

    def _on_reads(self, client: bytes, request: Reads) -> None:
        """A stale read is answered from what is here, once that is what was here before (R3)."""
        if request.level == STALE and self.machine.applied_index >= self._committed_before:
            self._look_up(client, request)
        elif not self._reads.has_room():
            self._refuse(client, 0, request.request_id, Reason.OVERLOADED)
        elif request.level == STALE:
            self._reads.wait(Reader(client, request), self._committed_before)
        else:
            self._reads.gather(Reader(client, request), lease=request.level == LEASE)

    def _on_question(self, client: bytes, request: Hello | AskStatus | AskCounters) -> None:
        if not isinstance(request, Hello):
            if not self._status_asked:
                self._outgoing.to_raft.append(AskMarks())
            self._status_asked.append((client, request))
        elif request.version != VERSION:
            self._refuse(client, 0, request.request_id, Reason.BAD_VERSION)
        else:
            leader = self.leader_endpoint
            self._reply(client, welcome(self._about, self._limits, leader, request.request_id))

    def on_proposed(self, message: Proposed) -> None:
        """It has a place in the log; its answers come with that index."""
        self._proposals.place(message.number, message.term, message.index_in_log)

    def on_proposal_refused(self, message: ProposalRefused) -> None:
        """It never reached the log: tell its clerks, nothing was executed."""
        reason = REASONS.get(message.refusal, Reason.NOT_LEADER)
        self._refuse_all(self._proposals.refused(message.number), reason)

    def on_committed(self, message: Committed) -> None:
        """Apply, and answer who waits here; an entry of another term is not what we proposed."""
        size = self._untold.size
        for index, entry in enumerate(message.entries, message.first_index):
            answers = self.machine.apply(index, entry)
            frames, is_ours = self._proposals.committed(index, entry.term)
            if is_ours:
                for waiting, answer in zip(frames, answers, strict=False):
                    self._reply(waiting.client, answer)
            else:
                self._refuse_all(frames, Reason.NOT_LEADER)
            size += len(entry.payload)
        self._untold = Untold(self.machine.applied_index, size)

    def on_read_at(self, message: ReadAt) -> None:
        """R4: the reads wait until this state is applied that far."""
        if message.read_index is not None:
            self._reads.found(message.context, message.read_index)
            return
        for client, request in self._reads.not_found(message.context):
            self._refuse_or_park(client, 0, request.request_id)

    def on_role(self, message: RoleIs) -> None:
        """Who no longer leads does not know what becomes of what it proposed: let clerks retry.

        Sessions make that safe; a retried operation that did commit is answered, not repeated.
        """
        led, self._role = self.is_leader, message
        if self.is_leader and not led:
            self._stamped_ms = self._now_ms
        if led and not self.is_leader:
            self._refuse_all(self._proposals.drop_gathered(), Reason.NOT_LEADER)
            self._refuse_all(self._proposals.abandon(), Reason.UNSEATED)
        if self.leader_endpoint:
            for _, client, session, number in self._parked:
                self._refuse(client, session, number, Reason.NOT_LEADER)
            self._parked.clear()

    def on_marks(self, message: Marks) -> None:
        """The last part of a status, and of what was counted."""
        for client, request in self._status_asked:
            if isinstance(request, AskStatus):
                found = status(self._about, self._role, self.machine, message, request.request_id)
                self._reply(client, found)
            else:
                self._reply(client, self.counters.reply(request, self.machine, message))
        self._status_asked.clear()

    def on_space(self, message: Space) -> None:
        """A full disk refuses changes; reads go on (O1)."""
        self._has_space = message.is_left

    def _tell_applied(self) -> None:
        index, size = self._untold
        if size >= UNTOLD_BYTES_MAX or self._now_ms - self._told_ms >= UNTOLD_MS_MAX:
            self._outgoing.to_raft.append(Applied(index))
            self._untold = Untold(0, 0)
            self._told_ms = self._now_ms

    def _propose(self, batch: Gathered) -> None:
        elapsed_ms = min(self._now_ms - self._stamped_ms, ELAPSED_MS_MAX)
        self._stamped_ms = self._now_ms
        self._number += 1
        self._proposals.propose(self._number, batch)
        payload = encode_batch(Batch(elapsed_ms, tuple(frame for _, frame in batch)))
        self._outgoing.to_raft.append(Propose(self._number, payload))

    def _turn_reads(self) -> None:
        for lease in self._reads.next_wave(self._now_ms):
            self._number += 1
            self._reads.ask(self._number, self._now_ms, lease=lease)
            self._outgoing.to_raft.append(AskRead(self._number, lease))
        for client, request in self._reads.answerable(self.machine.applied_index):
            self._look_up(client, request)

    def _look_up(self, client: bytes, request: Reads) -> None:
        """All keys at one moment, if that is no more than one answer may be."""
        get = self.machine.store.get
        found: list[bytes | None] = []
        size = 0
        for key in request.keys:
            value = get(key)
            if value is not None:
                size += len(value)
                if size > ANSWER_BYTES_MAX:
                    self._refuse(client, 0, request.request_id, Reason.TOO_LARGE)
                    return
            found.append(value)
        if size < LONG_BYTES:
            values = Values(request.request_id, self.machine.applied_index, 0, tuple(found))
            self._reply(client, values)
        elif self.unsent.has_room(client, size):
            self._answer_at_length(client, request.request_id, tuple(found))
        else:
            self._refuse(client, 0, request.request_id, Reason.OVERLOADED)

    def _answer_at_length(self, client: bytes, request_id: int, found: Found) -> None:
        """Part by part; whoever sends a long one tells `unsent` when it has left."""
        for first, values in parts(found):
            size = bytes_of(values)
            if size >= LONG_BYTES:
                self.unsent.add(client, size)
            self._reply(client, Values(request_id, self.machine.applied_index, first, values))

    def _refuse_or_park(self, client: bytes, session: int, number: int) -> None:
        """Name the leader; where nobody leads, say who does as soon as somebody does."""
        if self.leader_endpoint or len(self._parked) >= PARKED_MAX:
            self._refuse(client, session, number, Reason.NOT_LEADER)
        else:
            self._parked.append((self._now_ms, client, session, number))

    def _refuse_all(self, frames: tuple[Waiting, ...], reason: int) -> None:
        for client, session, number, _ in frames:
            self._refuse(client, session, number, reason)

    def _refuse(self, client: bytes, session: int, number: int, reason: int) -> None:
        self._reply(client, Refused(session, number, reason, self.leader_endpoint))

    def _reply(self, client: bytes, reply: ClientReply) -> None:
        self._outgoing.replies.append((client, reply))


HANDLERS: dict[type, Callable[[Server, Any], None]] = {
    Proposed: Server.on_proposed,
    ProposalRefused: Server.on_proposal_refused,
    Committed: Server.on_committed,
    ReadAt: Server.on_read_at,
    RoleIs: Server.on_role,
    Marks: Server.on_marks,
    Space: Server.on_space,
}
