"""Campaigns and votes, and a leader's doubt: what the paper tests leave to details."""

import pytest

from messages.raft import (
    NOBODY,
    AppendEntries,
    Entry,
    Heartbeat,
    Membership,
    PreVote,
    PreVoteReply,
    RequestVote,
    RequestVoteReply,
)
from raft.election import campaign
from raft.state import Config, Role
from tests.network import PAPER, Network, Server
from tests.unit.test_membership_in_force import entry

CAREFUL = Config()
LEASES = Config(lease_reads=True)


# Who campaigns, and when.


@pytest.mark.parametrize("config", [PAPER, CAREFUL])
def test_a_single_voter_elects_itself(config):
    """§5.2: its own vote, once durable, is a majority."""
    alone = Server(1, voters=(1,), config=config)
    alone.disk_held = True
    alone.do(campaign)
    assert (alone.raft.role, alone.sent(RequestVote)) == (Role.CANDIDATE, [])

    alone.finish_write()

    assert (alone.raft.role, alone.raft.current_term) == (Role.LEADER, 1)


def test_a_later_term_alone_does_not_make_a_follower_wait_anew():
    """§5.2: a vote given or a leader heard does; else who cannot win keeps others from trying."""
    waiting = Server(1, log=(1, 1))
    waiting.tick(5)
    timeout = waiting.raft.election_timeout

    waiting.hear(RequestVote, 2, term=9, last_log_index=1, last_log_term=1)

    assert (waiting.raft.current_term, waiting.raft.voted_for) == (9, NOBODY)
    assert (waiting.raft.election_elapsed, waiting.raft.election_timeout) == (5, timeout)


def test_a_learner_never_campaigns():
    """Thesis §4.2.1: its vote would not count, so neither should its campaign."""
    learner = Server(4, learners=(4,))

    learner.tick(5 * PAPER.election_ticks_max)

    assert (learner.raft.role, learner.raft.current_term) == (Role.FOLLOWER, 0)


def test_nobody_campaigns_past_a_change_it_has_not_applied():
    """Thesis §4.1: it might lead with a membership that is over already (etcd's check)."""
    follower = Server(1, term=1)
    wider = Membership((1, 2, 3), learners=(4,))
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=(entry(1, wider),), leader_commit=1)
    assert (follower.raft.commit_index, follower.raft.last_applied) == (1, 0)

    follower.tick(PAPER.election_ticks_max)
    assert follower.raft.current_term == 1

    follower.finish_write()
    follower.tick(PAPER.election_ticks_max)
    assert follower.raft.role is Role.CANDIDATE


def test_nobody_campaigns_with_a_disk_that_stands_still():
    """M8: a leader that cannot write would be of no use."""
    follower = Server(1, term=1, config=PAPER._replace(disk_stall_ticks_max=10))
    follower.disk_held = True
    follower.hear(AppendEntries, 2, entries=(Entry(1, 0, b"x"),))

    follower.tick(2 * PAPER.election_ticks_max)
    assert follower.raft.current_term == 1

    follower.finish_write()
    follower.tick(PAPER.election_ticks_max)
    assert follower.raft.role is Role.CANDIDATE


@pytest.mark.parametrize("config", [PAPER, CAREFUL])
def test_a_leader_has_no_reason_to_campaign(config):
    """Figure 4: from leader only the way down is open."""
    leader = Server(1, config=config).lead()

    leader.do(campaign)

    assert (leader.raft.role, leader.raft.current_term) == (Role.LEADER, 1)


@pytest.mark.parametrize("config", [PAPER, CAREFUL])
def test_an_unanswered_campaign_is_begun_anew(config):
    """§5.2: after another random timeout; before a vote is given, no term is spent on it."""
    cut_off = Server(1, config=config)

    cut_off.tick(4 * config.election_ticks_max)

    campaigns = cut_off.sent(PreVote if config.pre_vote else RequestVote)
    assert len(campaigns) >= 6, "to each of the two others, three times or more"
    assert (cut_off.raft.current_term == 0) == config.pre_vote


# Votes before the vote.


def test_a_majority_of_promises_starts_the_campaign():
    """Thesis §9.6: only who could win raises the term."""
    server = Server(1, voters=(1, 2, 3, 4, 5), config=CAREFUL)
    server.do(campaign)
    server.hear(PreVoteReply, 2, vote_granted=True)
    server.hear(PreVoteReply, 2, vote_granted=True)
    assert (server.raft.role, server.raft.current_term) == (Role.PRE_CANDIDATE, 0)

    server.hear(PreVoteReply, 3, vote_granted=True)

    assert (server.raft.role, server.raft.current_term) == (Role.CANDIDATE, 1)
    assert {request.target for request in server.sent(RequestVote)} == {2, 3, 4, 5}


def test_a_majority_of_refusals_ends_it():
    """Thesis §9.6: it waits as a follower for another timeout."""
    server = Server(1, config=CAREFUL)
    server.do(campaign)

    server.hear(PreVoteReply, 2, vote_granted=False)
    server.hear(PreVoteReply, 3, vote_granted=False)

    assert (server.raft.role, server.raft.current_term) == (Role.FOLLOWER, 0)


def test_a_promise_that_comes_late_promises_nothing():
    """Thesis §9.6: the pre-candidate is a candidate, or a follower, by now."""
    server = Server(1, config=CAREFUL)
    server.do(campaign)
    server.hear(PreVoteReply, 2, vote_granted=True)
    server.hear(PreVoteReply, 3, vote_granted=True)
    assert server.raft.role is Role.CANDIDATE, "its own vote, but none of the promises"
    assert server.raft.votes == {1: True}


