"""Thesis §9.6: a server raises its term only after a majority said that it could win."""

import pytest

from messages.raft import AppendEntries, PreVote, PreVoteReply, RequestVote, RequestVoteReply
from raft.core import forget_leader
from raft.election import campaign
from raft.state import Config, Role
from tests.network import Network, Server, trio

CONFIG = Config()


def test_a_pre_vote_raises_no_term_and_binds_no_vote():
    """Thesis §9.6: a candidate increments its term only if it first learns that it could win."""
    candidate = Server(1, term=1, config=CONFIG)

    candidate.tick(CONFIG.election_ticks_max)

    assert (candidate.raft.role, candidate.raft.current_term) == (Role.PRE_CANDIDATE, 1)
    assert candidate.raft.voted_for == 0
    assert [(ask.target, ask.term) for ask in candidate.sent(PreVote)] == [(2, 1), (3, 1)]
    assert candidate.sent(RequestVote) == []


@pytest.mark.parametrize(
    ("granted", "refused", "role"),
    [
        ((), (), Role.PRE_CANDIDATE),
        ((2,), (), Role.PRE_CANDIDATE),
        ((2,), (3,), Role.PRE_CANDIDATE),
        ((2, 3), (), Role.CANDIDATE),
        ((2, 3), (4, 5), Role.CANDIDATE),
        ((), (2, 3, 4), Role.FOLLOWER),
    ],
)
def test_a_campaign_follows_when_a_majority_would_vote(granted, refused, role):
    """Thesis §9.6: only then does it raise its term and ask for votes."""
    candidate = Server(1, voters=(1, 2, 3, 4, 5), config=CONFIG)
    candidate.do(campaign)

    for voter in (*refused, *granted):
        candidate.hear(PreVoteReply, voter, vote_granted=voter in granted)

    assert candidate.raft.role is role
    assert candidate.raft.current_term == (1 if role is Role.CANDIDATE else 0)


def test_pre_votes_are_no_votes():
    """Thesis §9.6: whoever said that it would vote so has not voted."""
    candidate = Server(1, config=CONFIG)
    candidate.do(campaign)
    candidate.hear(PreVoteReply, 2, vote_granted=True)

    candidate.hear(PreVoteReply, 3, vote_granted=True)
    role_with_pre_votes = candidate.raft.role
    candidate.hear(RequestVoteReply, 3, vote_granted=True)

    assert role_with_pre_votes is Role.CANDIDATE
    assert candidate.raft.role is Role.LEADER


def test_a_pre_vote_changes_nothing_in_who_answers_it():
    """Thesis §9.6: it may say yes to several, and does not wait anew for any of them."""
    voter = Server(3, term=1, config=CONFIG)
    voter.tick(5)

    voter.hear(PreVote, 1)
    voter.hear(PreVote, 2)

    assert [reply.vote_granted for reply in voter.sent(PreVoteReply)] == [True, True]
    assert (voter.raft.voted_for, voter.raft.current_term) == (0, 1)
    assert voter.raft.election_elapsed == 5


@pytest.mark.parametrize(
    ("last_log_term", "last_log_index", "granted"), [(2, 2, True), (2, 1, False), (1, 9, False)]
)
def test_a_pre_vote_is_refused_to_a_log_that_could_not_win(last_log_term, last_log_index, granted):
    """Thesis §9.6: its log must be sufficiently up-to-date, as for a vote."""
    voter = Server(3, log=(1, 2), config=CONFIG)

    voter.hear(PreVote, 1, last_log_term=last_log_term, last_log_index=last_log_index)

    assert [reply.vote_granted for reply in voter.sent(PreVoteReply)] == [granted]


def test_a_pre_vote_is_refused_while_a_leader_is_heard():
    """Thesis §9.6: the voter has not received heartbeats for at least a baseline timeout."""
    voter = Server(3, term=1, config=CONFIG)
    voter.hear(AppendEntries, 2)
    voter.tick(CONFIG.election_ticks_min - 1)

    voter.hear(PreVote, 1)
    granted_while_heard = [reply for reply in voter.sent(PreVoteReply) if reply.vote_granted]
    voter.tick()
    voter.hear(PreVote, 1)

    assert granted_while_heard == []
    assert [reply.vote_granted for reply in voter.sent(PreVoteReply)] == [True]


def test_a_leader_grants_no_pre_vote():
    """Thesis §9.6: it knows of a leader better than anybody."""
    leader = Server(1, config=CONFIG._replace(check_quorum=False)).lead()

    leader.hear(PreVote, 2, last_log_index=9, last_log_term=9)

    assert [reply.vote_granted for reply in leader.sent(PreVoteReply)] == [False]


def test_a_server_that_was_cut_off_disrupts_nobody():
    """Thesis §9.6: without pre-vote it came back with a higher term and deposed the leader."""
    lonely = Server(3, config=CONFIG)
    network = Network(Server(1, config=CONFIG), Server(2, config=CONFIG), lonely)
    network.part({3})

    network.tick(5 * CONFIG.election_ticks_max)

    assert lonely.raft.current_term == 0
    assert lonely.raft.role is Role.PRE_CANDIDATE


def test_a_leader_that_is_gone_is_replaced():
    """Thesis §9.6: pre-vote does not keep a majority from electing."""
    leader, *others = network = trio(CONFIG)
    network.elect(leader)
    network.part({1})

    network.tick(4 * CONFIG.election_ticks_max)

    assert sorted(other.raft.role.value for other in others) == ["follower", "leader"]


def test_voters_that_were_told_to_forget_the_leader_vote_at_once():
    """M2: whoever knows that the leader's process is gone need not wait for the timeout."""
    leader, candidate, voter = network = trio(CONFIG)
    network.elect(leader)
    network.part({1})
    voter.do(forget_leader)

    candidate.do(campaign)
    network.deliver()

    assert candidate.raft.role is Role.LEADER
