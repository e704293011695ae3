"""What Raft's servers say to one another and keep on disk, in the words of Figures 2 and 13.

Departures from the paper, each with its reason:
- Every message opens with group, source, target, term. A node runs many Raft groups over one
  connection, and a reply is a message of its own: it must say whose it is. source stands for
  leaderId and candidateId.
- An Entry does not carry its index: it follows from the place, prev_log_index + 1 + offset.
- Heartbeat is a message apart from AppendEntries, so that one lost or slow append never keeps a
  leader's word from being heard; its read_round confirms leadership for reads (thesis §6.4).
- AppendEntriesReply says what it acknowledges (match_index) or refuses (prev_log_index), because
  many are in flight; on refusal match_index and hint_term let the leader skip whole terms.
- PreVote asks without raising any term (thesis §9.6). Its term is the sender's own; the campaign
  would be for the next one.
- RequestVote says whether the leader itself asked for this election (thesis §3.10), since such a
  vote is given although a leader was heard of just now.
- InstallSnapshot names the membership at its last index, and offsets count opaque bytes.
"""

from typing import NamedTuple

NOBODY = 0
"""The server id that is nobody's: no vote given, no leader known."""

COMMAND, NOOP, MEMBERSHIP = 0, 1, 2
"""Kinds of entries: a client's command, a leader's first entry, a membership. Never renumber."""


class Entry(NamedTuple):
    """One place of the log: the term it was received in, what kind it is, and opaque bytes."""

    term: int
    kind: int
    payload: bytes


class Membership(NamedTuple):
    """Who takes part. While outgoing is not empty, both majorities are needed (thesis §4.3)."""

    voters: tuple[int, ...] = ()
    outgoing: tuple[int, ...] = ()
    learners: tuple[int, ...] = ()
    learners_next: tuple[int, ...] = ()
    removed: tuple[int, ...] = ()

    def servers(self) -> set[int]:
        """Everyone the leader replicates to, itself included where it takes part."""
        return {*self.voters, *self.outgoing, *self.learners, *self.learners_next}


class Snapshot(NamedTuple):
    """Where a state stands in the log: everything up to here is in it, this membership too."""

    last_included_index: int
    last_included_term: int
    membership: Membership


class HardState(NamedTuple):
    """What must be on disk before a message tells of it; commit_index rides along for a start."""

    current_term: int
    voted_for: int
    commit_index: int


class RequestVote(NamedTuple):
    """Invoked by candidates to gather votes (§5.2)."""

    group: int
    source: int
    target: int
    term: int
    last_log_index: int
    last_log_term: int
    leadership_transfer: bool


class RequestVoteReply(NamedTuple):
    """A vote, given or refused (§5.2, §5.4)."""

    group: int
    source: int
    target: int
    term: int
    vote_granted: bool


class PreVote(NamedTuple):
    """Asks whether a campaign for the next term could win (thesis §9.6)."""

    group: int
    source: int
    target: int
    term: int
    last_log_index: int
    last_log_term: int


class PreVoteReply(NamedTuple):
    """Whether the sender would vote so; it binds nobody."""

    group: int
    source: int
    target: int
    term: int
    vote_granted: bool


class AppendEntries(NamedTuple):
    """Invoked by the leader to replicate log entries (§5.3)."""

    group: int
    source: int
    target: int
    term: int
    prev_log_index: int
    prev_log_term: int
    leader_commit: int
    entries: tuple[Entry, ...]


class AppendEntriesReply(NamedTuple):
    """Success: all up to match_index is durable here. Else: nothing after match_index can agree."""

    group: int
    source: int
    target: int
    term: int
    success: bool
    match_index: int
    prev_log_index: int
    hint_term: int


class Heartbeat(NamedTuple):
    """Keeps leadership and tells of commits; read_round 0 asks for no answer."""

    group: int
    source: int
    target: int
    term: int
    leader_commit: int
    read_round: int


class HeartbeatReply(NamedTuple):
    """The sender knew of no later term when it heard the heartbeat of this round."""

    group: int
    source: int
    target: int
    term: int
    read_round: int


class ReadIndex(NamedTuple):
    """A follower asks the leader which index its waiting reads must see (thesis §6.4)."""

    group: int
    source: int
    target: int
    term: int
    read_id: int


class ReadIndexReply(NamedTuple):
    """The reads of read_id may be answered from a state applied up to read_index."""

    group: int
    source: int
    target: int
    term: int
    read_id: int
    read_index: int


class InstallSnapshot(NamedTuple):
    """One chunk of the leader's state for a follower that is behind the log (Figure 13)."""

    group: int
    source: int
    target: int
    term: int
    last_included_index: int
    last_included_term: int
    membership: Membership
    offset: int
    data: bytes
    done: bool


class InstallSnapshotReply(NamedTuple):
    """All bytes of that snapshot before next_offset have arrived."""

    group: int
    source: int
    target: int
    term: int
    last_included_index: int
    next_offset: int


class TransferLeader(NamedTuple):
    """A follower hands on a user's wish that transferee lead (thesis §3.10)."""

    group: int
    source: int
    target: int
    term: int
    transferee: int


class TimeoutNow(NamedTuple):
    """The leader asks the target to campaign at once (thesis §3.10)."""

    group: int
    source: int
    target: int
    term: int


Message = (
    RequestVote
    | RequestVoteReply
    | PreVote
    | PreVoteReply
    | AppendEntries
    | AppendEntriesReply
    | Heartbeat
    | HeartbeatReply
    | ReadIndex
    | ReadIndexReply
    | InstallSnapshot
    | InstallSnapshotReply
    | TransferLeader
    | TimeoutNow
)
