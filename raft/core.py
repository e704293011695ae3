"""The driver's contract: everything that can happen to a server, and the duties that follow.

    start -> Raft
    step, tick, propose, propose_membership, read, transfer_leader, forget_leader    what happens
    ready -> Ready                                                                   what to do
    persisted, applied, state_saved, unreachable,
    snapshot_sent, snapshot_failed, snapshot_staged, snapshot_refused                what was done

In each turn a driver takes whatever waits, then hands in the ticks that have passed, then what it
took, calls ready once, and does the duties; see docs/architecture.md. In this order, for leases: a
promise of silence counts from a tick after the heartbeat was received, and a read is never answered
by a clock that stood still before it came, wherever the process is stopped.
"""

from collections.abc import Callable, Sequence
from typing import Any

from messages.codec import ENTRY_BYTES_MAX
from messages.raft import (
    COMMAND,
    NOBODY,
    AppendEntries,
    AppendEntriesReply,
    Heartbeat,
    HeartbeatReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    PreVote,
    PreVoteReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TransferLeader,
)
from raft import election, membership, reads, replication, snapshot, transfer
from raft.invariants import check, checked
from raft.log import Log
from raft.membership import Action, Change
from raft.progress import Sending
from raft.ready import applied, persisted, ready
from raft.roles import become_follower, follow_nobody
from raft.state import LEADER, Config, Proposed, Raft, Randomness, Refusal, Role, Saved

__all__ = [
    "Action",
    "Change",
    "applied",
    "forget_leader",
    "persisted",
    "propose",
    "propose_membership",
    "read",
    "ready",
    "snapshot_failed",
    "snapshot_refused",
    "snapshot_sent",
    "snapshot_staged",
    "start",
    "state_saved",
    "step",
    "tick",
    "transfer_leader",
    "unreachable",
]

forget_leader = checked(election.forget_leader)
propose_membership = checked(membership.propose_membership)
read = checked(reads.read)
snapshot_failed = checked(snapshot.snapshot_failed)
snapshot_refused = checked(snapshot.snapshot_refused)
snapshot_sent = checked(snapshot.snapshot_sent)
snapshot_staged = checked(snapshot.snapshot_staged)
state_saved = checked(snapshot.state_saved)
transfer_leader = checked(transfer.transfer_leader)


def start(group: int, server_id: int, config: Config, random: Randomness, saved: Saved) -> Raft:
    """A server as its disk remembers it; every server starts as a follower (§5.2)."""
    config.check()
    hard_state, base, entries, last_applied = saved
    log = Log(base.last_included_index, base.last_included_term, entries)
    commit_index = max(hard_state.commit_index, last_applied)
    assert log.truncated_index <= last_applied <= commit_index <= log.last_index, "a log with a gap"
    assert hard_state.current_term >= log.last_term, "a log from the future"
    raft = Raft(
        group=group,
        server_id=server_id,
        config=config,
        random=random,
        current_term=hard_state.current_term,
        voted_for=hard_state.voted_for,
        log=log,
        commit_index=commit_index,
        last_applied=last_applied,
        handed_index=last_applied,
        saved_index=last_applied,
        memberships=membership.found_in(base, entries),
        durable_term=hard_state.current_term,
        durable_vote=hard_state.voted_for,
        durable_base=base.last_included_index,
        lease_guard=config.election_ticks_min,
        read_number=random.getrandbits(48),
    )
    follow_nobody(raft)
    check(raft)
    return raft


@checked
def tick(raft: Raft) -> None:
    """One unit of time has passed."""
    raft.clock += 1
    if raft.writing is not None:
        raft.write_elapsed += 1
    election.on_tick(raft)


@checked
def propose(raft: Raft, payloads: Sequence[bytes]) -> Proposed | Refusal:
    """Append commands to the leader's log, all or none; that they will commit is not promised."""
    if raft.role is not LEADER:
        return Refusal.NOT_LEADER
    if raft.transferee:
        return Refusal.TRANSFERRING
    if max(map(len, payloads), default=0) > ENTRY_BYTES_MAX:
        return Refusal.TOO_LARGE
    waiting = raft.log.bytes_between(raft.last_applied, raft.log.last_index)
    if waiting and waiting + sum(map(len, payloads)) > raft.config.unapplied_bytes_max:
        return Refusal.OVERLOADED
    return membership.append_own(raft, COMMAND, payloads)


