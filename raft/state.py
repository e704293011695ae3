"""All that one server of one group knows, and the plain values it trades with its driver.

Raft is a record; what happens to it is in the files above this one, an RPC in the file of its name.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, Protocol

from messages.codec import FRAME_BYTES_MAX
from messages.raft import (
    NOBODY,
    Entry,
    HardState,
    InstallSnapshot,
    Membership,
    Message,
    Snapshot,
)
from raft.log import Log
from raft.progress import Progress


class Randomness(Protocol):
    """Where chance comes from; handed in, so that a seed decides it all."""

    def randrange(self, start: int, stop: int, /) -> int:
        """From start on, before stop."""

    def getrandbits(self, k: int, /) -> int:
        """That many bits."""


class Role(Enum):
    """The roles of Figure 4, and the one before a campaign (thesis §9.6)."""

    FOLLOWER = "follower"
    PRE_CANDIDATE = "pre-candidate"
    CANDIDATE = "candidate"
    LEADER = "leader"


LEADER, CANDIDATE = Role.LEADER, Role.CANDIDATE
"""By their own names where a turn asks often: to find a member through its class takes 60 ns."""


class Refusal(Enum):
    """Why a wish was not taken up; nothing happened, whoever wished may try again."""

    NOT_LEADER = "not the leader"
    OVERLOADED = "too much is waiting already"
    TOO_LARGE = "a payload is larger than any server takes"
    TRANSFERRING = "leadership is being handed over"
    NOT_READY = "this term has not committed anything yet"
    CHANGE_PENDING = "another membership change is not committed yet"
    NO_CHANGE = "the membership is like that already"
    INVALID_ID = "a server id is a positive integer"
    REMOVED_ID = "a removed server's id is never used again"
    UNKNOWN_SERVER = "no such server takes part"
    NOT_CAUGHT_UP = "the learner has not caught up yet"
    NO_VOTERS = "somebody must be left to vote"
    TOO_MANY = "the membership cannot hold more ids"
    NOT_A_VOTER = "only a voter other than the leader can take over"
    LEASE_READS = "a lease relies on the leader not being forgotten"


class Config(NamedTuple):
    """Every number of one server; a tick is the driver's unit of time (10 ms in a real node)."""

    election_ticks_min: int = 15
    election_ticks_max: int = 30
    heartbeat_ticks: int = 5
    majority_first: bool = True  # the driver tells the other followers with the next beat
    append_bytes_max: int = 1_048_576  # an AppendEntries is cut here
    inflight_messages_max: int = 64  # per follower; at the bound the leader waits for answers
    inflight_bytes_max: int = 8_388_608
    unapplied_bytes_max: int = 67_108_864  # at the bound proposals are refused: Overloaded
    apply_bytes_max: int = 4_194_304  # handed out and not yet applied; at the bound: wait
    reads_max: int = 65_536  # reads waiting for an index; at the bound they are refused
    snapshot_window_bytes: int = 4_194_304  # chunks on their way to one follower
    snapshot_retry_ticks: int = 20  # nothing arrives for so long: resume where the follower is
    log_trailing_entries: int = 10_000  # kept behind a durable state for followers a little late
    log_trailing_bytes: int = 33_554_432  # and no more than this of them
    log_behind_bytes_max: int = 134_217_728  # kept for a live but slow follower, then a snapshot
    promote_lag_entries_max: int = 1_000  # a learner this close to the end has caught up
    transfer_ticks_max: int = 30  # a handover takes no longer; then proposals flow again
    disk_stall_ticks_max: int = 100  # a leader whose write takes longer hands over
    pre_vote: bool = True
    check_quorum: bool = True
    lease_reads: bool = False
    lease_drift_percent: int = 10  # how much faster a follower's clock may run than the leader's

    def check(self) -> None:
        """Assert that the numbers fit together; the launcher refuses a user's with better words."""
        assert 0 < self.heartbeat_ticks < self.election_ticks_min < self.election_ticks_max
        assert 0 < self.append_bytes_max <= FRAME_BYTES_MAX // 2, "no peer takes a longer frame"
        assert min(self.inflight_messages_max, self.inflight_bytes_max) > 0, "nothing would leave"
        assert min(self.unapplied_bytes_max, self.apply_bytes_max) > 0, "nothing would be applied"
        assert min(self.snapshot_window_bytes, self.snapshot_retry_ticks) > 0
        assert min(self.transfer_ticks_max, self.disk_stall_ticks_max) > 0
        assert self.check_quorum or not self.lease_reads, "a lease needs voters that keep silent"
        assert 0 <= self.lease_drift_percent < 100

    def lease_ticks(self) -> int:
        """How long after a heartbeat was sent no other server can be elected, by our own clock.

        Two ticks less than the voters' silence: each side may have just missed a tick.
        """
        return (self.election_ticks_min - 2) * (100 - self.lease_drift_percent) // 100


