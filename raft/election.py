"""Who asks for votes, who gives them, and when a leader must doubt itself (§5.2, §5.4.1)."""

from messages.raft import (
    NOBODY,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from raft import membership, reads, snapshot, transfer
from raft.quorum import VoteResult, joint_vote_result
from raft.roles import become_candidate, become_leader, become_pre_candidate, follow_nobody
from raft.state import Raft, Refusal, Role, send


def on_tick(raft: Raft) -> None:
    """Let one tick pass: a leader keeps its followers, anyone else waits for one."""
    raft.election_elapsed += 1
    if raft.role is Role.LEADER:
        _tick_leader(raft)
    else:
        reads.expire(raft)
        if raft.election_elapsed >= raft.election_timeout:
            follow_nobody(raft)  # its leader is silent
            campaign(raft)


def campaign(raft: Raft, *, leadership_transfer: bool = False) -> None:
    """Stand for election, unless this server could not or should not lead now."""
    if raft.role is Role.LEADER or not _may_campaign(raft):
        return
    if _is_silent(raft) and not leadership_transfer:
        return
    if raft.config.pre_vote and not leadership_transfer:
        become_pre_candidate(raft)
        for server in _other_voters(raft):
            send(raft, PreVote(*_head(raft, server), *_last(raft)))
        _count_pre_votes(raft)
    else:
        become_candidate(raft)
        for server in _other_voters(raft):
            send(raft, RequestVote(*_head(raft, server), *_last(raft), leadership_transfer))


def on_timeout_now(raft: Raft, message: TimeoutNow) -> None:
    """The leader wants us to lead (thesis §3.10); it is not a disturbance then."""
    if raft.role is Role.FOLLOWER and raft.leader_id == message.source:
        campaign(raft, leadership_transfer=True)


def hears_leader(raft: Raft) -> bool:
    """Whether a leader was heard of within the shortest timeout (§6, thesis §4.2.3: no votes then).

    Who leads hears itself; it doubts itself by check_quorum, not because somebody campaigns.
    """
    if _is_silent(raft):
        return True  # even where a later term made us forget who it was
    if not raft.config.check_quorum or raft.leader_id == NOBODY:
        return False
    return raft.role is Role.LEADER or raft.election_elapsed < raft.config.election_ticks_min


def on_pre_vote(raft: Raft, message: PreVote) -> None:
    """Say whether we would vote so; it binds nobody, and changes nothing here."""
    granted = raft.role is not Role.LEADER and _is_up_to_date(raft, message)
    send(raft, PreVoteReply(*_head(raft, message.source), granted))


def on_request_vote(raft: Raft, message: RequestVote) -> None:
    """One vote a term, first come first served, to a log that holds all of ours (§5.2, §5.4.1)."""
    free = raft.voted_for == NOBODY and raft.leader_id == NOBODY
    granted = (free or raft.voted_for == message.source) and _is_up_to_date(raft, message)
    if granted:
        raft.voted_for = message.source
        raft.election_elapsed = 0
    send(raft, RequestVoteReply(*_head(raft, message.source), granted))


def refuse_campaign(raft: Raft, message: RequestVote | PreVote) -> None:
    """A campaign in an old term learns from ours that it is over."""
    reply = RequestVoteReply if isinstance(message, RequestVote) else PreVoteReply
    send(raft, reply(*_head(raft, message.source), False))


def on_pre_vote_reply(raft: Raft, message: PreVoteReply) -> None:
    """Campaign in earnest as soon as a majority would vote so."""
    if raft.role is Role.PRE_CANDIDATE:
        raft.votes.setdefault(message.source, message.vote_granted)
        _count_pre_votes(raft)


def on_request_vote_reply(raft: Raft, message: RequestVoteReply) -> None:
    """Lead as soon as a majority has voted so."""
    if raft.role is Role.CANDIDATE:
        raft.votes.setdefault(message.source, message.vote_granted)
        count_votes(raft)


def on_durable_vote(raft: Raft) -> None:
    """Our own vote counts only now (D1): before, a crash could let us vote twice in this term."""
    if raft.role is Role.CANDIDATE and raft.hard_state_is_durable:
        raft.votes[raft.server_id] = True
        count_votes(raft)


def count_votes(raft: Raft) -> None:
    """Lead, give up, or go on waiting. Nobody leads before its own vote is durable."""
    result = _ballot(raft)
    if result is VoteResult.WON and raft.votes.get(raft.server_id):
        become_leader(raft)
    elif result is VoteResult.LOST:
        follow_nobody(raft)


def forget_leader(raft: Raft) -> Refusal | None:
    """The driver knows that the leader is gone: votes need not wait for the timeout any more."""
    if raft.config.lease_reads:
        return Refusal.LEASE_READS
    if raft.role is Role.FOLLOWER and raft.leader_id != NOBODY:
        follow_nobody(raft)
    return None


def _tick_leader(raft: Raft) -> None:
    transfer.on_tick(raft)
    membership.leave_joint(raft)  # it may have waited for a handover that failed
    snapshot.on_tick(raft)
    if raft.election_elapsed >= raft.config.election_ticks_max:
        raft.election_elapsed = 0
        hears_quorum = _hears_quorum(raft)  # always: it also finds out who has fallen silent
        if raft.config.check_quorum and not hears_quorum:
            follow_nobody(raft)
            return
    if raft.write_elapsed >= raft.config.disk_stall_ticks_max and _hand_over_or_quit(raft):
        return
    raft.heartbeat_elapsed += 1
    if raft.heartbeat_elapsed >= raft.config.heartbeat_ticks:
        raft.heartbeat_elapsed = 0
        reads.broadcast_heartbeat(raft)
        transfer.try_timeout_now(raft)


def _hand_over_or_quit(raft: Raft) -> bool:
    """M8: a leader whose disk stands still hands over, and quits if nobody takes it in time."""
    overdue = raft.config.disk_stall_ticks_max + raft.config.transfer_ticks_max
    if raft.write_elapsed >= overdue:
        follow_nobody(raft)
        return True
    if not raft.transferee:
        successor = transfer.best_successor(raft)
        if successor != NOBODY:
            transfer.transfer_leader(raft, successor)
    return False


def _hears_quorum(raft: Raft) -> bool:
    """Whether a majority answered since the last look; begins a new period."""
    heard = {server: progress.recent_active for server, progress in raft.progress.items()}
    heard[raft.server_id] = True
    for progress in raft.progress.values():
        progress.recent_active = False
    voters, outgoing, *_ = raft.membership
    return joint_vote_result(voters, outgoing, heard) is VoteResult.WON


def _is_silent(raft: Raft) -> bool:
    """R2: a leader that we answered may hold a lease, and counts on no election till then."""
    return raft.config.lease_reads and raft.clock < raft.lease_guard


def _may_campaign(raft: Raft) -> bool:
    if not membership.is_promotable(raft) or membership.has_unapplied_change(raft):
        return False
    stalled = raft.write_elapsed >= raft.config.disk_stall_ticks_max
    installing = raft.receiving is not None and raft.receiving.verified
    return not stalled and not installing


def _is_up_to_date(raft: Raft, message: RequestVote | PreVote) -> bool:
    theirs = (message.last_log_term, message.last_log_index)
    return theirs >= (raft.log.last_term, raft.log.last_index)


def _count_pre_votes(raft: Raft) -> None:
    result = _ballot(raft)
    if result is VoteResult.WON:
        become_candidate(raft)
        for server in _other_voters(raft):
            send(raft, RequestVote(*_head(raft, server), *_last(raft), False))
    elif result is VoteResult.LOST:
        follow_nobody(raft)


def _ballot(raft: Raft) -> VoteResult:
    voters, outgoing, *_ = raft.membership
    return joint_vote_result(voters, outgoing, raft.votes)


def _other_voters(raft: Raft) -> list[int]:
    voters, outgoing, *_ = raft.membership
    return sorted({*voters, *outgoing} - {raft.server_id})


def _head(raft: Raft, target: int) -> tuple[int, int, int, int]:
    return raft.group, raft.server_id, target, raft.current_term


def _last(raft: Raft) -> tuple[int, int]:
    return raft.log.last_index, raft.log.last_term