@pytest.mark.parametrize(
    ("last", "granted"), [((3, 2), True), ((9, 1), False), ((2, 2), False), ((1, 3), True)]
)
def test_a_promise_follows_the_rule_of_votes(last, granted):
    """§5.4.1: the later last term, then the longer log."""
    voter = Server(1, log=(1, 2, 2))

    voter.hear(PreVote, 2, last_log_index=last[0], last_log_term=last[1])

    assert [reply.vote_granted for reply in voter.sent(PreVoteReply)] == [granted]
    assert (voter.raft.voted_for, voter.raft.current_term) == (NOBODY, 2), "and binds nobody"


def test_a_leader_promises_nobody_its_vote():
    """M3: it has voted for itself in this term, and means to lead the next."""
    leader = Server(1).lead()

    leader.hear(PreVote, 2, last_log_index=9, last_log_term=9)

    assert [reply.vote_granted for reply in leader.sent(PreVoteReply)] == [False]


def test_a_server_without_pre_vote_wins_among_servers_with_it():
    """Thesis §9.6: so the option can be turned on one server at a time."""
    mixed = Network(Server(1), Server(2, config=CAREFUL), Server(3, config=CAREFUL))

    assert mixed.elect(mixed.servers[1]).raft.current_term == 1


# Votes.


def test_a_vote_is_given_once_and_may_be_told_twice():
    """§5.2: first come, first served; the answer may have been lost."""
    voter = Server(1)
    for candidate in (2, 3, 2):
        voter.hear(RequestVote, candidate, term=1)

    granted = [(reply.target, reply.vote_granted) for reply in voter.sent(RequestVoteReply)]
    assert granted == [(2, True), (3, False), (2, True)]


def test_a_voter_that_knows_who_leads_votes_for_nobody_else():
    """M3: a term has one leader; who joined it without a vote must not give one late."""
    follower = Server(1)
    follower.hear(Heartbeat, 2, term=1)

    follower.hear(RequestVote, 3, term=1, last_log_index=9, last_log_term=1)

    assert [reply.vote_granted for reply in follower.sent(RequestVoteReply)] == [False]


def test_a_candidates_own_vote_counts_only_when_durable():
    """D1: a crash before that would let it vote twice in the term (etcd: self-vote tests)."""
    candidate = Server(1, voters=(1, 2, 3, 4, 5))
    candidate.disk_held = True
    candidate.do(campaign)
    candidate.finish_write()
    candidate.hear(RequestVoteReply, 2, vote_granted=True)
    assert candidate.raft.role is Role.CANDIDATE

    candidate.restart()
    candidate.do(campaign)
    candidate.hear(RequestVoteReply, 2, vote_granted=True)
    candidate.hear(RequestVoteReply, 3, vote_granted=True)
    candidate.hear(RequestVoteReply, 4, vote_granted=True)

    assert (candidate.raft.role, candidate.raft.current_term) == (Role.CANDIDATE, 2)
    candidate.finish_write()
    assert candidate.raft.votes == {} and candidate.raft.leader_id == 1


def test_an_own_vote_of_a_lost_election_does_not_count_in_the_next():
    """D1: the write that returns may be of a term that is over."""
    candidate = Server(1)
    candidate.disk_held = True
    candidate.do(campaign)
    candidate.hear(RequestVoteReply, 2, vote_granted=False)
    candidate.hear(RequestVoteReply, 3, vote_granted=False)
    assert candidate.raft.role is Role.FOLLOWER

    candidate.finish_write()

    assert (candidate.raft.role, candidate.raft.votes) == (Role.FOLLOWER, {})


def test_an_election_is_lost_when_nobody_is_left_to_win_it():
    """§5.2: two of three refused."""
    candidate = Server(1)
    candidate.do(campaign)

    for voter in (2, 3):
        candidate.hear(RequestVoteReply, voter, vote_granted=False)

    assert (candidate.raft.role, candidate.raft.current_term) == (Role.FOLLOWER, 1)


def test_a_vote_is_counted_once_and_not_changed():
    """§5.2: a server has one vote; a second answer of another kind is not from an honest one."""
    candidate = Server(1, voters=(1, 2, 3, 4, 5))
    candidate.do(campaign)
    for granted in (False, True, True):
        candidate.hear(RequestVoteReply, 2, vote_granted=granted)

    candidate.hear(RequestVoteReply, 3, vote_granted=True)

    assert candidate.raft.role is Role.CANDIDATE


def test_both_majorities_of_a_joint_membership_must_agree():
    """Thesis §4.3: a majority of the new servers alone elects nobody."""
    candidate = Server(1, voters=(1, 2, 3))
    candidate.hear(AppendEntries, 2, term=1, entries=(entry(1, Membership((1, 4, 5), (1, 2, 3))),))
    candidate.do(campaign)
    assert {request.target for request in candidate.sent(RequestVote)} == {2, 3, 4, 5}
    candidate.hear(RequestVoteReply, 4, vote_granted=True)
    candidate.hear(RequestVoteReply, 5, vote_granted=True)
    assert candidate.raft.role is Role.CANDIDATE

    candidate.hear(RequestVoteReply, 3, vote_granted=True)

    assert candidate.raft.leader_id == 1


def test_whoever_removed_itself_may_still_lead_until_that_is_committed():
    """Thesis §4.2.2: it may be the only one that holds the entry which says so."""
    server = Server(1, log=())
    server.hear(AppendEntries, 2, term=1, entries=(entry(1, Membership((2, 3), removed=(1,))),))

    server.do(campaign)

    assert server.raft.role is Role.CANDIDATE
    assert server.raft.memberships[-1][1].removed == (1,)