class Saved(NamedTuple):
    """What a server finds on its disk, or is born with, when it starts."""

    hard_state: HardState
    base: Snapshot  # the entries start behind it; index 0 and the first voters for a new cluster
    entries: tuple[Entry, ...]
    last_applied: int


class SoftState(NamedTuple):
    """What need not be kept, and users like to see."""

    role: Role
    leader_id: int
    current_term: int


class Write(NamedTuple):
    """Make all of it durable, send the messages, then report persisted().

    A snapshot replaces the state first, in a transaction of its own: after a crash behind it the
    state is ahead of the log, and starts the log anew. All else is one transaction: start the log
    behind the snapshot, drop what lies from first_index on and append the entries there, set base
    (entries up to it may be deleted), set hard_state.
    """

    number: int
    hard_state: HardState
    snapshot: Snapshot | None
    base: Snapshot | None
    first_index: int
    entries: tuple[Entry, ...]
    messages: tuple[Message, ...]

    @property
    def last_index(self) -> int:
        """The index of the last entry in it."""
        return self.first_index + len(self.entries) - 1


class Committed(NamedTuple):
    """Entries to apply, in order, the first of them at first_index; then report applied()."""

    first_index: int
    entries: tuple[Entry, ...]

    @property
    def last_index(self) -> int:
        """What to report when all of them are applied."""
        return self.first_index + len(self.entries) - 1


class ReadState(NamedTuple):
    """Answer it from a state applied up to read_index; None: ask again, leadership moved."""

    context: int
    read_index: int | None


class Proposed(NamedTuple):
    """Where the proposals lie in the log, if that part of the log survives."""

    term: int
    first_index: int
    last_index: int


class Ready(NamedTuple):
    """The driver's duties, in field order; each is independent of the ones after it."""

    soft_state: SoftState | None  # tell whoever watches
    messages: tuple[Message, ...]  # send at once, also while a write is under way
    write: Write | None  # hand to the disk; no other comes before it is persisted()
    received: tuple[InstallSnapshot, ...]  # stage each; done: verify too; snapshot_staged()
    wanted: tuple[InstallSnapshot, ...]  # fill in data and done, send, report snapshot_sent()
    committed: Committed | None  # apply
    reads: tuple[ReadState, ...]  # answer as soon as applied that far


@dataclass(slots=True)
class Receiving:
    """A snapshot on its way in. It outlives terms: its leader may be elected again and go on."""

    source: int
    snapshot: Snapshot
    next_offset: int = 0  # the driver was given all bytes before it
    staged_offset: int = 0  # and has put aside those before this one: they are acknowledged
    complete: bool = False  # the driver was given the last chunk
    verified: bool = False  # to be installed with the next write


class ReadRound(NamedTuple):
    """One heartbeat round and the reads that waited when it began: (server, id there)."""

    read_round: int
    read_index: int
    readers: tuple[tuple[int, int], ...]


class Forwarded(NamedTuple):
    """A follower's reads that its leader was asked about."""

    contexts: tuple[int, ...]
    asked_at: int