@checked
def unreachable(raft: Raft, peer: int) -> None:
    """The driver lost the connection: what was on its way is probably gone, so ask first."""
    progress = raft.progress.get(peer)
    if progress and progress.sending is Sending.REPLICATE:
        progress.become_probe()


@checked
def step(raft: Raft, message: Message) -> None:
    """Receive one message; whatever is late, repeated, or not for us changes nothing."""
    if message.group != raft.group or message.target != raft.server_id:
        return
    if message.source == raft.server_id:
        return  # nobody speaks for us: our own vote and log count when they are durable (D1, D2)
    if isinstance(message, CAMPAIGNS) and _is_disruptive(raft, message):
        return
    if message.term > raft.current_term:
        become_follower(raft, message.term, NOBODY)  # §5.1
    elif message.term < raft.current_term:
        _answer_stale(raft, message)
        return
    if isinstance(message, FROM_LEADER):
        _hear_leader(raft, message.source)
    elif isinstance(message, TO_LEADER):
        if not replication.is_leader_of(raft, message.source):
            return
        raft.progress[message.source].recent_active = True
    HANDLERS[type(message)](raft, message)


CAMPAIGNS = (RequestVote, PreVote)
FROM_LEADER = (AppendEntries, Heartbeat, InstallSnapshot)
TO_LEADER = (AppendEntriesReply, HeartbeatReply, InstallSnapshotReply)

HANDLERS: dict[type, Callable[[Raft, Any], None]] = {
    AppendEntries: replication.on_append_entries,
    AppendEntriesReply: replication.on_append_entries_reply,
    Heartbeat: replication.on_heartbeat,
    HeartbeatReply: replication.on_heartbeat_reply,
    RequestVote: election.on_request_vote,
    RequestVoteReply: election.on_request_vote_reply,
    PreVote: election.on_pre_vote,
    PreVoteReply: election.on_pre_vote_reply,
    TimeoutNow: election.on_timeout_now,
    TransferLeader: transfer.on_transfer_leader,
    ReadIndex: reads.on_read_index,
    ReadIndexReply: reads.on_read_index_reply,
    InstallSnapshot: snapshot.on_install_snapshot,
    InstallSnapshotReply: snapshot.on_install_snapshot_reply,
}


def _is_disruptive(raft: Raft, message: RequestVote | PreVote) -> bool:
    """A campaign while a leader is heard, or by a removed server, must not raise terms (M2, M7).

    A server that does not know that it was removed campaigns for ever; nobody tells it.
    """
    if message.term < raft.current_term:
        return False
    known = membership.membership_at(raft, raft.commit_index)
    if message.source in known.removed and message.source not in known.outgoing:
        return True  # not while it still votes: it may be the only one that wins both majorities
    if isinstance(message, RequestVote) and message.leadership_transfer:
        return False
    return election.hears_leader(raft)


def _answer_stale(raft: Raft, message: Message) -> None:
    """Tell whoever leads or campaigns in an old term which one it is; all else is too late (§5.1).

    Silence would be wrong: a candidate of a later term whose campaign failed would never be taken
    back, since it refuses the leader and the leader's followers do not vote.
    """
    if isinstance(message, FROM_LEADER):
        replication.refuse_leader(raft, message.source)
    elif isinstance(message, CAMPAIGNS):
        election.refuse_campaign(raft, message)


def _hear_leader(raft: Raft, leader: int) -> None:
    """Follow whoever leads this term (§5.2), and wait anew."""
    assert raft.role is not LEADER, "two leaders in one term"
    if raft.role is not Role.FOLLOWER or raft.leader_id != leader:
        become_follower(raft, raft.current_term, leader)
    raft.election_elapsed = 0
    raft.lease_guard = raft.clock + raft.config.election_ticks_min
