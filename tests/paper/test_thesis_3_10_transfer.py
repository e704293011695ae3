"""Thesis §3.10: a leader hands over: it stops, brings one up to date, and lets it campaign."""

import pytest

from messages.raft import (
    AppendEntries,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
    TransferLeader,
)
from raft.core import Action, Change, propose, propose_membership, read, transfer_leader
from raft.state import Config, Refusal, Role
from tests.network import PAPER, Server, trio


def test_a_leader_hands_over_within_a_round_trip():
    """Thesis §3.10: the target campaigns at once and very likely wins."""
    leader, target, voter = network = trio(Config())
    network.elect(leader).do(propose, [b"x"])
    network.deliver()

    leader.do(transfer_leader, 2)
    network.deliver()

    assert (leader.raft.role, target.raft.role) == (Role.FOLLOWER, Role.LEADER)
    assert (target.raft.current_term, voter.raft.leader_id) == (2, 2)


def test_the_target_is_brought_up_to_date_before_it_campaigns():
    """Thesis §3.10: the prior leader fully updates the target's log to match its own."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(propose, [b"x"])

    leader.do(transfer_leader, 2)
    asked_before = leader.sent(TimeoutNow)
    leader.acknowledged(3)
    leader.acknowledged(2)

    assert asked_before == []
    assert [asked.target for asked in leader.sent(TimeoutNow)] == [2]


def test_a_leader_takes_no_proposals_while_it_hands_over():
    """Thesis §3.10: the prior leader stops accepting new client requests."""
    leader = Server(1).lead().acknowledged(2, 3)

    leader.do(transfer_leader, 2)

    assert leader.do(propose, [b"x"]) is Refusal.TRANSFERRING
    change = [Change(Action.ADD_LEARNER, 4)]
    assert leader.do(propose_membership, change) is Refusal.TRANSFERRING


def test_proposals_flow_again_when_a_transfer_takes_too_long():
    """Thesis §3.10, M9: if it does not complete after about an election timeout, it is aborted."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(transfer_leader, 2)

    leader.tick(PAPER.transfer_ticks_max - 1)
    refused = leader.do(propose, [b"x"])
    leader.tick()
    taken = leader.do(propose, [b"x"])

    assert refused is Refusal.TRANSFERRING
    assert not isinstance(taken, Refusal)


def test_a_lost_request_to_campaign_is_sent_again():
    """Thesis §3.10: the target would otherwise sit still until the transfer is aborted."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(transfer_leader, 2)
    leader.sent(TimeoutNow)

    leader.tick(PAPER.heartbeat_ticks)

    assert [asked.target for asked in leader.sent(TimeoutNow)] == [2]


def test_asking_again_does_not_move_the_deadline():
    """Thesis §3.10, M9: else an impatient user could keep a cluster without proposals."""
    leader = Server(1).lead().acknowledged(2, 3)

    for _ in range(PAPER.transfer_ticks_max):
        leader.do(transfer_leader, 2)
        leader.tick()

    assert not isinstance(leader.do(propose, [b"x"]), Refusal)


@pytest.mark.parametrize("target", [1, 4, 9])
def test_only_another_voter_can_take_over(target):
    """Thesis §3.10: a learner or a stranger cannot lead, and the leader does already."""
    leader = Server(1, learners=(4,)).lead().acknowledged(2, 3, 4)

    refused = leader.do(transfer_leader, target)

    assert refused is Refusal.NOT_A_VOTER
    assert not isinstance(leader.do(propose, [b"x"]), Refusal)


def test_a_voter_that_hears_its_leader_gives_its_vote_to_the_leaders_successor():
    """Thesis §3.10, §4.2.3: the request has a flag, since the leader itself wants this election."""
    voter = Server(2, term=1, config=Config())
    voter.hear(AppendEntries, 1)

    voter.hear(RequestVote, 3, term=2, leadership_transfer=True)

    assert [reply.vote_granted for reply in voter.sent(RequestVoteReply)] == [True]


def test_the_target_asks_for_votes_without_asking_whether_it_could_win():
    """Thesis §3.10, §9.6: it starts a new election, and says that its leader asked for it."""
    target = Server(2, term=1, config=Config())
    target.hear(AppendEntries, 1)

    target.hear(TimeoutNow, 1)

    assert target.raft.role is Role.CANDIDATE
    asked = target.sent(RequestVote)
    assert [(ask.target, ask.leadership_transfer) for ask in asked] == [(1, True), (3, True)]


def test_only_the_leader_can_ask_for_a_campaign():
    """Thesis §3.10: anyone else's word would be a way to disturb a good leader."""
    follower = Server(2, term=1)
    follower.hear(AppendEntries, 1)

    follower.hear(TimeoutNow, 3)

    assert (follower.raft.role, follower.raft.current_term) == (Role.FOLLOWER, 1)


def test_a_follower_hands_the_wish_on_to_its_leader():
    """Thesis §3.10: a user may ask any server."""
    leader, follower, target = network = trio()
    network.elect(leader)

    follower.do(transfer_leader, 3)
    network.deliver()

    assert [wish.transferee for wish in follower.sent(TransferLeader)] == [3]
    assert target.raft.role is Role.LEADER


def test_reads_go_on_while_a_leader_hands_over():
    """Thesis §3.10: it is the leader until another is; a confirmed read is as good as before."""
    leader = Server(1).lead().acknowledged(2, 3)
    leader.do(transfer_leader, 2)

    leader.do(read, 7)
    leader.confirmed(3)

    assert [state.read_index for state in leader.reads] == [1]
