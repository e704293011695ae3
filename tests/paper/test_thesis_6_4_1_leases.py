"""Thesis §6.4.1: reads by lease, for those who trust their clocks within a bound."""

import pytest

from messages.raft import AppendEntries, Heartbeat, RequestVote, RequestVoteReply, TimeoutNow
from raft.core import Action, Change, forget_leader, propose_membership, read, transfer_leader
from raft.election import campaign
from raft.state import Config, ReadState, Refusal, Role
from tests.network import Server

LEASES = Config(lease_reads=True)


@pytest.fixture
def leader():
    """A leader whose lease has just begun."""
    return past_its_silence(1).lead().acknowledged(2, 3).confirmed(2, 3)


def test_a_lease_read_needs_no_round(leader):
    """Thesis §6.4.1: within the lease no other server can be elected."""
    rounds_before = leader.raft.round_number

    leader.do(read, 7, lease=True)

    assert leader.reads == [ReadState(7, 1)]
    assert leader.raft.round_number == rounds_before


def test_lease_reads_are_a_choice_of_the_user():
    """Thesis §6.4.1, R2: clocks are trusted only where somebody said so, in server and read."""
    unwilling = Server(1, config=Config()).lead().acknowledged(2, 3).confirmed(2, 3)
    willing = past_its_silence(1).lead().acknowledged(2, 3).confirmed(2, 3)

    unwilling.do(read, 7, lease=True)
    willing.do(read, 8)

    assert not Config().lease_reads
    assert unwilling.reads == willing.reads == []


def test_a_lease_ends_before_another_server_can_be_elected(leader):
    """Thesis §6.4.1, R2: start + election timeout / clock drift bound, counted from the sending."""
    ticks = LEASES.lease_ticks()

    leader.tick(ticks - 1)
    leader.do(read, 7, lease=True)
    leader.tick()
    leader.do(read, 8, lease=True)

    assert ticks * (100 + LEASES.lease_drift_percent) < 100 * (LEASES.election_ticks_min - 1)
    assert leader.reads == [ReadState(7, 1)]


def test_a_lease_counts_from_when_the_heartbeat_was_sent(leader):
    """Thesis §6.4.1, R2: its answer may be late, the follower's silence began before."""
    leader.tick(LEASES.heartbeat_ticks)
    sent_at = leader.raft.clock

    leader.tick(LEASES.heartbeat_ticks - 1)
    leader.confirmed(2)

    assert leader.raft.lease_until == sent_at + LEASES.lease_ticks()


def test_no_lease_before_the_terms_first_commit():
    """§8, M1: it does not know yet what its predecessors committed."""
    leader = past_its_silence(1).lead().confirmed(2, 3)

    leader.do(read, 7, lease=True)

    assert leader.reads == []


def test_a_transfer_ends_the_lease(leader):
    """Thesis §6.4.1, R2: the new leader may be elected before the old one's lease expires."""
    leader.do(transfer_leader, 2)

    leader.do(read, 7, lease=True)
    reads_at_once = list(leader.reads)
    leader.tick(LEASES.transfer_ticks_max + LEASES.heartbeat_ticks)
    reads_by_round = [state.context for state in leader.confirmed(2, 3).reads]
    leader.do(read, 8, lease=True)

    assert reads_at_once == []
    assert reads_by_round == [7]
    assert [state.context for state in leader.reads] == [7]


def test_a_membership_change_ends_the_lease(leader):
    """R2: another majority may elect than the one that granted it."""
    leader.do(propose_membership, [Change(Action.REMOVE, 3)])

    leader.do(read, 7, lease=True)

    assert leader.reads == []


def test_a_voter_that_hears_a_leader_gives_no_vote():
    """Thesis §6.4.1, R2: the lease is this silence."""
    voter = Server(2, term=1, config=LEASES)
    voter.hear(Heartbeat, 1)
    voter.tick(LEASES.election_ticks_min - 1)

    voter.hear(RequestVote, 3, term=2, last_log_index=9, last_log_term=9)

    assert voter.sent(RequestVoteReply) == []
    assert voter.raft.current_term == 1


def test_a_promise_of_silence_counts_from_when_the_heartbeat_was_received():
    """R2: a driver that was stopped takes what came, hands in the ticks it missed, then steps."""
    voter = past_its_silence(2)
    voter.hear(Heartbeat, 1)
    missed_ticks = LEASES.election_ticks_min + 1

    voter.tick(missed_ticks)
    voter.hear(Heartbeat, 1)
    voter.tick(LEASES.election_ticks_min - 1)
    voter.do(campaign)
    voter.hear(RequestVote, 3, term=9, last_log_index=9, last_log_term=9)

    assert voter.sent(RequestVoteReply) == []
    assert voter.raft.role is Role.FOLLOWER


def test_a_restarted_voter_gives_no_vote_for_the_shortest_timeout():
    """R2: it cannot remember when it last heard the leader that counts on it."""
    voter = Server(2, term=1, config=LEASES)
    voter.hear(Heartbeat, 1)
    voter.restart()

    voter.tick(LEASES.election_ticks_min - 1)
    voter.hear(RequestVote, 3, term=2, last_log_index=9, last_log_term=9)
    votes_before = voter.sent(RequestVoteReply)
    voter.tick()
    voter.hear(RequestVote, 3, term=2, last_log_index=9, last_log_term=9)

    assert votes_before == []
    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [True]


def test_a_voter_keeps_its_silence_though_it_forgot_who_leads():
    """R2: a later term in an answer makes it forget the leader, and the lease still runs."""
    voter = Server(2, term=1, config=LEASES)
    voter.hear(Heartbeat, 1)
    voter.hear(RequestVoteReply, 3, term=2)

    voter.hear(RequestVote, 3, term=3, last_log_index=9, last_log_term=9)

    assert voter.sent(RequestVoteReply) == []


def test_a_voter_on_whose_silence_a_leader_counts_stands_for_no_election():
    """Thesis §6.4.1, R2: its own vote is one that the lease excludes, unless the leader asks."""
    voter = past_its_silence(2)
    voter.hear(Heartbeat, 1)

    voter.hear(RequestVoteReply, 3, term=2)
    voter.do(campaign)
    role_in_silence = voter.raft.role
    voter.hear(Heartbeat, 1)
    voter.hear(TimeoutNow, 1)

    assert role_in_silence is Role.FOLLOWER
    assert voter.raft.role is Role.CANDIDATE


def test_a_leader_with_leases_is_not_forgotten_by_hand():
    """R2: whoever says that it is gone may be wrong, and it would still read by its lease."""
    voter = Server(2, term=1, config=LEASES)
    voter.hear(AppendEntries, 1)

    refused = voter.do(forget_leader)

    assert refused is Refusal.LEASE_READS
    assert voter.raft.leader_id == 1


def past_its_silence(server_id):
    """A server that has been up for so long that nobody counts on its silence any more."""
    server = Server(server_id, config=LEASES)
    server.tick(LEASES.election_ticks_min)
    return server