@dataclass(slots=True, eq=False)
class Raft:
    """One server of one group. Only the functions of this package change it."""

    group: int
    server_id: int
    config: Config
    random: Randomness
    # Figure 2, persistent
    current_term: int
    voted_for: int
    log: Log
    # Figure 2, volatile; truncated <= saved <= last_applied <= handed <= commit_index <= last
    commit_index: int
    last_applied: int
    handed_index: int  # committed entries up to here were given out to be applied
    saved_index: int  # the state machine is durable up to here
    # membership (raft/membership.py); the last in the list is in force
    memberships: list[tuple[int, Membership]]
    # role (raft/roles.py)
    role: Role = Role.FOLLOWER
    leader_id: int = NOBODY
    votes: dict[int, bool] = field(default_factory=dict)
    progress: dict[int, Progress] = field(default_factory=dict)
    # time, in ticks
    clock: int = 0
    election_elapsed: int = 0
    election_timeout: int = 0
    heartbeat_elapsed: int = 0
    lease_guard: int = 0  # with leases no vote before this tick: a leader counts on our silence
    # handover (raft/transfer.py)
    transferee: int = NOBODY
    transfer_elapsed: int = 0
    # reads (raft/reads.py)
    read_number: int = 0  # of the last attempt asked of a leader; starts at random, never reused
    round_number: int = 0  # of the last round of heartbeats; (term, number) never comes again
    read_rounds: deque[ReadRound] = field(default_factory=deque)
    rounds_sent: deque[tuple[int, int]] = field(default_factory=deque)  # (round, tick)
    readers_waiting: list[tuple[int, int]] = field(default_factory=list)
    readers_in_rounds: int = 0
    contexts_waiting: list[int] = field(default_factory=list)
    contexts_forwarded: int = 0
    forwarded: dict[int, Forwarded] = field(default_factory=dict)
    lease_until: int = 0
    lease_barred: bool = False
    # snapshots (raft/snapshot.py)
    receiving: Receiving | None = None
    # the driver's next duties (raft/ready.py)
    durable_term: int = 0
    durable_vote: int = NOBODY
    durable_base: int = 0
    writing: Write | None = None
    writing_last: int = 0  # entries of the write in flight that still stand in the log
    write_number: int = 0
    write_elapsed: int = 0
    outbox: list[Message] = field(default_factory=list)
    waiting: dict[tuple[type, int], Message] = field(default_factory=dict)
    received: list[InstallSnapshot] = field(default_factory=list)
    reads_good: list[ReadState] = field(default_factory=list)
    soft_state_told: SoftState | None = None
    news_waited: bool = False  # committed entries were not handed out last time: a write was
    checked: tuple[int, ...] = ()  # the marks that must never fall (raft/invariants.py)

    @property
    def membership(self) -> Membership:
        """The membership in force: the latest in the log, committed or not (§6)."""
        return self.memberships[-1][1]

    @property
    def hard_state_is_durable(self) -> bool:
        """Whether the disk knows the term and the vote that a message would tell."""
        return self.durable_term == self.current_term and self.durable_vote == self.voted_for


def send(raft: Raft, message: Message) -> None:
    """Let it leave, but never tell of a term or vote that the disk does not hold yet (D1)."""
    if raft.hard_state_is_durable:
        raft.outbox.append(message)
    else:
        send_when_durable(raft, message)


def send_when_durable(raft: Raft, message: Message) -> None:
    """Let it leave with the write that holds all this server knows now.

    Of one kind to one server only the latest waits, so a slow disk gathers no more than one each:
    an answer or a campaign says all that the earlier ones did, a question is asked again, and of a
    user's wishes to transfer leadership the last one counts.
    """
    raft.waiting[type(message), message.target] = message


def match_indexes(raft: Raft) -> Mapping[int, int]:
    """What each server is known to hold durably, as the leader counts."""
    return {server: progress.match_index for server, progress in raft.progress.items()}
